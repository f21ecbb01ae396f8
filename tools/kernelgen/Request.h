// What the command line of flashcp-kernelgen asks for, and who answers: one
// function for CPUs, one for GPUs.

#ifndef FLASHCP_TOOLS_KERNELGEN_REQUEST_H_
#define FLASHCP_TOOLS_KERNELGEN_REQUEST_H_

#include "codegen/common/HeadDims.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/raw_ostream.h"

#include <string>

namespace flashcp::kernelgen {

enum class Output { mlir, llvm, assembly, object, table, ptx };

/// The flags; "all" chooses everything there is.
struct Request {
  std::string target;
  std::string dims;
  std::string element;
  bool emulated;
  std::string function;
  Output output;
};

/// Returns dims as --dim takes them: 64, or 192:128.
std::string dimsText(codegen::HeadDims dims);

/// Prints an error; returns exit code 2, for bad usage.
int fail(const llvm::Twine &message);

/// Return the values that --target and --dim take.
std::string x86TargetNames();
std::string x86DimNames();
std::string gpuTargetNames();

bool isGpuTarget(llvm::StringRef name);

/// Write the kernels; return the exit code.
int writeX86Kernels(const Request &request, llvm::raw_ostream &output);
int writeGpuKernels(const Request &request, llvm::raw_ostream &output);

} // namespace flashcp::kernelgen

#endif // FLASHCP_TOOLS_KERNELGEN_REQUEST_H_
