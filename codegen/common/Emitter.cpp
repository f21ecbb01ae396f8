// Each function builds one op, or the region of one.

#include "codegen/common/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace flashcp::codegen {

Value Emitter::index(int64_t value) {
  return arith::ConstantIndexOp::create(builder, value);
}

Value Emitter::add(Value a, Value b) {
  return arith::AddIOp::create(builder, a, b);
}

Value Emitter::like(Value a, int64_t value) {
  return arith::ConstantOp::create(
      builder, builder.getIntegerAttr(a.getType(), value));
}

Value Emitter::add(Value a, int64_t b) { return b ? add(a, like(a, b)) : a; }

Value Emitter::sub(Value a, Value b) {
  return arith::SubIOp::create(builder, a, b);
}

Value Emitter::mul(Value a, Value b) {
  return arith::MulIOp::create(builder, a, b);
}

Value Emitter::div(Value a, int64_t b) {
  return b == 1 ? a
                : arith::DivUIOp::create(builder, a, like(a, b)).getResult();
}

Value Emitter::minimum(Value a, Value b) {
  return arith::MinSIOp::create(builder, a, b);
}

Value Emitter::maximum(Value a, Value b) {
  return arith::MaxSIOp::create(builder, a, b);
}

Value Emitter::toInt32(Value index) {
  return arith::IndexCastOp::create(builder, builder.getI32Type(), index);
}

Value Emitter::loadScalar(Value memref, ValueRange indices) {
  return memref::LoadOp::create(builder, memref, indices);
}

Value Emitter::constant(VectorType type, float value) {
  return arith::ConstantOp::create(builder,
                                   DenseElementsAttr::get(type, value));
}

Value Emitter::constant(VectorType type, int32_t value) {
  return arith::ConstantOp::create(builder,
                                   DenseElementsAttr::get(type, value));
}

Value Emitter::addf(Value a, Value b) {
  return arith::AddFOp::create(builder, a, b);
}

Value Emitter::subf(Value a, Value b) {
  return arith::SubFOp::create(builder, a, b);
}

Value Emitter::mulf(Value a, Value b) {
  return arith::MulFOp::create(builder, a, b);
}

Value Emitter::fma(Value a, Value b, Value sum) {
  return vector::FMAOp::create(builder, a, b, sum);
}

// Compares and selects, unlike maximumf: vmaxps does so too.
Value Emitter::maxf(Value a, Value b) {
  Value greater =
      arith::CmpFOp::create(builder, arith::CmpFPredicate::OGT, a, b);
  return select(greater, a, b);
}

Value Emitter::minf(Value a, Value b) {
  Value less = arith::CmpFOp::create(builder, arith::CmpFPredicate::OLT, a, b);
  return select(less, a, b);
}

Value Emitter::atMost(Value a, Value b) {
  return arith::CmpIOp::create(builder, arith::CmpIPredicate::sle, a, b);
}

Value Emitter::lessThan(Value a, Value b) {
  return arith::CmpIOp::create(builder, arith::CmpIPredicate::slt, a, b);
}

Value Emitter::both(Value a, Value b) {
  return arith::AndIOp::create(builder, a, b);
}

Value Emitter::select(Value mask, Value a, Value b) {
  return arith::SelectOp::create(builder, mask, a, b);
}

Values Emitter::loop(IndexRange range, int64_t step, ValueRange init,
                     function_ref<Values(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(
      builder, range.begin, range.end, like(range.begin, step), init,
      [&](OpBuilder &, Location, Value i, ValueRange carried) {
        OpBuilder::InsertionGuard guard(builder);
        builder.setInsertionPointToEnd(i.getParentBlock());
        Values results = body(i, carried);
        scf::YieldOp::create(builder, results);
      });
  return Values(loop.getResults());
}

void Emitter::loop(IndexRange range, int64_t step,
                   function_ref<void(Value)> body) {
  loop(range, step, ValueRange(), [&](Value i, ValueRange) {
    body(i);
    return Values();
  });
}

Values Emitter::ifElse(Value condition, TypeRange types,
                       function_ref<Values()> whenTrue,
                       function_ref<Values()> whenFalse) {
  auto branch =
      scf::IfOp::create(builder, types, condition, /*addThenBlock=*/true,
                        /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(builder, whenTrue());
  builder.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(builder, whenFalse());
  return Values(branch.getResults());
}

void addKernel(Emitter &emit, StringRef symbol, TypeRange arguments,
               function_ref<void(Block *)> build) {
  ImplicitLocOpBuilder &builder = emit.builder;
  auto function = func::FuncOp::create(builder, symbol,
                                       builder.getFunctionType(arguments, {}));
  for (auto [i, type] : llvm::enumerate(arguments))
    if (isa<MemRefType>(type))
      function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(),
                          builder.getUnitAttr());
  OpBuilder::InsertionGuard guard(builder);
  Block *body = function.addEntryBlock();
  builder.setInsertionPointToStart(body);
  build(body);
  func::ReturnOp::create(builder);
}

} // namespace flashcp::codegen
