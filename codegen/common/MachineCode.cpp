// Runs LLVM's default pipeline at -O3 in process, then the machine's own
// passes.

#include "codegen/common/MachineCode.h"

#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Passes/PassBuilder.h"

namespace flashcp::codegen {

void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  module.setTargetTriple(machine.getTargetTriple());
  module.setDataLayout(machine.createDataLayout());
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
}

bool writeCode(llvm::Module &module, llvm::TargetMachine &machine,
               Emission emission, llvm::raw_pwrite_stream &output) {
  if (emission == Emission::llvm) {
    module.print(output, nullptr);
    return true;
  }
  llvm::legacy::PassManager generator;
  auto type = emission == Emission::assembly
                  ? llvm::CodeGenFileType::AssemblyFile
                  : llvm::CodeGenFileType::ObjectFile;
  if (machine.addPassesToEmitFile(generator, output, nullptr, type))
    return false;
  generator.run(module);
  return true;
}

} // namespace flashcp::codegen
