// A warpgroup's 64 rows against all blocks of keys of an item.
//
// While the product of the last block's weights and V runs, the scores of this
// block become weights (FlashAttention-3): scores and P V are issued together,
// scores are waited for first. The wait for V of this block stands before the
// wait for P V of the last one though it is needed only after: it is a loop,
// and keeps ptxas from sinking the exponentials below the products' wait, which
// would end the overlap. Weights are rounded only then, since their registers
// are P's, in use until that wait.
//
// Warpgroups take turns at issuing, so that softmax of one runs beside products
// of another.

#include "codegen/nvptx/sm90/ForwardParts.h"
#include "codegen/nvptx/sm90/ScoreBlock.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

namespace {

using RowStates = std::array<RowState, laneRows>;

/// What is carried from block to block.
struct Progress {
  RowStates rows;
  Values output;  // sums of weights and V, without the last block's
  Values weights; // of the last block, rounded

  Values values() const;
  /// Takes apart what values() made, of so many sums.
  static Progress from(ValueRange values, int sums);
};

/// Uses of the rings so far.
struct ConsumerUses {
  Value items, blocks, queries;
};

class ForwardConsumer {
public:
  ForwardConsumer(ForwardKernel &kernel, Value group);

  void build();

private:
  Value nextItem(Value n);
  void computeItem(Value record, Value blocks, const ConsumerUses &uses);
  Progress startRows(Value record);
  Progress loadRows(Value record);
  Progress computeBlocks(Progress progress, Value blocks,
                         const ConsumerUses &uses);
  void firstBlock(Progress &progress, Value n);
  void nextBlock(Progress &progress, Value n);
  void lastProduct(Progress &progress, Value n);
  Values issueScores(Value n);
  Values issueOutput(const Progress &progress, Value n);
  Values loadRecord(Value n);
  void mask(Values &scores, ValueRange record);
  void storeRows(Value record, const Progress &progress);
  void storeRow(Value record, int row, ValueRange output, Value lse);

  Value isUsed(Value record, int row);
  Value rowAddress(Value record, int row, size_t address, size_t rowBytes,
                   int64_t headBytes);
  Value load(Type type, Value record, size_t offset) {
    return emit.loadShared(type, record, offset);
  }
  int sums() const { return config.dims.valueDim / 2; }

  ForwardKernel &kernel;
  DeviceEmitter &emit;
  const ForwardMemory &memory;
  const ForwardConfig &config;
  Turns turns;
  Value scaleLog2, column;
  SharedMatrix queries;
  std::array<Value, laneRows> tokens, heads; // of the lane's rows
  Value firstToken, lastToken;               // of the warpgroup's rows
};

} // namespace

Values Progress::values() const {
  Values all = {rows[0].maximum, rows[1].maximum, rows[0].sum, rows[1].sum};
  all.append(output);
  all.append(weights);
  return all;
}

Progress Progress::from(ValueRange values, int sums) {
  Progress progress;
  progress.rows = {RowState{values[0], values[2]},
                   RowState{values[1], values[3]}};
  progress.output = Values(values.drop_front(4).take_front(sums));
  progress.weights = Values(values.drop_front(4 + sums));
  return progress;
}

ForwardConsumer::ForwardConsumer(ForwardKernel &kernel, Value group)
    : kernel(kernel), emit(kernel.emit), memory(kernel.memory),
      config(kernel.config), turns(kernel.emit, group, kernel.config.groups),
      scaleLog2(kernel.arguments.scaleLog2()), column(laneColumn(kernel.emit)) {
  Value firstRow = emit.mul(group, groupRows);
  queries =
      matrixAt(emit, emit.add(memory.queryTile, emit.mul(firstRow, rowBytes)),
               Major::depth, config.rows());
  Value headsOfToken = kernel.arguments.group();
  for (int i = 0; i < laneRows; ++i) {
    Value row = emit.add(emit.add(firstRow, laneRow(emit)), 8 * i);
    tokens[i] = emit.divide(row, headsOfToken);
    heads[i] = emit.remainder(row, headsOfToken);
  }
  firstToken = emit.divide(firstRow, headsOfToken);
  lastToken = emit.divide(emit.add(firstRow, groupRows - 1), headsOfToken);
}

