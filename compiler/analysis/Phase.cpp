// The phase of a batch follows from the last kind of ops that it holds.

#include "compiler/analysis/Phase.h"

#include "compiler/analysis/OwnedRanges.h"

using namespace mlir;

namespace flashcp {
namespace {

template <typename Op> bool holds(cp::BatchOp batch) {
  return !batch.getBody().getOps<Op>().empty();
}

/// The phase that the ops show. Transfers may be missing because nobody needs
/// any: placed then stands for communicating as well.
Phase phaseOf(cp::BatchOp batch) {
  if (holds<cp::ProgramOp>(batch)) {
    bool complete = llvm::all_of(
        batch.getBody().getOps<cp::ProgramOp>(), [](cp::ProgramOp program) {
          return program.getWorkspaceBytes() &&
                 !program.getBody().getOps<cp::BackwardOp>().empty();
        });
    return complete ? Phase::complete : Phase::scheduled;
  }
  if (holds<cp::TransferOp>(batch))
    return Phase::communicating;
  return holds<cp::ShardOp>(batch) ? Phase::placed : Phase::problem;
}

/// Whether some tile of a placed batch reads rows that its rank does not own.
bool needsTransfers(cp::BatchOp batch) {
  for (auto attend : batch.getBody().getOps<cp::TilesOp>()) {
    OwnedRanges owned(attend.getShardOp());
    for (const cp::RankTile &tile : attend.getTiles()) {
      bool missing = false;
      owned.forEachMissing(tile.rank, tile.keyBegin, tile.keyEnd,
                           [&](int64_t, int64_t) { missing = true; });
      if (missing)
        return true;
    }
  }
  return false;
}

bool isIn(cp::BatchOp batch, Phase found, Phase wanted) {
  if (found == wanted)
    return true;
  if (found == Phase::problem && !holds<cp::DocumentOp>(batch))
    return wanted <= Phase::communicating;
  return found == Phase::placed && wanted == Phase::communicating &&
         !needsTransfers(batch);
}

StringRef nameOf(Phase phase) {
  static constexpr StringRef kNames[] = {
      "problem", "placed", "communicating", "scheduled",
      "scheduled with buffers and a backward pass"};
  return kNames[int(phase)];
}

/// What takes a batch to a phase.
StringRef passesTo(Phase phase) {
  static constexpr StringRef kPasses[] = {
      "cp-import-batch", "cp-place-documents", "cp-insert-transfers",
      "cp-schedule-stages", "cp-allocate-buffers and cp-derive-backward"};
  return kPasses[int(phase)];
}

} // namespace

LogicalResult requirePhase(cp::BatchOp batch, Phase wanted, StringRef pass) {
  Phase found = phaseOf(batch);
  if (isIn(batch, found, wanted))
    return success();
  InFlightDiagnostic error = batch.emitOpError()
                             << "is in phase " << nameOf(found) << ", and "
                             << pass << " takes phase " << nameOf(wanted);
  if (found < wanted)
    error << ": run " << passesTo(Phase(int(found) + 1)) << " first";
  else
    error << ": run it before " << passesTo(Phase(int(wanted) + 1));
  return error;
}

} // namespace flashcp
