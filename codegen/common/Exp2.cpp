// Splits x into n + f and multiplies a polynomial for 2^f by 2^n, whose bits
// are those of n.

#include "codegen/common/Exp2.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace flashcp::codegen {

static VectorType typeOf(Value vector) {
  return cast<VectorType>(vector.getType());
}

static VectorType intsLike(Emitter &emit, Value vector) {
  return typeOf(vector).clone(emit.builder.getI32Type());
}

// Returns coefficients[0] x^n + ... + coefficients[n].
static Value buildPolynomial(Emitter &emit, ArrayRef<float> coefficients,
                             Value x) {
  Value sum = emit.constant(typeOf(x), coefficients[0]);
  for (float coefficient : coefficients.drop_front())
    sum = emit.fma(sum, x, emit.constant(typeOf(x), coefficient));
  return sum;
}

Value buildPower(Emitter &emit, Value exponent) {
  Value bits = arith::ShLIOp::create(emit.builder, exponent,
                                     emit.constant(typeOf(exponent), 23));
  auto floats = typeOf(exponent).clone(emit.builder.getF32Type());
  return vector::BitCastOp::create(emit.builder, floats, bits);
}

// 2^x = 2^n 2^f with n = round(x) and |f| <= 1/2. Adding 1.5 * 2^23 rounds to
// an integer, and leaves n + 127, the exponent of 2^n, in the low bits of the
// sum; below -127 that exponent is 0, the number 0. A NaN stays one in f.
Value buildExp2ByRounding(Emitter &emit, Value x) {
  static constexpr float coefficients[] = {1.32647296e-3f, 9.67151485e-3f,
                                           5.55073358e-2f, 2.40222424e-1f,
                                           6.93147004e-1f, 1.0f};
  Value shifter = emit.constant(typeOf(x), 12582912.0f + 127.0f);
  Value clamped = emit.maxf(emit.constant(typeOf(x), -127.0f), x);
  Value shifted = emit.addf(clamped, shifter);
  Value fraction = emit.subf(clamped, emit.subf(shifted, shifter));
  Value exponent =
      vector::BitCastOp::create(emit.builder, intsLike(emit, x), shifted);
  return emit.mulf(buildPolynomial(emit, coefficients, fraction),
                   buildPower(emit, exponent));
}

Value buildExp2OfFraction(Emitter &emit, Value fraction) {
  static constexpr float coefficients[] = {1.8669526e-3f, 9.017481e-3f,
                                           5.5799514e-2f, 2.401646e-1f,
                                           6.931513e-1f,  1.0f};
  return buildPolynomial(emit, coefficients, fraction);
}

} // namespace flashcp::codegen
