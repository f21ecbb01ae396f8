// Expands exchanges into messages: an exchange lists what a rank receives, the
// shards say from whom, unless the exchange names relays.

#ifndef FLASHCP_COMPILER_EMIT_EMITMESSAGES_H
#define FLASHCP_COMPILER_EMIT_EMITMESSAGES_H

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/emit/EmitBuffers.h"
#include "dialects/cp/CP.h"

namespace flashcp {

/// The messages of all ranks. What a rank sends is collected once, from the
/// exchanges of the others; what it receives is expanded when its tables are
/// written, since received slices are most of a large plan.
class MessageEmitter {
public:
  MessageEmitter(cp::BatchOp batch, const BatchAnalysis &analysis);

  /// Adds the messages of a rank to its tables, exchange by exchange; returns
  /// how many messages there are after each.
  llvm::SmallVector<uint32_t> emit(cp::ProgramOp program,
                                   llvm::ArrayRef<StageRows> stages,
                                   RankTables &tables);

  /// Returns a bound of the slices that the messages of `rank` take.
  size_t maxSlices(int64_t rank) const;
  /// Returns a bound of the messages that `rank` has.
  size_t maxMessages(int64_t rank) const;

private:
  /// Rows that one message carries, as slices of the buffers on one side: at 1
  /// those that the receiver saves for backward, at 0 all others.
  struct Payload {
    std::vector<fbs::Slice> slices[2];
    uint64_t rows[2] = {0, 0};

    bool empty() const { return rows[0] + rows[1] == 0; }
  };
  struct Send {
    int32_t receiver;
    size_t exchange; // number in the program, from 0
    Payload payload;
  };
  /// What a rank receives in one exchange.
  struct Exchange {
    llvm::ArrayRef<cp::ReceivedRange> received;
    int64_t stage;
    uint32_t headBegin, headEnd;
    bool relayed;
    bool sharesRows; // with the other exchange of the stage
  };

  static llvm::SmallVector<Exchange> exchangesOf(cp::ProgramOp program);
  void findRows();
  void indexRelayRows(cp::ProgramOp program);
  void collectSends(const Exchange &exchange, int64_t receiver, size_t number);
  void emitReceives(const Exchange &exchange, const StageRows &rows,
                    RankTables &tables);
  /// Adds rows to the message from or to `peer`.
  void addSlice(int32_t peer, bool saved, uint32_t row, uint32_t count);
  void addMessage(RankTables &tables, const Exchange &exchange,
                  fbs::Direction direction, uint32_t peer, uint32_t tag,
                  const StageRows &rows, const Payload &payload);

  /// Calls `visit(sender, row, offset, count)` for one range of what an
  /// exchange receives, cut where the sender changes: rows of the sender, and
  /// how far from the beginning of the range they are.
  template <typename Visit>
  void forEachSender(const Exchange &exchange, const cp::ReceivedRange &range,
                     Visit visit);

  const BatchAnalysis &analysis;
  uint64_t headBytes;                           // of K or V of one row
  std::vector<std::vector<uint32_t>> ownedRows; // by document, owned range
  /// By relay, stage from 1, and whether rows are saved.
  std::vector<std::vector<std::array<RowIndex, 2>>> relayRows;
  std::vector<std::vector<Send>> sends; // by sender, exchange, receiver
  std::vector<size_t> receivedSlices;   // by receiver
  std::vector<size_t> receivedMessages; // by receiver
  std::vector<Payload> payloads;    // by peer, while one exchange is expanded
  llvm::SmallVector<int32_t> peers; // those with a payload
  // While one rank is emitted, by peer:
  std::vector<uint32_t> tags, sendTags; // of what is received, of what is sent
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_EMIT_EMITMESSAGES_H
