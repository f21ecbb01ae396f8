// cp-allocate-buffers: every received row and every partial result gets its
// place in the workspace.

#include "compiler/Passes.h"
#include "compiler/RemoteStages.h"
#include "compiler/SharedQueries.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_ALLOCATEBUFFERS
#include "compiler/Passes.h.inc"

namespace {

constexpr int64_t kAlignment =
    64; // bytes: a cache line, and every vector width

int64_t countRows(ArrayRef<int64_t> ranges) {
  int64_t rows = 0;
  for (size_t i = 0; i < ranges.size(); i += cp::kTokenRangeSize)
    rows += ranges[i + 2] - ranges[i + 1];
  return rows;
}

/// Hands out consecutive places of the workspace.
class Workspace {
public:
  explicit Workspace(cp::ProgramOp program)
      : loc(program.getLoc()),
        builder(OpBuilder::atBlockEnd(&program.getBody().front())) {}

  void add(cp::BufferKind kind, int64_t stage, ArrayRef<int64_t> holds,
           int64_t bytesPerRow) {
    if (holds.empty())
      return;
    cp::BufferOp::create(builder, loc, kind, stage, bytes, holds);
    bytes = llvm::alignTo(bytes + countRows(holds) * bytesPerRow, kAlignment);
  }

  int64_t size() const { return bytes; }

private:
  Location loc;
  OpBuilder builder;
  int64_t bytes = 0;
};

struct AllocateBuffersPass : impl::AllocateBuffersBase<AllocateBuffersPass> {
  using AllocateBuffersBase::AllocateBuffersBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    cp::HeadsAttr heads = batch.getHeads();
    int64_t elementBytes = batch.getDtype().getIntOrFloatBitWidth() / 8;
    int64_t keyBytes = heads.getKv() * heads.getDim() * elementBytes;
    int64_t accumulatorBytes = heads.getQ() * heads.getDim() * sizeof(float);
    for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
      Workspace workspace(program);
      for (RemoteStage &stage : remoteStagesOf(program)) {
        SmallVector<int64_t> holds = heldTokens(stage);
        for (auto kind :
             {cp::BufferKind::remote_key, cp::BufferKind::remote_value})
          workspace.add(kind, stage.exchange.getStage(), holds, keyBytes);
      }
      workspace.add(cp::BufferKind::accumulator, /*stage=*/0,
                    sharedQueries(program), accumulatorBytes);
      program.setWorkspaceBytes(workspace.size());
    }
  }
};

} // namespace
} // namespace flashcp
