// AVX-512 splits x by floor(x) and multiplies by powers of two in one
// instruction each; AVX2 has neither and rounds.

#include "codegen/x86/Exp2.h"

#include "codegen/common/Exp2.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace flashcp::codegen::x86 {

// Calls an AVX-512 intrinsic, in the current rounding mode; masked lanes are 0.
static Value buildIntrinsic(VectorEmitter &emit, StringRef name,
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

// Returns x - floor(x).
static Value buildFraction(VectorEmitter &emit, Value x) {
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

// Returns a 2^floor(x); 0 if 2^floor(x) is not a normal number, which some CPUs
// multiply by a hundred times slower.
static Value buildScaled(VectorEmitter &emit, Value a, Value x) {
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
static Value buildByFloor(VectorEmitter &emit, Value x) {
  Value fraction = buildFraction(emit, x);
  return buildScaled(emit, buildExp2OfFraction(emit, fraction), x);
}

Value buildExp2(VectorEmitter &emit, Value x) {
  return emit.target().scalesByPowers ? buildByFloor(emit, x)
                                      : buildExp2ByRounding(emit, x);
}

} // namespace flashcp::codegen::x86
