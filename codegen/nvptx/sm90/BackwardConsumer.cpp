// A warpgroup's 64 keys against all blocks of rows of an item.
//
// For each block: S and dP are issued together; while dP runs, scores become
// weights P; then dV, dQ and dK are issued as their operands come. The second
// wait for the rows, which are there, is a loop that keeps ptxas from sinking
// the exponentials below the wait for dP.

#include "codegen/nvptx/sm90/BackwardParts.h"
#include "codegen/nvptx/sm90/ScoreBlock.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

// The named barrier of the warpgroups that compute.
static constexpr int weightsBarrier = 1;
// What stmatrix stores: four matrices of 8 x 8.
static constexpr int matrixRows = 8, matrixRegisters = 4;

namespace {

using Record = RowBlockRecord;

/// What an item sums up.
struct Gradients {
  Values key, value;

  Values values() const;
  static Gradients from(ValueRange values, int keySums);
};

/// Weights of a block of rows, transposed, and what they become.
struct Weights {
  Values probabilities, scoreGradients; // rounded: A registers
};

class BackwardConsumer {
public:
  BackwardConsumer(BackwardKernel &kernel, Value group);

  void build();

private:
  Value nextItem(Value n);
  Value computeItem(Value item, Value blocks, Value firstBlock);
  Gradients addBlock(Gradients sums, Value n);
  Weights computeWeights(Value n);
  void mask(Values &scores, Value record);
  Values exponentials(ValueRange scores, Value statistics);
  Values scoreGradients(ValueRange weights, ValueRange products,
                        Value statistics);
  void storeWeights(ValueRange registers, Value tile);
  Values issueTransposed(SharedMatrix keys, Value rowTile, int depth);
  Values issueSum(ValueRange sums, ValueRange weights, Value rowTile, int dim);
  Values issueQueryGradient(Value n);
  void addQueryGradient(ValueRange sums, Value n);
  void storeGradients(Value item, const Gradients &sums);
  void storeRows(ValueRange sums, Value record, size_t address, size_t rowBytes,
                 Value scale);
  std::pair<Value, Value> loadPair(Value statistics, int pair);
  int queryColumns() const { return config.dims.dim / config.groups; }

  BackwardKernel &kernel;
  DeviceEmitter &emit;
  const BackwardMemory &memory;
  const BackwardConfig &config;
  Value group, scale, scaleLog2, headsOfToken;
  Value row, column; // of the lane, of the warpgroup's
  SharedMatrix keys, values;
  SharedMatrix keyColumns; // K as the second operand of dQ
};

} // namespace

Values Gradients::values() const {
  Values all = key;
  all.append(value);
  return all;
}

Gradients Gradients::from(ValueRange values, int keySums) {
  return {Values(values.take_front(keySums)),
          Values(values.drop_front(keySums))};
}

BackwardConsumer::BackwardConsumer(BackwardKernel &kernel, Value group)
    : kernel(kernel), emit(kernel.emit), memory(kernel.memory),
      config(kernel.config), group(group), scale(kernel.arguments.scale()),
      scaleLog2(kernel.arguments.scaleLog2()),
      headsOfToken(kernel.arguments.group()), row(laneRow(emit)),
      column(laneColumn(emit)) {
  Value ownRows = emit.mul(group, groupRows * rowBytes);
  auto own = [&](Value tile) {
    return matrixAt(emit, emit.add(tile, ownRows), Major::depth, config.keys);
  };
  keys = own(memory.keyTile);
  values = own(memory.valueTile);
  int slices = queryColumns() / sliceColumns;
  int halfBytes = slices ? slices * config.keys * rowBytes : queryColumns() * 2;
  Value half = emit.add(memory.keyTile, emit.mul(group, halfBytes));
  keyColumns = matrixAt(emit, half, Major::result, config.keys);
}

Value BackwardConsumer::nextItem(Value n) {
  memory.item.waitFull(emit, n);
  return emit.loadShared(emit.i32(), kernel.itemRecord(n),
                         offsetof(BackwardItemRecord, blocks));
}

