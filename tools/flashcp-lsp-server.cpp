// flashcp-lsp-server: completion, hover and diagnostics for cp IR in editors that speak LSP.

#include "dialects/cp/CP.h"

#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<flashcp::cp::CPDialect>();
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
