// Vectors become x86 instructions, memory arguments bare pointers; each
// function carries its CPU.

#include "codegen/x86/Lowering.h"

#include "codegen/x86/Kernels.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;

namespace flashcp::codegen::x86 {

static constexpr llvm::StringLiteral triple = "x86_64-unknown-linux-gnu";

void loadDialects(MLIRContext &context) {
  registerBuiltinDialectTranslation(context);
  registerLLVMDialectTranslation(context);
  context.loadDialect<arith::ArithDialect, cf::ControlFlowDialect,
                      func::FuncDialect, LLVM::LLVMDialect,
                      memref::MemRefDialect, scf::SCFDialect,
                      vector::VectorDialect, x86vector::X86VectorDialect>();
}

OwningOpRef<ModuleOp> buildKernels(MLIRContext &context,
                                   ArrayRef<KernelShape> shapes) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  for (const KernelShape &shape : shapes) {
    buildForward(*module, shape);
    buildBackward(*module, shape);
  }
  return module;
}

// Tidies what the builders wrote; --emit mlir prints the result.
static void addCleanUp(PassManager &passes) {
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createLoopInvariantCodeMotionPass());
}

// Lowers structured control flow first, since the other passes work on blocks.
// Memory arguments become bare pointers: their shapes are static.
static void addLowering(PassManager &passes) {
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(memref::createExpandStridedMetadataPass());
  passes.addPass(createLowerAffinePass());
  ConvertVectorToLLVMPassOptions vector;
  vector.x86Vector = true;
  passes.addPass(createConvertVectorToLLVMPass(vector));
  passes.addPass(createFinalizeMemRefToLLVMConversionPass());
  passes.addPass(createArithToLLVMConversionPass());
  ConvertFuncToLLVMPassOptions func;
  func.useBarePtrCallConv = true;
  passes.addPass(createConvertFuncToLLVMPass(func));
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
}

// Creates LLVM's machine for a target; emulated kernels run on the oldest one.
static std::unique_ptr<llvm::TargetMachine>
createMachine(const KernelShape &shape, Location location) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(llvm::Triple(triple), error);
  if (!target) {
    emitError(location) << "LLVM has no target " << triple << ": " << error;
    return nullptr;
  }
  const KernelTarget &oldest = kernelTargets().front();
  const KernelTarget &cpu = shape.emulated ? oldest : *shape.target;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      llvm::Triple(triple), cpu.cpu, cpu.features, llvm::TargetOptions(),
      llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

// Gives functions their CPU. LLVM splits 512-bit vectors if it is told to
// prefer narrower ones, as it is for x86-64-v4.
static void setFunctionTargets(llvm::Module &module,
                               const llvm::TargetMachine &machine,
                               const KernelShape &shape) {
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine.getTargetCPU());
    function.addFnAttr("target-features", machine.getTargetFeatureString());
    if (shape.target->lanes == 16 && !shape.emulated)
      function.addFnAttr("prefer-vector-width", "512");
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
}

LogicalResult emitKernels(ModuleOp module, const KernelShape &shape,
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
      createMachine(shape, module.getLoc());
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> lowered =
      translateModuleToLLVMIR(module, context, "flashcp_kernels");
  if (!machine || !lowered)
    return failure();
  setFunctionTargets(*lowered, *machine, shape);
  optimise(*lowered, *machine);
  if (!writeCode(*lowered, *machine, emission, output))
    return emitError(module.getLoc(), "LLVM cannot write this kind of file");
  return success();
}

} // namespace flashcp::codegen::x86
