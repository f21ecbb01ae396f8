// Structured control flow becomes branches, all else ops of the LLVM dialect;
// LLVM's NVPTX backend writes PTX.

#include "codegen/nvptx/Lowering.h"

#include "codegen/nvptx/Kernels.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;

namespace flashcp::codegen::nvptx {

static constexpr llvm::StringLiteral triple = "nvptx64-nvidia-cuda";

void loadDialects(MLIRContext &context) {
  registerBuiltinDialectTranslation(context);
  registerLLVMDialectTranslation(context);
  registerNVVMDialectTranslation(context);
  context.loadDialect<arith::ArithDialect, cf::ControlFlowDialect,
                      LLVM::LLVMDialect, NVVM::NVVMDialect, scf::SCFDialect,
                      vector::VectorDialect>();
}

// Adds the kernels that move memory, which no head dimension concerns.
static void buildMemoryKernels(ModuleOp module) {
  buildClear(module);
  buildCopy(module);
  for (Element element : {Element::bf16, Element::f16}) {
    buildRound(module, element);
    buildAdd(module, element);
    buildProduct(module, element);
    buildMerge(module, element);
  }
}

OwningOpRef<ModuleOp> buildKernels(MLIRContext &context,
                                   llvm::ArrayRef<AttentionShape> forward,
                                   llvm::ArrayRef<AttentionShape> backward,
                                   bool memory) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  for (const AttentionShape &shape : forward)
    buildForward(*module, shape);
  for (const AttentionShape &shape : backward)
    buildBackward(*module, shape);
  if (memory)
    buildMemoryKernels(*module);
  return module;
}

static void addCleanUp(PassManager &passes) {
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
}

static void addLowering(PassManager &passes) {
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createConvertNVVMToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  addCleanUp(passes);
}

static std::unique_ptr<llvm::TargetMachine> createMachine(const GpuTarget &gpu,
                                                          Location location) {
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(llvm::Triple(triple), error);
  if (!target) {
    emitError(location) << "LLVM has no target " << triple << ": " << error;
    return nullptr;
  }
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      llvm::Triple(triple), gpu.name, gpu.ptxFeature, llvm::TargetOptions(),
      std::nullopt, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

LogicalResult emitKernels(ModuleOp module, const GpuTarget &target,
                          Emission emission, llvm::raw_pwrite_stream &output) {
  PassManager passes(module->getContext());
  addCleanUp(passes);
  if (emission != Emission::mlir)
    addLowering(passes);
  if (failed(passes.run(module)))
    return failure();
  if (emission == Emission::mlir) {
    module.print(output);
    return success();
  }
  std::unique_ptr<llvm::TargetMachine> machine =
      createMachine(target, module.getLoc());
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> lowered =
      translateModuleToLLVMIR(module, context, "flashcp_kernels");
  if (!machine || !lowered)
    return failure();
  optimise(*lowered, *machine);
  if (!writeCode(*lowered, *machine, emission, output))
    return emitError(module.getLoc(), "LLVM cannot write this kind of file");
  return success();
}

} // namespace flashcp::codegen::nvptx
