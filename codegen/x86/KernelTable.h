// The table that tells the runtime, in C++, which kernels there are and how
// they are blocked.

#ifndef FLASHCP_CODEGEN_X86_KERNELTABLE_H_
#define FLASHCP_CODEGEN_X86_KERNELTABLE_H_

#include "codegen/x86/KernelShape.h"

#include "llvm/Support/raw_ostream.h"

namespace flashcp::codegen::x86 {

/// Writes a C++ source file that defines `function`, declared in
/// runtime/cpu/generated_kernels.h, to return a descriptor of each kernel.
void emitTable(llvm::ArrayRef<KernelShape> shapes, llvm::StringRef function,
               llvm::raw_ostream &output);

} // namespace flashcp::codegen::x86

#endif // FLASHCP_CODEGEN_X86_KERNELTABLE_H_
