// flashcp-opt: runs any pass of the compiler, or the whole pipeline, on cp IR in text form.

#include "compiler/Pipeline.h"
#include "dialects/cp/CP.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<flashcp::cp::CPDialect>();
  flashcp::registerCompiler();
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "FlashCP optimizer driver\n", registry));
}
