// 2^x of vectors of any width without a target's instructions: the polynomials
// that the exponential of softmax is made of.

#ifndef FLASHCP_CODEGEN_COMMON_EXP2_H_
#define FLASHCP_CODEGEN_COMMON_EXP2_H_

#include "codegen/common/Emitter.h"

namespace flashcp::codegen {

/// Builds 2^x for x <= 0, with a relative error of at most 2^-22 down to -126,
/// where normal numbers end; 0 from -126.5 down; NaN for NaN. See
/// docs/kernels.md.
mlir::Value buildExp2ByRounding(Emitter &emit, mlir::Value x);

/// Builds 2^f for 0 <= f <= 1, for targets that split x by floor(x).
mlir::Value buildExp2OfFraction(Emitter &emit, mlir::Value fraction);

/// Builds the float whose exponent, biased, is in the low bits of `exponent`,
/// a vector of i32.
mlir::Value buildPower(Emitter &emit, mlir::Value exponent);

} // namespace flashcp::codegen

#endif // FLASHCP_CODEGEN_COMMON_EXP2_H_
