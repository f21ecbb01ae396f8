// cp-allocate-buffers: every received row, every partial result and every sum
// of gradients gets its place; stages take turns in the places of a few.

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/Phase.h"
#include "compiler/analysis/RemoteStages.h"
#include "compiler/analysis/SharedQueries.h"
#include "compiler/emit/plan_size.h"
#include "compiler/passes/Passes.h"
#include "compiler/solver/row_stage.h"

#include <map>

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_ALLOCATEBUFFERS
#include "compiler/passes/Passes.h.inc"

namespace {

constexpr int64_t kAlignment =
    64; // bytes: a cache line, and every vector width

/// K/V rows that a rank sends, by stage from 1, once for each receiver: its own,
/// and those that it relays.
struct SentRows {
  SmallVector<int64_t> direct, relayed;
};

/// Counts the rows that each rank sends in each stage.
std::vector<SentRows> countSentRows(cp::BatchOp batch,
                                    const BatchAnalysis &analysis) {
  std::vector<SmallVector<RemoteStage>> stages; // by receiver
  for (auto program : batch.getBody().getOps<cp::ProgramOp>())
    stages.push_back(remoteStagesOf(program));
  size_t numStages = stages.empty() ? 0 : stages.front().size();
  SmallVector<int64_t> none(numStages);
  std::vector<SentRows> sent(batch.getRanks(), {none, none});
  for (size_t s = 0; s < numStages; ++s) {
    // By document: where the number of receivers changes, and by how much.
    std::vector<SmallVector<std::pair<int64_t, int64_t>>> changes(
        analysis.documents().size());
    for (SmallVector<RemoteStage> &ofRank : stages) {
      for (const cp::ReceivedRange &range : ofRank[s].exchange.getReceived())
        changes[range.document].append({{range.begin, 1}, {range.end, -1}});
      if (!ofRank[s].relayed)
        continue;
      for (const cp::ReceivedRange &range : ofRank[s].relayed.getReceived())
        sent[range.relay].relayed[s] += range.size();
    }
    for (auto [shard, ofDocument] : llvm::zip(analysis.shards(), changes)) {
      if (ofDocument.empty())
        continue;
      llvm::sort(ofDocument);
      int64_t receivers = 0, position = 0;
      const auto *next = ofDocument.begin();
      for (const cp::OwnedRange &owned : cp::ShardOp(shard).getOwned()) {
        int64_t &rows = sent[owned.owner].direct[s];
        for (; next != ofDocument.end() && next->first < owned.end; ++next) {
          rows += receivers * (next->first - position);
          position = next->first;
          receivers += next->second;
        }
        rows += receivers * (owned.end - position);
        position = owned.end;
      }
    }
  }
  return sent;
}

/// Hands out the places of one memory, one behind the other.
class Memory {
public:
  explicit Memory(int64_t bytes = 0) : bytes(bytes) {}

  int64_t take(int64_t size) {
    int64_t offset = bytes;
    bytes += llvm::alignTo(size, kAlignment);
    return offset;
  }

  int64_t size() const { return bytes; }

private:
  int64_t bytes;
};

/// Which place of some buffers each stage takes, from 0 on.
using SlotOfStage = llvm::function_ref<int64_t(int64_t stage)>;

/// Returns where the buffer of each stage lies: each place is as large as the
/// largest buffer that takes it.
SmallVector<int64_t> takeSlots(ArrayRef<int64_t> bytesOfStage,
                               SlotOfStage slotOf, Memory &memory) {
  std::map<int64_t, int64_t> sizes, offsets; // by slot
  for (auto [stage, bytes] : llvm::enumerate(bytesOfStage))
    sizes[slotOf(stage)] = std::max(sizes[slotOf(stage)], bytes);
  for (auto [slot, size] : sizes)
    offsets[slot] = memory.take(size);
  SmallVector<int64_t> ofStage;
  for (size_t stage = 0; stage < bytesOfStage.size(); ++stage)
    ofStage.push_back(offsets[slotOf(stage)]);
  return ofStage;
}

/// Gives the buffers of one program their places.
class Allocator {
  using Kind = cp::BufferKind;

public:
  Allocator(cp::BatchOp batch, cp::ProgramOp program, const SentRows &sent)
      : program(program), loc(program.getLoc()), sent(sent),
        stages(remoteStagesOf(program)),
        queryHeads(batch.getHeads().getQ() / program.getHeadGroups()),
        keyHeads(batch.getHeads().getKv() / program.getHeadGroups()),
        allKeyHeads(batch.getHeads().getKv()), dim(batch.getHeads().getDim()),
        elementBytes(batch.getDtype().getIntOrFloatBitWidth() / 8),
        builder(OpBuilder::atBlockEnd(&program.getBody().front())) {
    for (RemoteStage &stage : stages) {
      remoteRows.push_back(countRows(heldTokens(stage, /*saved=*/false)));
      savedRows.push_back(countRows(heldTokens(stage, /*saved=*/true)));
    }
    if (stages.size() == 1)
      places = std::min<int64_t>(cp::kMaxPlaces, program.getHeadGroups());
  }

