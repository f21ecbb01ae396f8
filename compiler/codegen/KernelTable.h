// Tells the runtime, in C++, what kernels there are and how they are blocked.

#ifndef FLASHCP_COMPILER_CODEGEN_KERNELTABLE_H_
#define FLASHCP_COMPILER_CODEGEN_KERNELTABLE_H_

#include "compiler/codegen/KernelShape.h"

#include "llvm/Support/raw_ostream.h"

namespace flashcp::codegen {

/// Writes a C++ source file that defines `function`, declared in
/// runtime/cpu/generated_kernels.h, to return a descriptor of each kernel.
void emitTable(llvm::ArrayRef<KernelShape> shapes, llvm::StringRef function,
               llvm::raw_ostream &output);

} // namespace flashcp::codegen

#endif // FLASHCP_COMPILER_CODEGEN_KERNELTABLE_H_
