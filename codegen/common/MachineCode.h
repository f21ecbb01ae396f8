// LLVM's optimiser and code generator, for a module of kernels and any machine.

#ifndef FLASHCP_CODEGEN_COMMON_MACHINECODE_H_
#define FLASHCP_CODEGEN_COMMON_MACHINECODE_H_

#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

namespace flashcp::codegen {

/// Form in which kernels leave a generator; `mlir` is the one before lowering.
enum class Emission { mlir, llvm, assembly, object };

/// Optimises the module for the machine, whose triple and data layout it gets.
void optimise(llvm::Module &module, llvm::TargetMachine &machine);

/// Writes the module in any form but `mlir`; returns false if the machine
/// cannot write this kind of file.
bool writeCode(llvm::Module &module, llvm::TargetMachine &machine,
               Emission emission, llvm::raw_pwrite_stream &output);

} // namespace flashcp::codegen

#endif // FLASHCP_CODEGEN_COMMON_MACHINECODE_H_