void BackwardConsumer::build() {
  Value zero = emit.i32(0);
  emit.whileLoop(
      {nextItem(zero), zero, zero},
      [&](ValueRange state) { return emit.atMost(zero, state[0]); },
      [&](ValueRange state) {
        Value blocks = computeItem(state[1], state[0], state[2]);
        Value next = emit.add(state[1], 1);
        return Values{nextItem(next), next, blocks};
      });
}

// Returns the number of blocks so far.
Value BackwardConsumer::computeItem(Value item, Value blocks,
                                    Value firstBlock) {
  memory.keys.waitFull(emit, item);
  Value end = emit.add(firstBlock, blocks);
  int keySums = config.dims.dim / 2, valueSums = config.dims.valueDim / 2;
  Gradients none;
  none.key.append(keySums, emit.f32(0));
  none.value.append(valueSums, emit.f32(0));
  Values sums = emit.loop(
      {firstBlock, end}, 1, none.values(), [&](Value n, ValueRange carried) {
        return addBlock(Gradients::from(carried, keySums), n).values();
      });
  arriveAsWarp(emit, memory.keys.empty(emit, item));
  storeGradients(kernel.itemRecord(item), Gradients::from(sums, keySums));
  arriveAsWarp(emit, memory.item.empty(emit, item));
  return end;
}

// Issues the products of this warpgroup's keys, or values, and rows.
Values BackwardConsumer::issueTransposed(SharedMatrix own, Value rowTile,
                                         int depth) {
  Product product = {kernel.element, config.rows, depth / stepDepth};
  product.a = own;
  product.b = matrixAt(emit, rowTile, Major::depth, config.rows);
  return issue(emit, product);
}

// Issues sums += weights * rows.
Values BackwardConsumer::issueSum(ValueRange sums, ValueRange weights,
                                  Value rowTile, int dim) {
  Product product = {kernel.element, dim, config.rows / stepDepth};
  product.sums = Values(sums);
  product.aRegisters = Values(weights);
  product.b = matrixAt(emit, rowTile, Major::result, config.rows);
  return issue(emit, product);
}

// Issues this warpgroup's columns of dQ, of all keys.
Values BackwardConsumer::issueQueryGradient(Value n) {
  Product product = {kernel.element, queryColumns(), config.keys / stepDepth};
  product.a = matrixAt(emit, kernel.weightTile(n), Major::result, config.keys);
  product.b = keyColumns;
  return issue(emit, product);
}

// Masks pairs out of the band, if the block has any. Packed row r is of token
// r / group, so that tokens [begin, end) are rows [begin * group, end * group).
void BackwardConsumer::mask(Values &scores, Value record) {
  auto load = [&](size_t offset) {
    return emit.loadShared(emit.i32(), record, offset);
  };
  Value low = load(offsetof(Record, low)), high = load(offsetof(Record, high));
  Value limit = load(offsetof(Record, limit));
  Value lastToken = emit.divide(emit.i32(config.rows - 1), headsOfToken);
  Value needed =
      emit.either(emit.either(emit.lessThan(limit, config.keys),
                              emit.lessThan(high, config.keys)),
                  emit.lessThan(emit.i32(0), emit.add(lastToken, low)));
  auto toRow = [&](Value token) {
    Value clamped =
        emit.minimum(emit.maximum(token, emit.i32(0)), emit.i32(config.rows));
    return emit.sub(emit.mul(clamped, headsOfToken), column);
  };
  scores = emit.ifElse(
      needed, ValueRange(scores).getTypes(),
      [&] {
        Values masked = scores;
        for (int i = 0; i < laneRows; ++i) {
          Value key = emit.add(emit.mul(group, groupRows),
                               emit.add(row, matrixRows * i));
          Value begin = toRow(emit.add(emit.sub(key, high), 1));
          Value end = emit.select(emit.lessThan(key, limit),
                                  toRow(emit.add(emit.sub(key, low), 1)),
                                  emit.i32(INT32_MIN));
          Values line = rowOf(masked, i);
          maskRow(emit, line, begin, end);
          setRow(masked, i, line);
        }
        return masked;
      },
      [&] { return scores; });
}

