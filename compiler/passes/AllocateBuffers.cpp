// cp-allocate-buffers: every received row, every partial result and every sum
// of gradients gets its place.

#include "compiler/analysis/BatchProblem.h"
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

int64_t countRows(ArrayRef<int64_t> ranges, size_t size = cp::kTokenRangeSize) {
  int64_t rows = 0;
  for (size_t i = 0; i < ranges.size(); i += size)
    rows += ranges[i + 2] - ranges[i + 1];
  return rows;
}

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

/// The heads of rows that each rank sends, of its own and of those that it
/// forwards.
SmallVector<int64_t> countSentHeads(cp::BatchOp batch) {
  SmallVector<int64_t> sent(batch.getRanks());
  // By document: where the number of receivers changes, and by how much.
  std::vector<SmallVector<std::pair<int64_t, int64_t>>> changes(
      documentsOf(batch).size());
  for (auto program : batch.getBody().getOps<cp::ProgramOp>())
    for (RemoteStage &stage : remoteStagesOf(program)) {
      ArrayRef<int64_t> r = stage.exchange.getReceived();
      for (size_t i = 0; i < r.size(); i += cp::kTokenRangeSize)
        changes[r[i]].append(
            {{r[i + 1], stage.numHeads()}, {r[i + 2], -stage.numHeads()}});
      if (!stage.forward)
        continue;
      ArrayRef<int64_t> f = stage.forward.getReceived();
      for (size_t i = 0; i < f.size(); i += cp::kForwardedSize)
        sent[f[i + 3]] += stage.numHeads() * (f[i + 2] - f[i + 1]);
    }
  for (auto [shard, ofDocument] :
       llvm::zip(batch.getBody().getOps<cp::ShardOp>(), changes)) {
    llvm::sort(ofDocument);
    int64_t receivers = 0, position = 0;
    const auto *next = ofDocument.begin();
    for (auto [i, owner] : llvm::enumerate(shard.getOwners())) {
      int64_t end = shard.getBounds()[i + 1];
      for (; next != ofDocument.end() && next->first < end; ++next) {
        sent[owner] += receivers * (next->first - position);
        position = next->first;
        receivers += next->second;
      }
      sent[owner] += receivers * (end - position);
      position = end;
    }
  }
  return sent;
}

/// Gives the buffers of one program their places.
class Allocator {
public:
  Allocator(cp::BatchOp batch, cp::ProgramOp program,
            const llvm::BitVector &kept, int64_t sentHeads)
      : program(program), loc(program.getLoc()), kept(kept),
        sentHeads(sentHeads), heads(batch.getHeads()),
        elementBytes(batch.getDtype().getIntOrFloatBitWidth() / 8),
        builder(OpBuilder::atBlockEnd(&program.getBody().front())) {}

  /// Returns the heads of rows that the rank receives or sends, the larger.
  int64_t run() {
    for (RemoteStage &stage : remoteStagesOf(program)) {
      ArrayRef<int64_t> forwarded;
      if (stage.forward)
        forwarded = stage.forward.getReceived();
      receivedHeads +=
          stage.numHeads() * (countRows(stage.exchange.getReceived()) +
                              countRows(forwarded, cp::kForwardedSize));
      if (!stage.hasOwnRows())
        continue;
      SmallVector<int64_t> held = heldTokens(stage);
      addReceived(stage, tokensOf(held, kept, /*wanted=*/false),
                  {cp::BufferKind::remote_key, cp::BufferKind::remote_value},
                  workspace);
      addReceived(stage, tokensOf(held, kept, /*wanted=*/true),
                  {cp::BufferKind::saved_key, cp::BufferKind::saved_value},
                  saved);
    }
    // Received rows serve both passes, all else one of them.
    Memory forward(workspace.size()), backward(workspace.size());
    addBuffer(cp::BufferKind::accumulator, /*stage=*/0, sharedQueries(program),
              queryFloats(), forward);
    addGradients(backward);
    program.setWorkspaceBytes(forward.size());
    program.setBackwardWorkspaceBytes(backward.size());
    program.setSavedBytes(saved.size());
    return 2 * std::max(receivedHeads, sentHeads);
  }

private:
  int64_t queryFloats() { return heads.getQ() * heads.getDim() * 4; }
  int64_t keyFloats() { return heads.getKv() * heads.getDim() * 4; }

  void addBuffer(cp::BufferKind kind, int64_t stage, ArrayRef<int64_t> holds,
                 int64_t rowBytes, Memory &memory) {
    if (holds.empty())
      return;
    int64_t offset = memory.take(countRows(holds) * rowBytes);
    cp::BufferOp::create(builder, loc, kind, stage, offset, holds);
  }

  void addReceived(RemoteStage &stage, ArrayRef<int64_t> holds,
                   std::array<cp::BufferKind, 2> kinds, Memory &memory) {
    if (holds.empty())
      return;
    int64_t number = stage.exchange.getStage();
    for (cp::BufferKind kind : kinds)
      addBuffer(kind, number, holds,
                heads.getKv() * heads.getDim() * elementBytes, memory);
    remoteRows.push_back({number, countRows(holds)});
  }

  void addGradient(cp::GradientKind kind, int64_t stage, int64_t rows,
                   int64_t rowBytes, Memory &memory) {
    int64_t offset = memory.take(rows * rowBytes);
    cp::GradientBufferOp::create(builder, loc, kind, stage, offset, rows);
  }

  void addGradients(Memory &memory) {
    using Kind = cp::GradientKind;
    int64_t own = countRows(program.getLayout());
    addGradient(Kind::delta, 0, own, heads.getQ() * 4, memory);
    addGradient(Kind::query_sum, 0, own, queryFloats(), memory);
    addGradient(Kind::key_sum, 0, own, keyFloats(), memory);
    addGradient(Kind::value_sum, 0, own, keyFloats(), memory);
    for (auto [stage, rows] : remoteRows) {
      addGradient(Kind::remote_key_sum, stage, rows, keyFloats(), memory);
      addGradient(Kind::remote_value_sum, stage, rows, keyFloats(), memory);
    }
    // Of K and of V.
    int64_t headBytes = heads.getDim() * elementBytes;
    addGradient(Kind::outgoing, 0, 2 * receivedHeads, headBytes, memory);
    addGradient(Kind::incoming, 0, 2 * sentHeads, headBytes, memory);
  }

  cp::ProgramOp program;
  Location loc;
  const llvm::BitVector &kept;
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
    llvm::BitVector kept = keptDocuments(batch);
    SmallVector<int64_t> sent = countSentHeads(batch);
    for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
      if (program.getWorkspaceBytes()) {
        program.emitOpError() << "has buffers already";
        return signalPassFailure();
      }
      int64_t most =
          Allocator(batch, program, kept, sent[program.getRank()]).run();
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