// Waits for item n; returns its blocks of keys.
Value ForwardConsumer::nextItem(Value n) {
  memory.item.waitFull(emit, n);
  return load(emit.i32(), kernel.itemRecord(n),
              offsetof(ForwardItemRecord, blocks));
}

void ForwardConsumer::build() {
  Value zero = emit.i32(0);
  emit.whileLoop(
      {nextItem(zero), zero, zero, zero},
      [&](ValueRange state) { return emit.atMost(zero, state[0]); },
      [&](ValueRange state) {
        ConsumerUses uses = {state[1], state[2], state[3]};
        computeItem(kernel.itemRecord(uses.items), state[0], uses);
        arriveAsWarp(emit, memory.item.empty(emit, uses.items));
        Value some = emit.widenToI32(emit.notEqual(state[0], 0));
        Value items = emit.add(uses.items, 1);
        return Values{nextItem(items), items, emit.add(uses.blocks, state[0]),
                      emit.add(uses.queries, some)};
      });
}

void ForwardConsumer::computeItem(Value record, Value blocks,
                                  const ConsumerUses &uses) {
  Progress start = startRows(record);
  Values initial = start.values();
  Values results = emit.ifElse(
      emit.notEqual(blocks, 0), ValueRange(initial).getTypes(),
      [&] { return computeBlocks(start, blocks, uses).values(); },
      [&] { return initial; });
  storeRows(record, Progress::from(results, sums()));
}

// Rows start with nothing or with the partial result in memory, as a state
// with the sum 1.
Progress ForwardConsumer::startRows(Value record) {
  Progress nothing;
  for (RowState &row : nothing.rows)
    row = emptyRow(emit);
  nothing.output.append(sums(), emit.f32(0));
  Values values = nothing.values();
  Value isFirst =
      load(emit.i32(), record, offsetof(ForwardItemRecord, is_first));
  Values start = emit.ifElse(
      emit.notEqual(isFirst, 0), ValueRange(values).getTypes(),
      [&] { return values; }, [&] { return loadRows(record).values(); });
  return Progress::from(start, sums());
}

Progress ForwardConsumer::loadRows(Value record) {
  Progress progress;
  progress.output.resize(sums());
  for (int row = 0; row < laneRows; ++row) {
    Values nothing(1 + sums() / laneRows, emit.f32(0));
    nothing[0] = emit.f32(-INFINITY);
    Values loaded = emit.ifElse(
        isUsed(record, row), ValueRange(nothing).getTypes(),
        [&] {
          Value lse = rowAddress(record, row, offsetof(ForwardItemRecord, lse),
                                 offsetof(ForwardItemRecord, lse_row_bytes), 4);
          Values values = {emit.loadGlobal(emit.f32(), lse)};
          Value sums =
              rowAddress(record, row, offsetof(ForwardItemRecord, accumulator),
                         offsetof(ForwardItemRecord, accumulator_row_bytes),
                         config.dims.valueDim * 4);
          sums = emit.add(sums, emit.widenUnsigned(emit.mul(column, 4)));
          for (int pair = 0; pair < config.dims.valueDim / 8; ++pair) {
            Value both =
                emit.loadGlobal(emit.vectorOf(emit.f32(), 2), sums, pair * 32);
            values.append({emit.extract(both, 0), emit.extract(both, 1)});
          }
          return values;
        },
        [&] { return nothing; });
    progress.rows[row] = rowOfLse(emit, loaded[0]);
    setRow(progress.output, row, ValueRange(loaded).drop_front());
  }
  return progress;
}

