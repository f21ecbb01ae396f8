// 2^x of the exponential of softmax, with the instructions of an x86 target.

#ifndef FLASHCP_CODEGEN_X86_EXP2_H_
#define FLASHCP_CODEGEN_X86_EXP2_H_

#include "codegen/x86/VectorEmitter.h"

namespace flashcp::codegen::x86 {

/// Builds 2^x for x <= 0, as exact as buildExp2ByRounding on every target.
mlir::Value buildExp2(VectorEmitter &emit, mlir::Value x);

} // namespace flashcp::codegen::x86

#endif // FLASHCP_CODEGEN_X86_EXP2_H_
