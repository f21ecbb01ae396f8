// flashcp-kernelgen: writes the CPU's attention kernels, as MLIR, LLVM IR,
// assembly or an object, or the table that tells the runtime what they are.

#include "codegen/x86/KernelTable.h"
#include "codegen/x86/Lowering.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/WithColor.h"

namespace cl = llvm::cl;
using namespace flashcp::codegen;
using namespace flashcp::codegen::x86;

enum class Output { mlir, llvm, assembly, object, table };

static std::string dimsOf(const KernelShape &shape) {
  if (shape.anyDim)
    return "any";
  std::string text = std::to_string(shape.dim);
  if (shape.valueDim != shape.dim)
    text += ":" + std::to_string(shape.valueDim);
  return text;
}

// Return the values of --target and --dim, as in "64, 96, any".
static std::string targetNames() {
  return llvm::join(llvm::map_range(kernelTargets(),
                                    [](const KernelTarget &target) {
                                      return target.name.str();
                                    }),
                    ", ");
}
static std::string dimNames() {
  return llvm::join(
      llvm::map_range(kernelShapes(kernelTargets().front(), false), dimsOf),
      ", ");
}

// A parser whose errors list the values, as cl's own does not.
struct OutputParser : cl::parser<Output> {
  explicit OutputParser(cl::Option &option) : cl::parser<Output>(option) {}

  bool parse(cl::Option &option, llvm::StringRef flag, llvm::StringRef text,
             Output &output) {
    if (findOption(text) < getNumOptions())
      return cl::parser<Output>::parse(option, flag, text, output);
    std::string names;
    for (unsigned i = 0; i < getNumOptions(); ++i)
      names += (i == 0 ? "" : ", ") + getOption(i).str();
    return option.error("expected one of " + names + ", found '" + text + "'");
  }
};

static cl::OptionCategory category("Kernels");
static const std::string targetHelp =
    targetNames() + "; by default all, as --emit mlir and table can";
static const std::string dimHelp =
    "One kernel, by the dim of its heads (192:128: V has another): " +
    dimNames() + "; by default all";
static cl::opt<std::string> targetName("target", cl::cat(category),
                                       cl::init("all"), cl::desc(targetHelp));
static cl::opt<std::string> dims("dim", cl::cat(category), cl::init("all"),
                                 cl::desc(dimHelp));
static cl::opt<bool>
    emulated("emulated", cl::cat(category),
             cl::desc("Kernels that any x86-64-v3 runs, slowly, for tests"));
static cl::opt<std::string> function("function", cl::cat(category),
                                     cl::init("GeneratedKernels"),
                                     cl::desc("What --emit table defines"));
static cl::opt<std::string>
    outputName("o", cl::cat(category), cl::init("-"),
               cl::desc("The file to write; by default standard output"));
static cl::opt<Output, false, OutputParser>
    emission("emit", cl::cat(category), cl::init(Output::mlir),
             cl::desc("What to write; by default mlir:"),
             cl::values(clEnumValN(Output::mlir, "mlir",
                                   "the kernels before they are lowered"),
                        clEnumValN(Output::llvm, "llvm", "optimised LLVM IR"),
                        clEnumValN(Output::assembly, "asm", "assembly"),
                        clEnumValN(Output::object, "obj", "an ELF object"),
                        clEnumValN(Output::table, "table",
                                   "C++ source that lists the kernels")));

static int fail(const llvm::Twine &message) {
  llvm::WithColor::error(llvm::errs(), "flashcp-kernelgen") << message << "\n";
  return 2;
}

// Returns whether --function can be the name of a C++ function.
static bool isIdentifier(llvm::StringRef name) {
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

// Returns the kernels that the flags name.
static std::vector<KernelShape> chosenShapes() {
  std::vector<KernelShape> chosen;
  for (const KernelTarget &target : kernelTargets()) {
    if (targetName != "all" && target.name != targetName)
      continue;
    for (const KernelShape &shape : kernelShapes(target, emulated))
      if (dims == "all" || dims == dimsOf(shape))
        chosen.push_back(shape);
  }
  return chosen;
}

static mlir::LogicalResult write(llvm::ArrayRef<KernelShape> shapes,
                                 llvm::raw_pwrite_stream &output) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  mlir::OwningOpRef<mlir::ModuleOp> module = buildKernels(context, shapes);
  static constexpr Emission emissions[] = {
      Emission::mlir, Emission::llvm, Emission::assembly, Emission::object};
  return emitKernels(*module, shapes.front(),
                     emissions[static_cast<int>(emission.getValue())], output);
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  if (!cl::ParseCommandLineOptions(argc, argv, "FlashCP CPU kernel generator\n",
                                   &llvm::errs()))
    return 2;
  std::vector<KernelShape> shapes = chosenShapes();
  if (shapes.empty())
    return fail("no kernel for --target " + targetName + " --dim " + dims +
                "; targets are " + targetNames() + ", dims " + dimNames() +
                ", which serves the other multiples of " +
                llvm::Twine(kDimStep) + " up to " + llvm::Twine(kMaxDim));
  if (targetName == "all" && emission != Output::table &&
      emission != Output::mlir)
    return fail("code is for one target: choose --target " + targetNames());
  if (!isIdentifier(function))
    return fail("--function: expected a C++ identifier, found '" + function +
                "'");
  std::error_code error;
  llvm::ToolOutputFile file(outputName, error, llvm::sys::fs::OF_None);
  if (error)
    return fail(outputName + ": " + error.message());
  if (emission == Output::table) {
    emitTable(shapes, function, file.os());
  } else {
    // Code generation seeks, which standard output cannot.
    llvm::SmallVector<char> bytes;
    llvm::raw_svector_ostream stream(bytes);
    if (mlir::failed(write(shapes, stream)))
      return 1;
    file.os() << llvm::StringRef(bytes.data(), bytes.size());
  }
  file.os().flush();
  if (std::error_code failed = file.os().error()) {
    file.os().clear_error();
    fail(outputName + ": " + failed.message());
    return 1;
  }
  file.keep();
  return 0;
}
