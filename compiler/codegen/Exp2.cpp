#include "compiler/codegen/Exp2.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace flashcp::codegen {

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

// An AVX-512 intrinsic, in the current rounding mode; 0 where a lane is masked.
static Value buildIntrinsic(Emitter &emit, StringRef name,
                            ArrayRef<Value> arguments, Value lanes) {
  constexpr int currentRounding = 4;
  Value rounding = LLVM::ConstantOp::create(
      emit.builder, emit.builder.getI32IntegerAttr(currentRounding));
  Values all(arguments);
  all.append({emit.splat(0), lanes, rounding});
  return LLVM::CallIntrinsicOp::create(emit.builder, emit.floats(),
                                       emit.builder.getStringAttr(name), all)
      .getResults();
}

// x - floor(x).
static Value buildFraction(Emitter &emit, Value x) {
  if (emit.shape().emulated)
    return emit.subf(x, LLVM::FFloorOp::create(emit.builder, x));
  constexpr int floorQuietly = 9;
  Value how = LLVM::ConstantOp::create(
      emit.builder, emit.builder.getI32IntegerAttr(floorQuietly));
  Value all = LLVM::ConstantOp::create(emit.builder,
                                       emit.builder.getI16IntegerAttr(-1));
  return buildIntrinsic(emit, "llvm.x86.avx512.mask.reduce.ps.512", {x, how},
                        all);
}

// a 2^floor(x); 0 where that is no normal number, which some CPUs multiply by a
// hundred times slower.
static Value buildScaled(Emitter &emit, Value a, Value x) {
  Value least = emit.splat(-126);
  Value normal = arith::CmpFOp::create(emit.builder, arith::CmpFPredicate::UGE,
                                       x, least); // or NaN
  if (!emit.shape().emulated) {
    Type bits = VectorType::get({1}, emit.builder.getI16Type());
    Value lanes = vector::ExtractOp::create(
        emit.builder,
        vector::BitCastOp::create(emit.builder, bits, normal).getResult(), 0);
    return buildIntrinsic(emit, "llvm.x86.avx512.mask.scalef.ps.512", {a, x},
                          lanes);
  }
  Value floor = LLVM::FFloorOp::create(emit.builder, emit.maxf(x, least));
  Value exponent = arith::FPToSIOp::create(emit.builder, emit.ints(), floor);
  Value power = buildPower(emit, emit.add(exponent, emit.splatInt(127)));
  return emit.select(normal, emit.mulf(a, power), emit.splat(0));
}

// 2^x = 2^n 2^f with n = floor(x) and 0 <= f <= 1: eight instructions instead
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
