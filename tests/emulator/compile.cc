// One JIT for each kernel: what is not launched is not compiled.

#include "tests/emulator/compile.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Utils/Mem2Reg.h"
#include "support/status_macros.h"
#include "tests/emulator/runtime_calls.h"
#include "tests/emulator/translate.h"

namespace flashcp::emulator {
namespace {

absl::Status ToStatus(llvm::Error error) {
  return absl::InternalError(absl::StrCat("LLVM: ", llvm::toString(std::move(error))));
}

void InitialiseLlvm() {
  static const bool initialised = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    return true;
  }();
  (void)initialised;
}

// Turns registers from memory into values, and folds. Code is called for a few tiles only, and most
// of their time goes to collectives: what more passes and a better register allocation gain at run
// time they lose many times over here.
void Optimise(llvm::Module& module, llvm::TargetMachine* machine) {
  llvm::PassBuilder builder(machine);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::PromotePass());
  passes.addPass(llvm::EarlyCSEPass());
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) passes.run(function, functions);
  }
}

absl::Status Verify(const llvm::Module& module) {
  std::string problem;
  llvm::raw_string_ostream stream(problem);
  if (!llvm::verifyModule(module, &stream)) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("the translation is malformed: ", stream.str()));
}

absl::Status DefineRuntimeCalls(llvm::orc::LLJIT& jit) {
  llvm::orc::SymbolMap symbols;
  for (const auto& [name, address] : RuntimeCalls()) {
    symbols[jit.mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(address),
                                          llvm::JITSymbolFlags::Exported};
  }
  llvm::orc::JITDylib& library = jit.getMainJITDylib();
  if (auto error = library.define(llvm::orc::absoluteSymbols(std::move(symbols)))) {
    return ToStatus(std::move(error));
  }
  // exp2f and the like.
  auto process = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      jit.getDataLayout().getGlobalPrefix());
  if (!process) return ToStatus(process.takeError());
  library.addGenerator(std::move(*process));
  return absl::OkStatus();
}

}  // namespace

struct HostCode::State {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

HostCode::HostCode(std::unique_ptr<State> state) : state_(std::move(state)) {}
HostCode::~HostCode() = default;

absl::StatusOr<std::unique_ptr<HostCode>> HostCode::Compile(
    const std::vector<ptx::Variable>& module_variables,
    const std::map<std::string, uint64_t>& addresses, Kernel* kernel) {
  InitialiseLlvm();
  auto builder = llvm::orc::JITTargetMachineBuilder::detectHost();
  if (!builder) return ToStatus(builder.takeError());
  builder->setCodeGenOptLevel(llvm::CodeGenOptLevel::None);
  auto machine = builder->createTargetMachine();
  if (!machine) return ToStatus(machine.takeError());
  auto jit = llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(*builder).create();
  if (!jit) return ToStatus(jit.takeError());

  auto context = std::make_unique<llvm::LLVMContext>();
  auto module = std::make_unique<llvm::Module>(kernel->code.name, *context);
  module->setDataLayout((*jit)->getDataLayout());
  module->setTargetTriple((*machine)->getTargetTriple());
  RETURN_IF_ERROR(Translator(kernel, module_variables, addresses, module.get()).Run());
  RETURN_IF_ERROR(Verify(*module));
  Optimise(*module, machine->get());

  RETURN_IF_ERROR(DefineRuntimeCalls(**jit));
  llvm::orc::ThreadSafeModule code(std::move(module), std::move(context));
  if (auto error = (*jit)->addIRModule(std::move(code))) return ToStatus(std::move(error));
  auto entry = (*jit)->lookup(kernel->code.name);
  if (!entry) return ToStatus(entry.takeError());
  kernel->entry = entry->toPtr<Kernel::Entry>();
  auto state = std::make_unique<State>();
  state->jit = std::move(*jit);
  return std::unique_ptr<HostCode>(new HostCode(std::move(state)));
}

}  // namespace flashcp::emulator
