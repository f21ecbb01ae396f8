// cp-import-batch: LENGTHS become cp.batch ops in phase problem.

#include "compiler/analysis/BatchRequest.h"
#include "compiler/input/batch_options.h"
#include "compiler/passes/Passes.h"
#include "support/status_macros.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_IMPORTBATCH
#include "compiler/passes/Passes.h.inc"

namespace {

struct ImportBatchPass : impl::ImportBatchBase<ImportBatchPass> {
  using ImportBatchBase::ImportBatchBase;
  ImportBatchPass() = default;
  // Options register with their pass, and Pass::clone copies their values.
  ImportBatchPass(const ImportBatchPass &other) : ImportBatchBase(other) {}

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
    BatchTexts texts;
    for (const std::unique_ptr<TextOption> &option : batchOptions)
      texts[option->getArgStr().str()] = option->getValue();
    ASSIGN_OR_RETURN(BatchSettings settings, ReadBatchOptions("", texts));
    ASSIGN_OR_RETURN(std::vector<Batch> batches,
                     ReadLengths(lengths, settings.mask));
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    for (auto [i, batch] : llvm::enumerate(batches)) {
      ASSIGN_OR_RETURN(CompileRequest request,
                       MakeRequest(settings, std::move(batch)));
      buildBatch(builder, module.getLoc(), "batch" + std::to_string(i),
                 request);
    }
    return absl::OkStatus();
  }

  using TextOption = Option<std::string>;

  /// Returns one option for each of BatchOptions().
  std::vector<std::unique_ptr<TextOption>> makeBatchOptions() {
    std::vector<std::unique_ptr<TextOption>> options;
    for (const BatchOption &option : BatchOptions())
      options.push_back(std::make_unique<TextOption>(
          *this, option.name, llvm::cl::desc(option.help),
          llvm::cl::init(std::string(option.preset))));
    return options;
  }

  std::vector<std::unique_ptr<TextOption>> batchOptions = makeBatchOptions();
};

} // namespace
} // namespace flashcp