// Loads a number of two neighbouring rows.
std::pair<Value, Value> BackwardConsumer::loadPair(Value statistics, int pair) {
  Value both =
      emit.loadShared(emit.vectorOf(emit.f32(), 2), statistics, pair * 32);
  return {emit.extract(both, 0), emit.extract(both, 1)};
}

// Returns weights, at most 1 however LSE was rounded.
Values BackwardConsumer::exponentials(ValueRange scores, Value statistics) {
  Values weights(scores);
  Value zero = emit.f32(0);
  for (int pair = 0; pair < config.rows / 8; ++pair) {
    auto [first, second] = loadPair(statistics, pair);
    Value negative[2] = {emit.negate(first), emit.negate(second)};
    for (int i = 0; i < laneRows; ++i)
      for (int half : {0, 1}) {
        Value &weight = weights[accumulatorOf(i, pair, half)];
        Value exponent = emit.fma(weight, scaleLog2, negative[half]);
        weight = emit.exp2(emit.minimumOrNan(exponent, zero));
      }
  }
  return weights;
}

// Returns weights * (products - delta).
Values BackwardConsumer::scoreGradients(ValueRange weights, ValueRange products,
                                        Value statistics) {
  Values gradients(weights);
  for (int pair = 0; pair < config.rows / 8; ++pair) {
    auto [first, second] =
        loadPair(emit.add(statistics, config.rows * 4), pair);
    Value delta[2] = {first, second};
    for (int i = 0; i < laneRows; ++i)
      for (int half : {0, 1}) {
        int at = accumulatorOf(i, pair, half);
        gradients[at] =
            emit.mulf(weights[at], emit.subf(products[at], delta[half]));
      }
  }
  return gradients;
}

Weights BackwardConsumer::computeWeights(Value n) {
  Value statistics = emit.add(kernel.statistics(n), emit.mul(column, 4));
  Values scores = issueTransposed(keys, kernel.queryTile(n), config.dims.dim);
  Values products =
      issueTransposed(values, kernel.outputTile(n), config.dims.valueDim);
  scores = waitFor(emit, 1, scores);
  mask(scores, kernel.rowRecord(n));
  Values weights = pin(emit, exponentials(scores, statistics));
  memory.rows.waitFull(emit, n);
  products = waitFor(emit, 0, products);
  Values gradients = scoreGradients(weights, products, statistics);
  return {roundToA(emit, kernel.element, weights),
          roundToA(emit, kernel.element, gradients)};
}

// Stores the warpgroup's rows of dS, [keys][rows], swizzled as wgmma reads it.
void BackwardConsumer::storeWeights(ValueRange registers, Value tile) {
  Value lane = laneId(emit);
  Value key = emit.add(emit.add(emit.mul(group, groupRows),
                                emit.shiftLeft(warpInGroup(emit), 4)),
                       emit.bitAnd(lane, 15));
  Value line = emit.add(tile, emit.mul(key, rowBytes));
  Value chunk = emit.shiftRight(lane, 4), swizzle = emit.bitAnd(key, 7);
  for (int i = 0; i < config.rows / stepDepth; ++i) {
    Value place = emit.bitXor(emit.add(chunk, 2 * i), swizzle);
    Values operands = {emit.add(line, emit.mul(place, 16))};
    operands.append(registers.begin() + matrixRegisters * i,
                    registers.begin() + matrixRegisters * (i + 1));
    emit.ptx("stmatrix.sync.aligned.m8n8.x4.shared.b16 [$0], {$1, $2, $3, $4};",
             "r,r,r,r,r,~{memory}", operands, {});
  }
}

