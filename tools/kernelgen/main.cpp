// flashcp-kernelgen: writes the kernels of CPUs, as MLIR, LLVM IR, assembly or
// an object, or the table that tells the runtime what they are; and those of
// GPUs, as MLIR, LLVM IR or PTX.

#include "tools/kernelgen/Request.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/WithColor.h"

namespace cl = llvm::cl;
using namespace flashcp::kernelgen;

std::string flashcp::kernelgen::dimsText(codegen::HeadDims dims) {
  std::string text = std::to_string(dims.dim);
  if (dims.valueDim != dims.dim)
    text += ":" + std::to_string(dims.valueDim);
  return text;
}

int flashcp::kernelgen::fail(const llvm::Twine &message) {
  llvm::WithColor::error(llvm::errs(), "flashcp-kernelgen") << message << "\n";
  return 2;
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
    "Of CPUs: " + x86TargetNames() +
    "; by default all, as --emit mlir and table can. Of GPUs: " +
    gpuTargetNames();
static const std::string dimHelp =
    "One kernel, by the dim of its heads (192:128: V has another): " +
    x86DimNames() +
    "; GPUs: none is the kernels that move memory; by default all";
static cl::opt<std::string> targetName("target", cl::cat(category),
                                       cl::init("all"), cl::desc(targetHelp));
static cl::opt<std::string> dims("dim", cl::cat(category), cl::init("all"),
                                 cl::desc(dimHelp));
static cl::opt<std::string>
    element("dtype", cl::cat(category), cl::init("all"),
            cl::desc("One element type of GPU kernels: bf16, f16; by default "
                     "all"));
static cl::opt<bool>
    emulated("emulated", cl::cat(category),
             cl::desc("Kernels that any x86-64-v3 runs, slowly, for tests"));
static cl::opt<std::string> function("function", cl::cat(category),
                                     cl::init("GeneratedKernels"),
                                     cl::desc("What --emit table defines"));
static cl::opt<std::string>
    outputName("o", cl::cat(category), cl::init("-"),
               cl::desc("The file to write; by default standard output"));
static cl::opt<Output, false, OutputParser> emission(
    "emit", cl::cat(category), cl::init(Output::mlir),
    cl::desc("What to write; by default mlir:"),
    cl::values(clEnumValN(Output::mlir, "mlir",
                          "the kernels before they are lowered"),
               clEnumValN(Output::llvm, "llvm", "optimised LLVM IR"),
               clEnumValN(Output::assembly, "asm", "assembly"),
               clEnumValN(Output::object, "obj", "an ELF object"),
               clEnumValN(Output::table, "table",
                          "C++ source that lists the kernels; of GPUs, a "
                          "line for each"),
               clEnumValN(Output::ptx, "ptx", "PTX, of GPUs")));

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  if (!cl::ParseCommandLineOptions(argc, argv, "FlashCP kernel generator\n",
                                   &llvm::errs()))
    return 2;
  Request request = {targetName, dims,     element,
                     emulated,   function, emission.getValue()};
  std::error_code error;
  llvm::ToolOutputFile file(outputName, error, llvm::sys::fs::OF_None);
  if (error)
    return fail(outputName + ": " + error.message());
  int code = isGpuTarget(request.target) ? writeGpuKernels(request, file.os())
                                         : writeX86Kernels(request, file.os());
  if (code != 0)
    return code;
  file.os().flush();
  if (std::error_code failed = file.os().error()) {
    file.os().clear_error();
    fail(outputName + ": " + failed.message());
    return 1;
  }
  file.keep();
  return 0;
}
