// What happens to rows between their load and the products: two warps, a lane
// a packed row, put LSE and delta beside Q and dO, and zero rows that weigh
// nothing: those that the item does not have, and those that saw no key. Q and
// dO may hold anything there, and a NaN times weight 0 would reach dK and dV.
// Rows of K and V past the tile's last key would reach dQ alike.
//
// The warp that keeps turns polls a counter in global memory while the products
// of its block still run.

#include "codegen/nvptx/sm90/BackwardParts.h"
#include "codegen/nvptx/sm90/Tma.h"

#include <cmath>
#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

static constexpr float log2e = 1.44269504f;

namespace {

using Record = RowBlockRecord;

class RowPreparation {
public:
  RowPreparation(BackwardKernel &kernel, Value row)
      : kernel(kernel), emit(kernel.emit), memory(kernel.memory),
        config(kernel.config), row(row),
        token(emit.divide(row, kernel.arguments.group())),
        head(emit.remainder(row, kernel.arguments.group())) {}

  void build();

private:
  /// Returns the number of items so far.
  Value prepare(Value n, Value items);
  Value isUsed(Value record);
  Value loadStatistic(Value record, size_t address, size_t rowBytes);
  void prepareKeys(Value record, Value item);

  BackwardKernel &kernel;
  DeviceEmitter &emit;
  const BackwardMemory &memory;
  const BackwardConfig &config;
  Value row, token, head;
};

} // namespace

// Waits for a record; returns whether there is one.
static Value waitForRecord(BackwardKernel &kernel, Value n) {
  DeviceEmitter &emit = kernel.emit;
  kernel.memory.announced.waitFull(emit, n);
  return emit.isEqual(emit.loadShared(emit.i32(), kernel.rowRecord(n),
                                      offsetof(Record, is_end)),
                      0);
}

Value RowPreparation::isUsed(Value record) {
  auto load = [&](size_t offset) {
    return emit.loadShared(emit.i32(), record, offset);
  };
  Value inHeads =
      emit.both(emit.atMost(load(offsetof(Record, head_begin)), head),
                emit.lessThan(head, load(offsetof(Record, head_end))));
  return emit.both(emit.lessThan(token, load(offsetof(Record, tokens))),
                   inHeads);
}

// Loads the row's number of f32 [row][heads].
Value RowPreparation::loadStatistic(Value record, size_t address,
                                    size_t rowBytes) {
  Value begin = emit.loadShared(emit.i64(), record, address);
  Value stride = emit.loadShared(emit.i64(), record, rowBytes);
  Value offset = emit.add(emit.mul(emit.widenUnsigned(token), stride),
                          emit.mul(emit.widenUnsigned(head), 4));
  return emit.loadGlobal(emit.f32(), emit.add(begin, offset));
}

void RowPreparation::prepareKeys(Value record, Value item) {
  memory.keysLoaded.waitFull(emit, item);
  Value limit = emit.loadShared(emit.i32(), record, offsetof(Record, limit));
  zeroRows(emit, {memory.keyTile, config.keys, config.dims.dim}, limit, row,
           config.rows);
  zeroRows(emit, {memory.valueTile, config.keys, config.dims.valueDim}, limit,
           row, config.rows);
  fenceForAsync(emit);
  emit.synchroniseWarp();
  arriveAsWarp(emit, memory.keys.full(emit, item));
}

Value RowPreparation::prepare(Value n, Value items) {
  Value record = kernel.rowRecord(n);
  Values loaded = emit.ifElse(
      isUsed(record), {emit.f32(), emit.f32()},
      [&] {
        return Values{loadStatistic(record, offsetof(Record, lse),
                                    offsetof(Record, lse_row_bytes)),
                      loadStatistic(record, offsetof(Record, delta),
                                    offsetof(Record, delta_row_bytes))};
      },
      [&] {
        return Values{emit.f32(-INFINITY), emit.f32(0)};
      });
  // A row that saw no key has LSE -inf; weights relative to +inf are 0.
  Value weighs = emit.differs(loaded[0], -INFINITY);
  Value lse = emit.select(weighs, emit.mulf(loaded[0], emit.f32(log2e)),
                          emit.f32(INFINITY));
  Value delta = emit.select(weighs, loaded[1], emit.f32(0));
  Value statistics = emit.add(kernel.statistics(n), emit.mul(row, 4));
  emit.storeShared(lse, statistics);
  emit.storeShared(delta, statistics, config.rows * 4);
  Value isStart = emit.notEqual(
      emit.loadShared(emit.i32(), record, offsetof(Record, is_start)), 0);
  emit.ifThen(isStart, [&] { prepareKeys(record, items); });
  memory.rowsLoaded.waitFull(emit, n);
  emit.ifThenElse(
      weighs, [] {},
      [&] {
        zeroRow(emit, {kernel.queryTile(n), config.rows, config.dims.dim}, row);
        zeroRow(emit, {kernel.outputTile(n), config.rows, config.dims.valueDim},
                row);
      });
  fenceForAsync(emit);
  emit.synchroniseWarp();
  arriveAsWarp(emit, memory.rows.full(emit, n));
  return emit.add(items, emit.widenToI32(isStart));
}

void RowPreparation::build() {
  Value zero = emit.i32(0);
  emit.whileLoop(
      {waitForRecord(kernel, zero), zero, zero},
      [&](ValueRange state) { return state[0]; },
      [&](ValueRange state) {
        Value n = state[1];
        Value items = prepare(n, state[2]);
        Value next = emit.add(n, 1);
        return Values{waitForRecord(kernel, next), next, items};
      });
}

void buildRowPreparation(BackwardKernel &kernel, Value thread) {
  RowPreparation(kernel, thread).build();
}

// Waits until the counter has a value, and learns what was done before it got
// that.
static void pollCounter(DeviceEmitter &emit, Value counter, Value value) {
  emit.ptx("{ .reg .pred other; .reg .b32 now; again: "
           "ld.acquire.gpu.global.u32 now, [$0]; "
           "setp.ne.u32 other, now, $1; @other bra again; }",
           "l,r,~{memory}", {counter, value}, {});
}

// Sets the counter, and shows what was done before.
static void setCounter(DeviceEmitter &emit, Value counter, Value value) {
  emit.ptx("fence.acq_rel.gpu; st.release.gpu.global.u32 [$0], $1;",
           "l,r,~{memory}", {counter, value}, {});
}

void buildTurnKeeping(BackwardKernel &kernel) {
  DeviceEmitter &emit = kernel.emit;
  const Ring &turn = kernel.memory.turn;
  Value zero = emit.i32(0);
  emit.whileLoop(
      {waitForRecord(kernel, zero), zero},
      [&](ValueRange state) { return state[0]; },
      [&](ValueRange state) {
        Value n = state[1], record = kernel.rowRecord(n);
        auto load = [&](Type type, size_t offset) {
          return emit.loadShared(type, record, offset);
        };
        Value counter = load(emit.i64(), offsetof(Record, counter));
        Value next = load(emit.i32(), offsetof(Record, next_turn));
        pollCounter(emit, counter, load(emit.i32(), offsetof(Record, turn)));
        arrive(emit, turn.full(emit, n));
        Value following = emit.add(n, 1);
        turn.waitEmpty(emit, following);
        setCounter(emit, counter, next);
        return Values{waitForRecord(kernel, following), following};
      });
}

} // namespace flashcp::codegen::nvptx::sm90