// Adds to the rows that the item has, in its turn.
void BackwardConsumer::addQueryGradient(ValueRange sums, Value n) {
  Value record = kernel.rowRecord(n);
  auto load = [&](Type type, size_t offset) {
    return emit.loadShared(type, record, offset);
  };
  memory.turn.waitFull(emit, n);
  // Places are computed for each block again: registers are short.
  Value firstRow = emit.pin(row);
  for (int i = 0; i < laneRows; ++i) {
    Value packed = emit.add(firstRow, matrixRows * i);
    Value token = emit.divide(packed, headsOfToken);
    Value head = emit.remainder(packed, headsOfToken);
    Value inHeads = emit.both(
        emit.atMost(load(emit.i32(), offsetof(Record, head_begin)), head),
        emit.lessThan(head, load(emit.i32(), offsetof(Record, head_end))));
    Value used = emit.both(
        inHeads,
        emit.lessThan(token, load(emit.i32(), offsetof(Record, tokens))));
    emit.ifThen(used, [&] {
      Value stride =
          load(emit.i64(), offsetof(Record, query_gradient_row_bytes));
      Value first = emit.add(emit.add(emit.mul(head, config.dims.dim),
                                      emit.mul(group, queryColumns())),
                             column);
      Value address =
          emit.add(load(emit.i64(), offsetof(Record, query_gradient)),
                   emit.add(emit.mul(emit.widenUnsigned(token), stride),
                            emit.widenUnsigned(emit.mul(first, 4))));
      Values scaled;
      for (Value sum : rowOf(sums, i))
        scaled.push_back(emit.mulf(sum, scale));
      addToGlobal(emit, scaled, address);
    });
  }
  emit.synchroniseWarp();
  arriveAsWarp(emit, memory.turn.empty(emit, n));
}

Gradients BackwardConsumer::addBlock(Gradients sums, Value n) {
  Value queries = kernel.queryTile(n), outputs = kernel.outputTile(n);
  memory.rows.waitFull(emit, n);
  Weights weights = computeWeights(n);
  storeWeights(weights.scoreGradients, kernel.weightTile(n));
  sums.value = issueSum(sums.value, weights.probabilities, outputs,
                        config.dims.valueDim);
  fenceForAsync(emit);
  synchroniseNamed(emit, emit.i32(weightsBarrier),
                   config.groups * groupThreads);
  Values query = issueQueryGradient(n);
  sums.value = waitFor(emit, 1, sums.value, weights.probabilities);
  sums.key =
      issueSum(sums.key, weights.scoreGradients, queries, config.dims.dim);
  query = waitFor(emit, 1, query);
  addQueryGradient(query, n);
  sums.key = waitFor(emit, 0, sums.key, weights.scoreGradients);
  arriveAsWarp(emit, memory.rows.empty(emit, n));
  return sums;
}

// Adds the rows that the tile has.
void BackwardConsumer::storeRows(ValueRange sums, Value record, size_t address,
                                 size_t rowBytes, Value factor) {
  Value count =
      emit.loadShared(emit.i32(), record, offsetof(BackwardItemRecord, keys));
  for (int i = 0; i < laneRows; ++i) {
    Value key =
        emit.add(emit.mul(group, groupRows), emit.add(row, matrixRows * i));
    emit.ifThen(emit.lessThan(key, count), [&] {
      Value stride = emit.loadShared(emit.i64(), record, rowBytes);
      Value place = emit.add(emit.loadShared(emit.i64(), record, address),
                             emit.add(emit.mul(emit.widenUnsigned(key), stride),
                                      emit.widenUnsigned(emit.mul(column, 4))));
      Values scaled = rowOf(sums, i);
      if (factor)
        for (Value &sum : scaled)
          sum = emit.mulf(sum, factor);
      addToGlobal(emit, scaled, place);
    });
  }
}

void BackwardConsumer::storeGradients(Value record, const Gradients &sums) {
  using Item = BackwardItemRecord;
  storeRows(sums.key, record, offsetof(Item, key_gradient),
            offsetof(Item, key_gradient_row_bytes), scale);
  storeRows(sums.value, record, offsetof(Item, value_gradient),
            offsetof(Item, value_gradient_row_bytes), Value());
}

void buildBackwardConsumer(BackwardKernel &kernel, Value group) {
  BackwardConsumer(kernel, group).build();
}

} // namespace flashcp::codegen::nvptx::sm90
