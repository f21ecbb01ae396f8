// Maxima and sums go in four chains a row, for latency.

#include "codegen/nvptx/sm90/ScoreBlock.h"

#include "codegen/nvptx/sm90/Pipeline.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

// Scores, in units of log 2, above which a fused multiply-add is not exact
// enough: there its error is an eighth.
static constexpr float largeScore = 1 << 21;

static constexpr int chains = 4;

Value laneRow(DeviceEmitter &emit) {
  Value row = emit.shiftLeft(warpInGroup(emit), 4);
  return emit.add(row, emit.shiftRight(laneId(emit), 2));
}

int accumulatorOf(int row, int pair, int half) {
  return 4 * pair + 2 * row + half;
}

Values rowOf(ValueRange accumulators, int row) {
  Values values;
  for (int pair = 0; pair < int(accumulators.size()) / 4; ++pair)
    for (int half : {0, 1})
      values.push_back(accumulators[accumulatorOf(row, pair, half)]);
  return values;
}

void setRow(Values &accumulators, int row, ValueRange values) {
  for (auto [i, value] : llvm::enumerate(values))
    accumulators[accumulatorOf(row, i / 2, i % 2)] = value;
}

Values scaleRows(DeviceEmitter &emit, ValueRange accumulators,
                 const std::array<Value, laneRows> &factors) {
  Values scaled;
  for (auto [i, value] : llvm::enumerate(accumulators))
    scaled.push_back(emit.mulf(value, factors[i / 2 % laneRows]));
  return scaled;
}

Values roundToA(DeviceEmitter &emit, Element element, ValueRange accumulators) {
  Values pairs;
  for (size_t i = 0; i < accumulators.size(); i += 2)
    pairs.push_back(
        emit.packPair(element, accumulators[i], accumulators[i + 1]));
  return pairs;
}

void addToGlobal(DeviceEmitter &emit, ValueRange row, Value address) {
  for (size_t i = 0; i < row.size(); i += 2)
    emit.ptx("red.relaxed.gpu.global.add.v2.f32 [$0+" + Twine(16 * i) +
                 "], {$1, $2};",
             "l,f,f,~{memory}", {address, row[i], row[i + 1]}, {});
}

// Combines values in a few chains.
static Value reduce(ValueRange values,
                    function_ref<Value(Value, Value)> combine) {
  Values partial(values.take_front(chains));
  for (auto [i, value] : llvm::enumerate(values.drop_front(chains)))
    partial[i % chains] = combine(partial[i % chains], value);
  return combine(combine(partial[0], partial[1]),
                 combine(partial[2], partial[3]));
}

// Returns the maximum of a row's scores, in all of its four lanes.
static Value largestOf(DeviceEmitter &emit, ValueRange scores) {
  auto larger = [&](Value a, Value b) { return emit.maxNumber(a, b); };
  Value largest = reduce(scores, larger);
  for (int mask : {1, 2})
    largest = larger(largest, emit.shuffleXor(largest, mask));
  return largest;
}

// Returns scale * score - origin of its row, for all scores.
static Values subtractOrigins(DeviceEmitter &emit, ValueRange scores,
                              const std::array<Value, laneRows> &origins,
                              Value scaleLog2) {
  Value large = emit.either(emit.isLarger(origins[0], largeScore),
                            emit.isLarger(origins[1], largeScore));
  std::array<Value, laneRows> negative = {emit.negate(origins[0]),
                                          emit.negate(origins[1])};
  auto each = [&](function_ref<Value(Value, int)> exponent) {
    Values exponents;
    for (auto [i, score] : llvm::enumerate(scores))
      exponents.push_back(exponent(score, i / 2 % laneRows));
    return exponents;
  };
  return emit.ifElse(
      emit.anyLane(large), SmallVector<Type>(scores.size(), emit.f32()),
      [&] {
        return each([&](Value score, int row) {
          return emit.subf(emit.mulf(score, scaleLog2), origins[row]);
        });
      },
      [&] {
        return each([&](Value score, int row) {
          return emit.fma(score, scaleLog2, negative[row]);
        });
      });
}

std::array<Value, laneRows>
addScoreBlock(DeviceEmitter &emit, std::array<RowState, laneRows> &states,
              Values &scores, Value scaleLog2) {
  std::array<Value, laneRows> origins, factors;
  for (int row = 0; row < laneRows; ++row) {
    Value largest = largestOf(emit, rowOf(scores, row));
    Value maximum =
        emit.maxNumber(states[row].maximum, emit.mulf(largest, scaleLog2));
    // Weights of a row that saw no key are 2^(-inf - 0).
    origins[row] =
        emit.select(emit.differs(maximum, -INFINITY), maximum, emit.f32(0));
    factors[row] = emit.exp2(emit.subf(states[row].maximum, origins[row]));
    states[row].maximum = maximum;
  }
  scores = subtractOrigins(emit, scores, origins, scaleLog2);
  for (Value &score : scores)
    score = emit.exp2(score);
  for (int row = 0; row < laneRows; ++row) {
    Value sum = reduce(rowOf(scores, row),
                       [&](Value a, Value b) { return emit.addf(a, b); });
    states[row].sum = emit.fma(states[row].sum, factors[row], sum);
  }
  return factors;
}

} // namespace flashcp::codegen::nvptx::sm90