Values ForwardConsumer::issueScores(Value n) {
  Product product = {kernel.element, config.keys, config.dims.dim / stepDepth};
  product.a = queries;
  product.b = matrixAt(emit, kernel.keyTile(n), Major::depth, config.keys);
  return issue(emit, product);
}

Values ForwardConsumer::issueOutput(const Progress &progress, Value n) {
  Product product = {kernel.element, config.dims.valueDim,
                     config.keys / stepDepth};
  product.sums = progress.output;
  product.aRegisters = progress.weights;
  product.b = matrixAt(emit, kernel.valueTile(n), Major::result, config.keys);
  return issue(emit, product);
}

Values ForwardConsumer::loadRecord(Value n) {
  Value words = load(emit.vectorOf(emit.i32(), 4), kernel.keyRecord(n), 0);
  return {emit.extract(words, 0), emit.extract(words, 1),
          emit.extract(words, 2)};
}

// Takes away the keys below a row's band, then those above it: most blocks have
// neither.
void ForwardConsumer::mask(Values &scores, ValueRange record) {
  Value low = record[0], high = record[1], limit = record[2];
  auto maskIf = [&](Value condition, function_ref<IndexRange(int row)> seen) {
    scores = emit.ifElse(
        condition, ValueRange(scores).getTypes(),
        [&] {
          Values masked = scores;
          for (int row = 0; row < laneRows; ++row) {
            Values values = rowOf(masked, row);
            IndexRange range = seen(row);
            maskRow(emit, values, range.begin, range.end);
            setRow(masked, row, values);
          }
          return masked;
        },
        [&] { return scores; });
  };
  Value firstEnd = emit.minimum(emit.add(firstToken, high), limit);
  maskIf(emit.lessThan(firstEnd, config.keys), [&](int row) {
    Value end = emit.minimum(emit.add(tokens[row], high), limit);
    return IndexRange{emit.i32(INT32_MIN), emit.sub(end, column)};
  });
  maskIf(emit.lessThan(emit.i32(0), emit.add(lastToken, low)), [&](int row) {
    Value begin = emit.add(tokens[row], low);
    return IndexRange{emit.sub(begin, column), emit.i32(INT32_MAX)};
  });
}

void ForwardConsumer::firstBlock(Progress &progress, Value n) {
  memory.key.waitFull(emit, n);
  Values record = loadRecord(n);
  turns.wait();
  Values scores = issueScores(n);
  turns.handOn();
  scores = waitFor(emit, 0, scores);
  arriveAsWarp(emit, memory.key.empty(emit, n));
  mask(scores, record);
  auto factors = addScoreBlock(emit, progress.rows, scores, scaleLog2);
  progress.output = scaleRows(emit, progress.output, factors);
  progress.weights = roundToA(emit, kernel.element, scores);
  memory.value.waitFull(emit, n);
}

void ForwardConsumer::nextBlock(Progress &progress, Value n) {
  Value last = emit.sub(n, 1);
  memory.key.waitFull(emit, n);
  Values record = loadRecord(n);
  turns.wait();
  Values scores = issueScores(n);
  Values output = issueOutput(progress, last);
  turns.handOn();
  scores = waitFor(emit, 1, scores);
  arriveAsWarp(emit, memory.key.empty(emit, n));
  mask(scores, record);
  auto factors = addScoreBlock(emit, progress.rows, scores, scaleLog2);
  scores = pin(emit, scores);
  memory.value.waitFull(emit, n);
  output = waitFor(emit, 0, output, progress.weights);
  arriveAsWarp(emit, memory.value.empty(emit, last));
  progress.weights = roundToA(emit, kernel.element, scores);
  progress.output = scaleRows(emit, output, factors);
}

void ForwardConsumer::lastProduct(Progress &progress, Value n) {
  turns.wait();
  Values output = issueOutput(progress, n);
  turns.handOn();
  progress.output = waitFor(emit, 0, output, progress.weights);
  progress.weights.clear();
  arriveAsWarp(emit, memory.value.empty(emit, n));
}

