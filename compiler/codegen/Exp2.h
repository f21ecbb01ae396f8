// 2^x of vectors: the exponential of softmax.

#ifndef FLASHCP_COMPILER_CODEGEN_EXP2_H_
#define FLASHCP_COMPILER_CODEGEN_EXP2_H_

#include "compiler/codegen/Emitter.h"

namespace flashcp::codegen {

/// 2^x for x <= 0, with a relative error of at most 2^-22 down to -126, where
/// normal numbers end; 0 from -126.5 down; NaN for NaN. See docs/kernels.md.
mlir::Value buildExp2(Emitter &emit, mlir::Value x);

} // namespace flashcp::codegen

#endif // FLASHCP_COMPILER_CODEGEN_EXP2_H_
