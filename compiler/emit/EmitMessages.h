// Expansion of exchanges into messages: an exchange lists what a rank receives,
// the shards say from whom; a forward names the relays.

#ifndef FLASHCP_COMPILER_EMIT_EMITMESSAGES_H
#define FLASHCP_COMPILER_EMIT_EMITMESSAGES_H

#include "compiler/emit/EmitProgram.h"
#include "compiler/emit/PlanTables.h"
#include "dialects/cp/CP.h"

namespace flashcp {

/// The messages of all ranks. What a rank sends is collected once, from the
/// exchanges and forwards of the others; what it receives is expanded when its
/// tables are written, since received slices are most of a large plan.
class MessageEmitter {
public:
  explicit MessageEmitter(cp::BatchOp batch);

  /// Adds the messages of a rank to its tables, one exchange or forward after
  /// the other; returns how many messages there are after each.
  llvm::SmallVector<uint32_t> emit(cp::ProgramOp program,
                                   llvm::ArrayRef<StageRows> stages,
                                   RankTables &tables);

  /// At least as many slices as the messages of `rank` take.
  size_t maxSlices(int64_t rank) const;
  /// At least as many messages as `rank` has.
  size_t maxMessages(int64_t rank) const;

private:
  /// Rows that one message carries, and of which its slices say where they are
  /// on one side: those of saved documents apart, at 1.
  struct Payload {
    std::vector<fbs::Slice> slices[2];
    uint64_t rows[2] = {0, 0};

    bool empty() const { return rows[0] + rows[1] == 0; }
  };
  struct Send {
    int32_t receiver;
    size_t group; // number of the exchange or forward, from 0
    Payload payload;
  };
  /// What a rank receives in one exchange or forward.
  struct Group {
    llvm::ArrayRef<int64_t> received;
    int64_t stage;
    int64_t rowsStage; // whose buffers hold the rows
    uint32_t headBegin, headEnd;
    bool forward;    // from relays, not from owners
    bool sharesRows; // with another group of the stage

    bool hasOwnRows() const { return stage == rowsStage; }
  };

  static llvm::SmallVector<Group> groupsOf(cp::ProgramOp program);
  void findRows();
  void collectSends(const Group &group, int64_t receiver, size_t number);
  void repeatMessages(RankTables &tables, uint32_t first, uint32_t last,
                      const Group &group);
  void emitReceives(const Group &group, const StageRows &rows,
                    RankTables &tables);
  /// Adds rows of a document to the message from or to `peer`.
  void addPiece(int32_t peer, int64_t document, uint32_t row, uint32_t count);
  void addMessage(RankTables &tables, const Group &group,
                  fbs::Direction direction, uint32_t peer, uint32_t tag,
                  const StageRows &rows, const Payload &payload);

  /// Calls `visit(sender, row, offset, count)` for one range of what a group
  /// receives, cut where the sender changes: rows of the sender, and how far
  /// from the beginning of the range they are.
  template <typename Visit>
  void forEachPiece(const Group &group, llvm::ArrayRef<int64_t> range,
                    Visit visit);

  uint64_t headBytes;   // of K or V of one row
  llvm::BitVector kept; // documents
  llvm::SmallVector<cp::ShardOp> shards;
  std::vector<std::vector<uint32_t>> segmentRows; // by document and segment
  /// By relay, stage from 1, and whether documents are kept.
  std::vector<std::vector<std::array<RowIndex, 2>>> remoteRows;
  std::vector<std::vector<Send>> sends; // by sender, group, receiver
  std::vector<size_t> receivedPieces;   // by receiver
  std::vector<size_t> receivedMessages; // by receiver
  std::vector<Payload> payloads;        // by peer, while one group is expanded
  llvm::SmallVector<int32_t> peers;     // those with a payload
  // While one rank is emitted, by peer:
  std::vector<uint32_t> tags, sendTags; // of what is received, of what is sent
  size_t repeats = 1; // stages that bring the same rows, head by head
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_EMITMESSAGES_H