Progress ForwardConsumer::computeBlocks(Progress progress, Value blocks,
                                        const ConsumerUses &uses) {
  memory.query.waitFull(emit, uses.queries);
  firstBlock(progress, uses.blocks);
  Values carried = emit.loop({emit.i32(1), blocks}, 1, progress.values(),
                             [&](Value i, ValueRange values) {
                               Progress step = Progress::from(values, sums());
                               nextBlock(step, emit.add(uses.blocks, i));
                               return step.values();
                             });
  progress = Progress::from(carried, sums());
  arriveAsWarp(emit, memory.query.empty(emit, uses.queries));
  lastProduct(progress, emit.sub(emit.add(uses.blocks, blocks), 1));
  return progress;
}

// Returns whether the item has the lane's row.
Value ForwardConsumer::isUsed(Value record, int row) {
  using Record = ForwardItemRecord;
  Value tokenCount = load(emit.i32(), record, offsetof(Record, tokens));
  Value begin = load(emit.i32(), record, offsetof(Record, head_begin));
  Value end = load(emit.i32(), record, offsetof(Record, head_end));
  Value inHeads =
      emit.both(emit.atMost(begin, heads[row]), emit.lessThan(heads[row], end));
  return emit.both(emit.lessThan(tokens[row], tokenCount), inHeads);
}

// Returns where a tensor of the item has the lane's row.
Value ForwardConsumer::rowAddress(Value record, int row, size_t address,
                                  size_t rowBytes, int64_t headBytes) {
  Value stride = load(emit.i64(), record, rowBytes);
  Value begin = load(emit.i64(), record, address);
  Value offset = emit.add(emit.mul(emit.widenUnsigned(tokens[row]), stride),
                          emit.mul(emit.widenUnsigned(heads[row]), headBytes));
  return emit.add(begin, offset);
}

void ForwardConsumer::storeRows(Value record, const Progress &progress) {
  std::array<Value, laneRows> inverses, lses;
  for (int row = 0; row < laneRows; ++row) {
    RowResult result = finishRow(emit, progress.rows[row]);
    inverses[row] = result.inverse;
    lses[row] = result.lse;
  }
  Values output = scaleRows(emit, progress.output, inverses);
  for (int row = 0; row < laneRows; ++row)
    emit.ifThen(isUsed(record, row),
                [&] { storeRow(record, row, rowOf(output, row), lses[row]); });
}

void ForwardConsumer::storeRow(Value record, int row, ValueRange output,
                               Value lse) {
  using Record = ForwardItemRecord;
  auto addressOf = [&](size_t address, size_t rowBytes, int bytes) {
    Value begin = rowAddress(record, row, address, rowBytes,
                             config.dims.valueDim * bytes);
    return emit.add(begin, emit.widenUnsigned(emit.mul(column, bytes)));
  };
  Value isLast = load(emit.i32(), record, offsetof(Record, is_last));
  emit.ifThenElse(
      emit.notEqual(isLast, 0),
      [&] {
        Value address = addressOf(offsetof(Record, output),
                                  offsetof(Record, output_row_bytes), 2);
        for (size_t i = 0; i < output.size(); i += 2)
          emit.storeGlobal(
              emit.packPair(kernel.element, output[i], output[i + 1]), address,
              8 * i);
      },
      [&] {
        Value address = addressOf(offsetof(Record, accumulator),
                                  offsetof(Record, accumulator_row_bytes), 4);
        for (size_t i = 0; i < output.size(); i += 2)
          emit.storeGlobal(emit.join({output[i], output[i + 1]}), address,
                           16 * i);
      });
  emit.ifThen(emit.isEqual(column, 0), [&] {
    emit.storeGlobal(lse, rowAddress(record, row, offsetof(Record, lse),
                                     offsetof(Record, lse_row_bytes), 4));
  });
}

void buildForwardConsumer(ForwardKernel &kernel, Value group) {
  ForwardConsumer(kernel, group).build();
}

} // namespace flashcp::codegen::nvptx::sm90
