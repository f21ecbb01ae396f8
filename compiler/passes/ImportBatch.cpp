// cp-import-batch: LENGTHS become cp.batch ops in phase problem.

#include "compiler/analysis/BatchProblem.h"
#include "compiler/input/cluster_file.h"
#include "compiler/input/lengths.h"
#include "compiler/passes/Passes.h"
#include "model/mask.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_IMPORTBATCH
#include "compiler/passes/Passes.h.inc"

namespace {

struct ImportBatchPass : impl::ImportBatchBase<ImportBatchPass> {
  using ImportBatchBase::ImportBatchBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (absl::Status status = import(module); !status.ok()) {
      module.emitError() << std::string(status.message());
      signalPassFailure();
    }
  }

  absl::Status import(ModuleOp module) {
    if (lengths.empty())
      return absl::InvalidArgumentError(
          "option lengths of cp-import-batch names no file");
    absl::StatusOr<model::Mask> defaultMask = model::ParseMask(mask.getValue());
    if (!defaultMask.ok())
      return defaultMask.status();
    absl::StatusOr<std::vector<Batch>> batches =
        ReadLengths(lengths, *defaultMask);
    if (!batches.ok())
      return batches.status();
    solver::Problem problem;
    absl::StatusOr<model::Cluster> found = FindCluster(cluster);
    if (!found.ok())
      return found.status();
    problem.cluster = *std::move(found);
    problem.ranks = ranks;
    problem.heads.query = queryHeads;
    problem.heads.key_value = keyValueHeads;
    problem.heads.dim = headDim;

    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    for (auto [i, batch] : llvm::enumerate(*batches)) {
      problem.documents = batch;
      if (absl::Status status = problem.Check(); !status.ok())
        return status;
      buildBatch(builder, module.getLoc(), "batch" + std::to_string(i),
                 problem);
    }
    return absl::OkStatus();
  }
};

} // namespace
} // namespace flashcp
