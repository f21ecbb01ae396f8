#include "compiler/codegen/Exp2.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;

namespace flashcp::codegen {

static constexpr float infinity = std::numeric_limits<float>::infinity();

// coefficients[0] x^n + ... + coefficients[n].
static Value buildPolynomial(Emitter &emit, ArrayRef<float> coefficients,
                             Value x) {
  Value sum = emit.splat(coefficients[0]);
  for (float coefficient : coefficients.drop_front())
    sum = emit.fma(sum, x, emit.splat(coefficient));
  return sum;
}

// The float whose exponent, biased, is in the low bits of `exponent`.
static Value buildPower(Emitter &emit, Value exponent) {
  Value bits = arith::ShLIOp::create(emit.builder, exponent, emit.splatInt(23));
  return vector::BitCastOp::create(emit.builder, emit.floats(), bits);
}

// 2^x = 2^n 2^f with n = round(x) and |f| <= 1/2. Adding 1.5 * 2^23 rounds to
// an integer, and leaves n + 127, the exponent of 2^n, in the low bits of the
// sum; below -127 that exponent is 0, the number 0. A NaN stays one in f.
static Value buildByRounding(Emitter &emit, Value x) {
  static constexpr float coefficients[] = {1.32647296e-3f, 9.67151485e-3f,
                                           5.55073358e-2f, 2.40222424e-1f,
                                           6.93147004e-1f, 1.0f};
  Value shifter = emit.splat(12582912.0f + 127.0f);
  Value clamped = emit.maxf(emit.splat(-127.0f), x);
  Value shifted = emit.addf(clamped, shifter);
  Value fraction = emit.subf(clamped, emit.subf(shifted, shifter));
  Value exponent =
      vector::BitCastOp::create(emit.builder, emit.ints(), shifted);
  return emit.mulf(buildPolynomial(emit, coefficients, fraction),
                   buildPower(emit, exponent));
}

// An AVX-512 intrinsic on all lanes, in the current rounding mode.
static Value buildIntrinsic(Emitter &emit, StringRef name,
                            ArrayRef<Value> arguments) {
  constexpr int currentRounding = 4;
  auto constant = [&](int bits, int64_t value) -> Value {
    auto attribute =
        emit.builder.getIntegerAttr(emit.builder.getIntegerType(bits), value);
    return LLVM::ConstantOp::create(emit.builder, attribute);
  };
  Values all(arguments);
  all.append({emit.splat(0), constant(16, -1), constant(32, currentRounding)});
  return LLVM::CallIntrinsicOp::create(emit.builder, emit.floats(),
                                       emit.builder.getStringAttr(name), all)
      .getResults();
}

// x - floor(x); 0 for -inf.
static Value buildFraction(Emitter &emit, Value x) {
  if (!emit.shape().emulated) {
    constexpr int floorQuietly = 9;
    Value how = LLVM::ConstantOp::create(
        emit.builder, emit.builder.getI32IntegerAttr(floorQuietly));
    return buildIntrinsic(emit, "llvm.x86.avx512.mask.reduce.ps.512", {x, how});
  }
  Value infinite = arith::CmpFOp::create(
      emit.builder, arith::CmpFPredicate::OEQ, x, emit.splat(-infinity));
  Value floor = LLVM::FFloorOp::create(emit.builder, x);
  return emit.select(infinite, emit.splat(0), emit.subf(x, floor));
}

// a 2^floor(x).
static Value buildScaled(Emitter &emit, Value a, Value x) {
  if (!emit.shape().emulated)
    return buildIntrinsic(emit, "llvm.x86.avx512.mask.scalef.ps.512", {a, x});
  // In two steps, each of which a normal number scales by.
  Value floor =
      LLVM::FFloorOp::create(emit.builder, emit.maxf(x, emit.splat(-250)));
  Value exponent = arith::FPToSIOp::create(emit.builder, emit.ints(), floor);
  Value half = arith::ShRSIOp::create(emit.builder, exponent, emit.splatInt(1));
  for (Value part : {half, emit.sub(exponent, half)})
    a = emit.mulf(a, buildPower(emit, emit.add(part, emit.splatInt(127))));
  return a;
}

// 2^x = 2^n 2^f with n = floor(x) and 0 <= f <= 1: seven instructions instead
// of eleven. A NaN stays one in f.
static Value buildByFloor(Emitter &emit, Value x) {
  static constexpr float coefficients[] = {1.8669526e-3f, 9.017481e-3f,
                                           5.5799514e-2f, 2.401646e-1f,
                                           6.931513e-1f,  1.0f};
  Value fraction = buildFraction(emit, x);
  return buildScaled(emit, buildPolynomial(emit, coefficients, fraction), x);
}

Value buildExp2(Emitter &emit, Value x) {
  return emit.target().scalesByPowers ? buildByFloor(emit, x)
                                      : buildByRounding(emit, x);
}

} // namespace flashcp::codegen
