// cp-allocate-buffers: every received row, every partial result and every sum
// of gradients gets its place.

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/Phase.h"
#include "compiler/analysis/RemoteStages.h"
#include "compiler/analysis/SharedQueries.h"
#include "compiler/emit/plan_size.h"
#include "compiler/passes/Passes.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_ALLOCATEBUFFERS
#include "compiler/passes/Passes.h.inc"

namespace {

constexpr int64_t kAlignment =
    64; // bytes: a cache line, and every vector width

/// Hands out consecutive places of one memory.
class Memory {
public:
  explicit Memory(int64_t bytes = 0) : bytes(bytes) {}

  int64_t take(int64_t size) {
    int64_t offset = bytes;
    bytes = llvm::alignTo(bytes + size, kAlignment);
    return offset;
  }

  int64_t size() const { return bytes; }

private:
  int64_t bytes;
};

/// Counts the heads of rows that each rank sends, of its own and of those that
/// it relays.
SmallVector<int64_t> countSentHeads(cp::BatchOp batch,
                                    const BatchAnalysis &analysis) {
  SmallVector<int64_t> sent(batch.getRanks());
  // By document: where the number of receivers changes, and by how much.
  std::vector<SmallVector<std::pair<int64_t, int64_t>>> changes(
      analysis.documents().size());
  for (auto program : batch.getBody().getOps<cp::ProgramOp>())
    for (RemoteStage &stage : remoteStagesOf(program)) {
      for (const cp::ReceivedRange &range : stage.exchange.getReceived())
        changes[range.document].append(
            {{range.begin, stage.numHeads()}, {range.end, -stage.numHeads()}});
      if (!stage.relayed)
        continue;
      for (const cp::ReceivedRange &range : stage.relayed.getReceived())
        sent[range.relay] += stage.numHeads() * range.size();
    }
  for (auto [shard, ofDocument] : llvm::zip(analysis.shards(), changes)) {
    llvm::sort(ofDocument);
    int64_t receivers = 0, position = 0;
    const auto *next = ofDocument.begin();
    for (const cp::OwnedRange &owned : cp::ShardOp(shard).getOwned()) {
      for (; next != ofDocument.end() && next->first < owned.end; ++next) {
        sent[owned.owner] += receivers * (next->first - position);
        position = next->first;
        receivers += next->second;
      }
      sent[owned.owner] += receivers * (owned.end - position);
      position = owned.end;
    }
  }
  return sent;
}

/// Gives the buffers of one program their places.
class Allocator {
  using Kind = cp::BufferKind;

public:
  Allocator(cp::BatchOp batch, cp::ProgramOp program, int64_t sentHeads)
      : program(program), loc(program.getLoc()), sentHeads(sentHeads),
        heads(batch.getHeads()),
        elementBytes(batch.getDtype().getIntOrFloatBitWidth() / 8),
        builder(OpBuilder::atBlockEnd(&program.getBody().front())) {}

  /// Returns the heads of rows that the rank receives or sends, the larger.
  int64_t run() {
    for (RemoteStage &stage : remoteStagesOf(program)) {
      receivedHeads +=
          stage.numHeads() * countRows(stage.exchange.getReceived());
      if (stage.relayed)
        receivedHeads +=
            stage.numHeads() * countRows(stage.relayed.getReceived());
      if (!stage.hasOwnRows())
        continue;
      addReceived(stage, /*isSaved=*/false,
                  {Kind::remote_key, Kind::remote_value}, workspace);
      addReceived(stage, /*isSaved=*/true, {Kind::saved_key, Kind::saved_value},
                  saved);
    }
    // Received rows serve both passes, all else one of them.
    Memory forward(workspace.size()), backward(workspace.size());
    if (int64_t shared = countRows(sharedQueries(program)))
      addBuffer(Kind::accumulator, /*stage=*/0, shared, queryFloats(), forward);
    addGradients(backward);
    program.setWorkspaceBytes(forward.size());
    program.setBackwardWorkspaceBytes(backward.size());
    program.setSavedBytes(saved.size());
    return 2 * std::max(receivedHeads, sentHeads);
  }

private:
  int64_t queryFloats() { return heads.getQ() * heads.getDim() * 4; }
  int64_t keyFloats() { return heads.getKv() * heads.getDim() * 4; }

  void addBuffer(Kind kind, int64_t stage, int64_t rows, int64_t rowBytes,
                 Memory &memory) {
    int64_t offset = memory.take(rows * rowBytes);
    cp::BufferOp::create(builder, loc, kind, stage, offset, rows);
  }

  /// Adds the key and the value buffer of what a stage receives and saves, or
  /// does not save.
  void addReceived(RemoteStage &stage, bool isSaved, std::array<Kind, 2> kinds,
                   Memory &memory) {
    int64_t rows = countRows(heldTokens(stage, isSaved));
    if (rows == 0)
      return;
    for (Kind kind : kinds)
      addBuffer(kind, stage.number(), rows,
                heads.getKv() * heads.getDim() * elementBytes, memory);
    remoteRows.push_back({stage.number(), rows});
  }

  void addGradients(Memory &memory) {
    int64_t own = countRows(program.getLayout());
    addBuffer(Kind::delta, 0, own, heads.getQ() * 4, memory);
    addBuffer(Kind::query_sum, 0, own, queryFloats(), memory);
    addBuffer(Kind::key_sum, 0, own, keyFloats(), memory);
    addBuffer(Kind::value_sum, 0, own, keyFloats(), memory);
    for (auto [stage, rows] : remoteRows) {
      addBuffer(Kind::remote_key_sum, stage, rows, keyFloats(), memory);
      addBuffer(Kind::remote_value_sum, stage, rows, keyFloats(), memory);
    }
    // Twice: K and V.
    int64_t headBytes = heads.getDim() * elementBytes;
    addBuffer(Kind::outgoing, 0, 2 * receivedHeads, headBytes, memory);
    addBuffer(Kind::incoming, 0, 2 * sentHeads, headBytes, memory);
  }

  cp::ProgramOp program;
  Location loc;
  int64_t sentHeads;
  cp::HeadsAttr heads;
  int64_t elementBytes;
  OpBuilder builder;
  Memory workspace, saved;
  SmallVector<std::pair<int64_t, int64_t>> remoteRows; // stage, rows
  int64_t receivedHeads = 0;                           // of rows, by messages
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
    SmallVector<int64_t> sent = countSentHeads(batch, analysis);
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
      int64_t most = Allocator(batch, program, sent[program.getRank()]).run();
      if (most <= std::numeric_limits<uint32_t>::max())
        continue;
      program.emitError() << std::string(kPlanTooLarge) << "rank "
                          << program.getRank() << " exchanges " << most
                          << " heads of K and V rows, more than the 2^32 - 1 "
                             "that a plan counts: use more ranks";
      return signalPassFailure();
    }
  }
};

} // namespace
} // namespace flashcp
