// Scores are scaled before the maximum is taken from them: a fused
// multiply-add would give weights above 1, and infinite ones, to large scores.

#include "codegen/nvptx/Softmax.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace mlir;

namespace flashcp::codegen::nvptx {

static constexpr float log2e = 1.44269504f, ln2 = 0.693147181f;

// Combines the values of the four lanes of a row.
static Value acrossLanes(DeviceEmitter &emit, Value value,
                         function_ref<Value(Value, Value)> combine) {
  for (int mask : {1, 2})
    value = combine(value, emit.shuffleXor(value, mask));
  return value;
}

Value laneColumn(DeviceEmitter &emit) {
  return emit.shiftLeft(emit.bitAnd(emit.threadId(), 3), 1);
}

RowState emptyRow(DeviceEmitter &emit) {
  return {emit.f32(-INFINITY), emit.f32(0)};
}

// One lane of the four counts the sum, which is 1 relative to the LSE.
RowState rowOfLse(DeviceEmitter &emit, Value lse) {
  Value counts = emit.isEqual(emit.bitAnd(emit.threadId(), 3), 0);
  Value some = emit.differs(lse, -INFINITY);
  return {emit.mulf(lse, emit.f32(log2e)),
          emit.select(emit.both(counts, some), emit.f32(1), emit.f32(0))};
}

void maskRow(DeviceEmitter &emit, MutableArrayRef<Value> scores, Value low,
             Value high) {
  Value nothing = emit.f32(-INFINITY);
  for (auto [i, score] : llvm::enumerate(scores)) {
    Value column = emit.i32(8 * (i / 2) + i % 2);
    Value seen =
        emit.both(emit.atMost(low, column), emit.lessThan(column, high));
    score = emit.select(seen, score, nothing);
  }
}

Value addScores(DeviceEmitter &emit, RowState &state,
                MutableArrayRef<Value> scores, Value scaleLog2) {
  Value largest = emit.f32(-INFINITY);
  for (Value &score : scores) {
    score = emit.mulf(score, scaleLog2);
    largest = emit.maxNumber(largest, score);
  }
  largest = acrossLanes(emit, largest,
                        [&](Value a, Value b) { return emit.maxNumber(a, b); });
  Value maximum = emit.maxNumber(state.maximum, largest);
  // Weights of a row that saw no key are 2^(-inf - 0).
  Value some = emit.differs(maximum, -INFINITY);
  Value origin = emit.select(some, maximum, emit.f32(0));
  Value factor = emit.exp2(emit.subf(state.maximum, origin));
  Value sum = emit.mulf(state.sum, factor);
  for (Value &score : scores) {
    score = emit.exp2(emit.subf(score, origin));
    sum = emit.addf(sum, score);
  }
  state = {maximum, sum};
  return factor;
}

RowResult finishRow(DeviceEmitter &emit, const RowState &state) {
  Value sum = acrossLanes(emit, state.sum,
                          [&](Value a, Value b) { return emit.addf(a, b); });
  Value some = emit.differs(sum, 0);
  Value lse =
      emit.mulf(emit.addf(state.maximum, emit.log2(sum)), emit.f32(ln2));
  return {emit.select(some, emit.reciprocal(sum), emit.f32(0)),
          emit.select(some, lse, emit.f32(-INFINITY))};
}

} // namespace flashcp::codegen::nvptx