  void run() {
    Memory workspace, saved;
    addReceived(workspace, saved);
    // Received rows serve both passes, all else one of them.
    Memory forward(workspace.size()), backward(workspace.size());
    int64_t shared = countRows(sharedQueries(program));
    if (shared != 0)
      addBuffer(Kind::accumulator, /*stage=*/0,
                forward.take(shared * queryHeads * dim * 4), shared);
    addGradients(backward);
    program.setWorkspaceBytes(shared != 0 ? forward.size() : receivedEnd());
    program.setBackwardWorkspaceBytes(backward.size());
    program.setSavedBytes(saved.size());
  }

  /// Returns the most K/V rows of heads that an exchange carries on this rank.
  int64_t mostExchanged() const {
    int64_t most = 0;
    for (auto [s, remote] : llvm::enumerate(remoteRows))
      most = std::max({most, remote + savedRows[s], sent.direct[s],
                       sent.relayed[s]});
    return 2 * most * keyHeads;
  }

private:
  int64_t keyBytes() const { return keyHeads * dim * elementBytes; }
  bool relays() { return !stages.empty() && stages.front().relayed; }

  cp::BufferOp addBuffer(Kind kind, int64_t stage, int64_t offset, int64_t rows,
                         bool relayed = false, int64_t places = 1) {
    return cp::BufferOp::create(builder, loc, kind, stage, relayed, offset,
                                rows, places);
  }

  /// Returns where the rows of each stage lie, in slots: rows that are not saved,
  /// in some copies, before those that are.
  SmallVector<int64_t> takeRows(int64_t rowBytes, SlotOfStage slotOf,
                                int64_t copies, Memory &memory) {
    SmallVector<int64_t> bytes;
    for (auto [remote, saved] : llvm::zip(remoteRows, savedRows))
      bytes.push_back(copies * llvm::alignTo(remote * rowBytes, kAlignment) +
                      llvm::alignTo(saved * rowBytes, kAlignment));
    return takeSlots(bytes, slotOf, memory);
  }

  /// Adds a key and a value buffer to each stage that has rows.
  void addPairs(ArrayRef<int64_t> rows, std::array<Kind, 2> kinds,
                ArrayRef<int64_t> keys, ArrayRef<int64_t> values,
                int64_t copies = 1) {
    for (size_t s = 0; s < rows.size(); ++s) {
      if (rows[s] == 0)
        continue;
      addBuffer(kinds[0], s + 1, keys[s], rows[s], false, copies);
      addBuffer(kinds[1], s + 1, values[s], rows[s], false, copies);
    }
  }

  /// Adds the pairs of saved rows, behind the copies of the other rows of their
  /// stage.
  void addSavedPairs(std::array<Kind, 2> kinds, SmallVector<int64_t> keys,
                     SmallVector<int64_t> values, int64_t rowBytes,
                     int64_t copies) {
    for (SmallVector<int64_t> *offsets : {&keys, &values})
      for (auto [offset, remote] : llvm::zip(*offsets, remoteRows))
        offset += copies * llvm::alignTo(remote * rowBytes, kAlignment);
    addPairs(savedRows, kinds, keys, values);
  }

  /// Adds what the stages receive. Saved rows keep their places.
  void addReceived(Memory &workspace, Memory &saved) {
    auto slot = [](int64_t stage) { return solver::KeyValueSlot(stage); };
    keyPlaces = takeRows(keyBytes(), slot, places, workspace);
    valuePlaces = takeRows(keyBytes(), slot, places, workspace);
    addPairs(remoteRows, {Kind::remote_key, Kind::remote_value}, keyPlaces,
             valuePlaces, places);
    SmallVector<int64_t> keys, values;
    for (int64_t rows : savedRows) {
      keys.push_back(saved.take(rows * allKeyHeads * dim * elementBytes));
      values.push_back(saved.take(rows * allKeyHeads * dim * elementBytes));
    }
    addPairs(savedRows, {Kind::saved_key, Kind::saved_value}, keys, values);
  }

  /// Returns the end of the received rows: behind them may lie gradients of
  /// saved ones, which forward does not have.
  int64_t receivedEnd() const {
    int64_t end = 0;
    for (auto [offset, rows] : llvm::zip(valuePlaces, remoteRows))
      if (rows != 0)
        end = std::max<int64_t>(
            end,
            offset + places * llvm::alignTo(rows * keyBytes(), kAlignment));
    return end;
  }

  void addGradients(Memory &memory) {
    int64_t own = countRows(program.getLayout());
    int64_t keyFloats = keyHeads * dim * 4;
    auto add = [&](Kind kind, int64_t rowBytes) {
      addBuffer(kind, /*stage=*/0, memory.take(own * rowBytes), own);
    };
    add(Kind::delta, queryHeads * 4);
    add(Kind::query_sum, queryHeads * dim * 4);
    add(Kind::key_sum, keyFloats);
    add(Kind::value_sum, keyFloats);
    // If relays add what comes back, one stage waits while the next is
    // computed.
    int64_t sumSlots = relays() ? 2 : 1;
    auto slot = [&](int64_t stage) { return stage % sumSlots; };
    SmallVector<int64_t> keys = takeRows(keyFloats, slot, 1, memory),
                         values = takeRows(keyFloats, slot, 1, memory);
    std::array<Kind, 2> sums = {Kind::remote_key_sum, Kind::remote_value_sum};
    addPairs(remoteRows, sums, keys, values);
    addSavedPairs(sums, keys, values, keyFloats, /*copies=*/1);
    addSavedPairs({Kind::outgoing_key, Kind::outgoing_value}, keyPlaces,
                  valuePlaces, keyBytes(), places);
    if (!stages.empty())
      addIncoming(memory);
  }

  /// Adds what comes back for the rows that exchanges send, K and V, in the
  /// order of the exchanges; there is one place for each hop.
  void addIncoming(Memory &memory) {
    int64_t offsets[2];
    for (bool relayed : {false, true})
      offsets[relayed] = memory.take(
          2 * keyHeads * dim * elementBytes *
          *std::max_element(sentRows(relayed).begin(), sentRows(relayed).end()));
    for (size_t s = 0; s < stages.size(); ++s)
      for (bool relayed : {false, true})
        if (int64_t rows = sentRows(relayed)[s])
          addBuffer(Kind::incoming, s + 1, offsets[relayed],
                    2 * keyHeads * rows, relayed);
  }

  ArrayRef<int64_t> sentRows(bool relayed) {
    return relayed ? sent.relayed : sent.direct;
  }

  cp::ProgramOp program;
  Location loc;
  const SentRows &sent;
  SmallVector<RemoteStage> stages;
  int64_t queryHeads, keyHeads; // of a group
  int64_t allKeyHeads;
  int64_t dim, elementBytes;
  OpBuilder builder;
  int64_t places = 1; // of received rows, among which rounds alternate
  SmallVector<int64_t> remoteRows, savedRows;  // by stage from 1
  SmallVector<int64_t> keyPlaces, valuePlaces; // of received rows, likewise
};

struct AllocateBuffersPass : impl::AllocateBuffersBase<AllocateBuffersPass> {
  using AllocateBuffersBase::AllocateBuffersBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::scheduled, getArgument())))
      return signalPassFailure();
    const auto &analysis = getAnalysis<BatchAnalysis>();
    if (failed(analysis.status()))
      return signalPassFailure();
    std::vector<SentRows> sent = countSentRows(batch, analysis);
    for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
      if (program.getWorkspaceBytes()) {
        InFlightDiagnostic error = program.emitOpError()
                                   << "has buffers already";
        for (auto buffer : program.getBody().getOps<cp::BufferOp>()) {
          error.attachNote(buffer.getLoc()) << "the first is here";
          break;
        }
        return signalPassFailure();
      }
      Allocator allocator(batch, program, sent[program.getRank()]);
      allocator.run();
      int64_t most = allocator.mostExchanged();
      if (most <= std::numeric_limits<uint32_t>::max())
        continue;
      program.emitError() << std::string(kPlanTooLarge) << "rank "
                          << program.getRank() << " exchanges " << most
                          << " heads of K and V rows in a stage, more than the "
                             "2^32 - 1 that a plan counts: use more ranks";
      return signalPassFailure();
    }
  }
};

} // namespace
} // namespace flashcp
