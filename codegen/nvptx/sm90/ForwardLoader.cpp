// One thread that takes items and keeps the rings of Q, K and V full, and a
// warp that zeroes rows of V.
//
// Blocks of keys go from a tile's last to its first, tile after tile; the rings
// run on from one tile and one item to the next. Rows of V past the last key of
// a tile are rows of its neighbours, whose NaNs times weight 0 would reach O:
// the copy of such a block arrives at the barrier of the warp that zeroes, and
// that warp at the ring's.

#include "codegen/nvptx/PackedRows.h"
#include "codegen/nvptx/Tables.h"
#include "codegen/nvptx/kernel_abi.h"
#include "codegen/nvptx/sm90/ForwardParts.h"
#include "codegen/nvptx/sm90/Tma.h"

#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

namespace {

/// Uses of the rings so far.
struct Uses {
  Value items, blocks, queries, tails;

  static constexpr int count = 4;
  Values values() const { return {items, blocks, queries, tails}; }
  static Uses from(ValueRange v) { return {v[0], v[1], v[2], v[3]}; }
};

class ForwardLoader {
public:
  explicit ForwardLoader(ForwardKernel &kernel)
      : kernel(kernel), emit(kernel.emit), memory(kernel.memory),
        config(kernel.config) {}

  void build();

private:
  IndexRange keyBlocks(const TileBand &band, IndexRange tokens);
  Value countBlocks(const ItemFields &item, IndexRange tokens);
  Uses loadItem(Value item, const Uses &uses);
  void writeItem(Value record, const ItemFields &item, const PackedRows &rows,
                 Value blocks);
  void loadQueries(const ItemFields &item, const PackedRows &rows, Value n);
  Uses loadTileOfKeys(Value tile, const PackedRows &rows, const Uses &uses);
  TileBand bandOf(Value number);
  TileMap keyMap(Value number);
  TileMap valueMap(Value number);
  void loadKeys(Value number, const PackedRows &rows, Value keyBegin, Value n);
  Value loadValues(Value number, const PackedRows &rows, Value keyBegin,
                   Value n, Value tails);
  void finish(const Uses &uses);

  ForwardKernel &kernel;
  DeviceEmitter &emit;
  const ForwardMemory &memory;
  const ForwardConfig &config;
};

} // namespace

// Returns the blocks of keys that some of the tokens see.
IndexRange ForwardLoader::keyBlocks(const TileBand &band, IndexRange tokens) {
  IndexRange keys = band.keysSeen(emit, tokens);
  Value none = emit.like(keys.end, int64_t{0});
  Value end = emit.div(emit.add(emit.maximum(keys.end, none), config.keys - 1),
                       config.keys);
  Value begin = emit.div(keys.begin, config.keys);
  return {begin, emit.maximum(begin, end)};
}

Value ForwardLoader::countBlocks(const ItemFields &item, IndexRange tokens) {
  return emit.loop({item.tileBegin, item.tileEnd}, 1, emit.i32(0),
                   [&](Value number, ValueRange sum) {
                     IndexRange blocks = keyBlocks(bandOf(number), tokens);
                     return Values{
                         emit.add(sum[0], emit.sub(blocks.end, blocks.begin))};
                   })[0];
}

// Says where results of the item go.
void ForwardLoader::writeItem(Value record, const ItemFields &item,
                              const PackedRows &rows, Value blocks) {
  using Record = ForwardItemRecord;
  Arguments &arguments = kernel.arguments;
  auto store = [&](Value value, size_t offset) {
    emit.storeShared(value, record, offset);
  };
  store(blocks, offsetof(Record, blocks));
  IndexRange tokens = rows.tokens();
  store(emit.sub(tokens.end, tokens.begin), offsetof(Record, tokens));
  Value firstHead = emit.mul(rows.keyHead(), arguments.group());
  store(emit.sub(item.headBegin, firstHead), offsetof(Record, head_begin));
  store(emit.sub(item.headEnd, firstHead), offsetof(Record, head_end));
  // Reads the tile for each tensor again: the thread has few registers.
  auto tile = [&](Value number) {
    return readForwardTile(emit, arguments, emit.pin(number));
  };
  auto storeRows = [&](const TensorRows &tensor, int64_t headBytes,
                       size_t address, size_t rowBytes) {
    Value head = emit.mul(emit.widenUnsigned(firstHead), headBytes);
    store(emit.add(tensor.row(emit, item.first), head), address);
    store(tensor.rowBytes, rowBytes);
  };
  int dim = config.dims.valueDim;
  storeRows(tile(item.tileBegin).output, dim * 2, offsetof(Record, output),
            offsetof(Record, output_row_bytes));
  storeRows(tile(item.tileBegin).lse, 4, offsetof(Record, lse),
            offsetof(Record, lse_row_bytes));
  storeRows(tile(item.tileBegin).accumulator, dim * 4,
            offsetof(Record, accumulator),
            offsetof(Record, accumulator_row_bytes));
  Value last = emit.sub(item.tileEnd, 1);
  store(emit.bitAnd(tile(item.tileBegin).flags, gpu::ForwardTile::kFirst),
        offsetof(Record, is_first));
  store(emit.bitAnd(tile(last).flags, gpu::ForwardTile::kLast),
        offsetof(Record, is_last));
}

// Loads whole tokens of the block of rows, past the tile's last as well.
void ForwardLoader::loadQueries(const ItemFields &item, const PackedRows &rows,
                                Value n) {
  Arguments &arguments = kernel.arguments;
  TileMap query = readMap(
      emit, arguments, item.tileBegin, sizeof(gpu::ForwardTile),
      offsetof(gpu::ForwardTile, query), offsetof(gpu::ForwardTile, query_map));
  Value group = arguments.group();
  acquireMap(emit, query.map);
  TileSource source = {query.map, emit.mul(rows.keyHead(), group),
                       emit.add(query.row, item.first), config.dims.dim};
  Value packed = emit.mul(tokensPerBlock(emit, config.rows(), group), group);
  memory.query.waitEmpty(emit, n);
  Value full = memory.query.full(emit, n);
  arriveExpecting(emit, full, emit.mul(packed, config.dims.dim * 2));
  loadTile(emit, source, memory.queryTile, config.rows() * rowBytes, full);
}

TileBand ForwardLoader::bandOf(Value number) {
  return readForwardTile(emit, kernel.arguments, number).band;
}

TileMap ForwardLoader::keyMap(Value number) {
  using Tile = gpu::ForwardTile;
  return readMap(emit, kernel.arguments, number, sizeof(Tile),
                 offsetof(Tile, key), offsetof(Tile, key_map));
}

TileMap ForwardLoader::valueMap(Value number) {
  using Tile = gpu::ForwardTile;
  return readMap(emit, kernel.arguments, number, sizeof(Tile),
                 offsetof(Tile, value), offsetof(Tile, value_map));
}

void ForwardLoader::loadKeys(Value number, const PackedRows &rows,
                             Value keyBegin, Value n) {
  memory.key.waitEmpty(emit, n);
  TileBand band = bandOf(number);
  Value record = kernel.keyRecord(n);
  Value ahead = emit.sub(rows.tokens().begin, keyBegin);
  emit.storeShared(emit.add(ahead, band.low), record,
                   offsetof(KeyBlockRecord, low));
  emit.storeShared(emit.add(ahead, band.high), record,
                   offsetof(KeyBlockRecord, high));
  emit.storeShared(emit.sub(band.keyCount, keyBegin), record,
                   offsetof(KeyBlockRecord, limit));
  Value full = memory.key.full(emit, n);
  arriveExpecting(emit, full, emit.i32(config.keyBytes()));
  TileMap key = keyMap(number);
  TileSource source = {key.map, rows.keyHead(), emit.add(key.row, keyBegin),
                       config.dims.dim};
  loadTile(emit, source, kernel.keyTile(n), config.keys * rowBytes, full);
}

// Returns the number of tails so far.
Value ForwardLoader::loadValues(Value number, const PackedRows &rows,
                                Value keyBegin, Value n, Value tails) {
  memory.value.waitEmpty(emit, n);
  Value tile = kernel.valueTile(n);
  Value full = memory.value.full(emit, n);
  Value count = emit.sub(bandOf(number).keyCount, keyBegin);
  Value isTail = emit.lessThan(count, config.keys);
  emit.ifThen(isTail, [&] {
    Value record = kernel.tailRecord(tails);
    emit.storeShared(tile, record, offsetof(TailRecord, value));
    emit.storeShared(count, record, offsetof(TailRecord, first_row));
    emit.storeShared(full, record, offsetof(TailRecord, barrier));
  });
  Value barrier = emit.select(isTail, memory.tail.full(emit, tails), full);
  arriveExpecting(emit, barrier, emit.i32(config.valueBytes()));
  TileMap value = valueMap(number);
  TileSource source = {value.map, rows.keyHead(), emit.add(value.row, keyBegin),
                       config.dims.valueDim};
  loadTile(emit, source, tile, config.keys * rowBytes, barrier);
  return emit.add(tails, emit.widenToI32(isTail));
}

// Reads the tile for each block again: the thread has few registers, and the
// tile lies in the first cache.
Uses ForwardLoader::loadTileOfKeys(Value number, const PackedRows &rows,
                                   const Uses &uses) {
  acquireMap(emit, keyMap(number).map);
  acquireMap(emit, valueMap(number).map);
  IndexRange blocks = keyBlocks(bandOf(number), rows.tokens());
  Values loaded =
      emit.loop({emit.i32(0), emit.sub(blocks.end, blocks.begin)}, 1,
                {uses.blocks, uses.tails}, [&](Value i, ValueRange used) {
                  Value block = emit.sub(emit.sub(blocks.end, 1), i);
                  Value keyBegin = emit.mul(block, config.keys);
                  loadKeys(emit.pin(number), rows, keyBegin, used[0]);
                  Value tails = loadValues(emit.pin(number), rows, keyBegin,
                                           used[0], used[1]);
                  return Values{emit.add(used[0], 1), tails};
                });
  return {uses.items, loaded[0], uses.queries, loaded[1]};
}

Uses ForwardLoader::loadItem(Value number, const Uses &uses) {
  Arguments &arguments = kernel.arguments;
  Value offset = emit.mul(emit.widenUnsigned(number), sizeof(gpu::ForwardItem));
  ItemFields item = readItem(emit, emit.add(arguments.items(), offset));
  Value queryCount = bandOf(item.tileBegin).queryCount;
  PackedRows rows(emit, arguments.group(), config.rows(), item.first,
                  queryCount, item.headBegin, item.headEnd);
  Value blocks = countBlocks(item, rows.tokens());
  memory.item.waitEmpty(emit, uses.items);
  writeItem(kernel.itemRecord(uses.items), item, rows, blocks);
  arrive(emit, memory.item.full(emit, uses.items));
  Value some = emit.notEqual(blocks, 0);
  emit.ifThen(some, [&] { loadQueries(item, rows, uses.queries); });
  Uses used = {emit.add(uses.items, 1), uses.blocks,
               emit.add(uses.queries, emit.widenToI32(some)), uses.tails};
  return Uses::from(emit.loop(
      {item.tileBegin, item.tileEnd}, 1, used.values(),
      [&](Value tile, ValueRange carried) {
        return loadTileOfKeys(tile, rows, Uses::from(carried)).values();
      }));
}

// Tells the other warps that there is no more, when all stages are empty.
void ForwardLoader::finish(const Uses &uses) {
  for (int i = 0; i < config.stages; ++i)
    memory.value.waitEmpty(emit, emit.add(uses.blocks, i));
  emit.storeShared(emit.i32(0), kernel.tailRecord(uses.tails),
                   offsetof(TailRecord, value));
  arrive(emit, memory.tail.full(emit, uses.tails));
  memory.item.waitEmpty(emit, uses.items);
  emit.storeShared(emit.i32(-1), kernel.itemRecord(uses.items),
                   offsetof(ForwardItemRecord, blocks));
  arrive(emit, memory.item.full(emit, uses.items));
}

void ForwardLoader::build() {
  Arguments &arguments = kernel.arguments;
  Values init = {takeItem(emit, arguments)};
  init.append(Uses::count, emit.i32(0));
  Values end = emit.whileLoop(
      init,
      [&](ValueRange state) {
        return emit.lessThan(state[0], arguments.itemCount());
      },
      [&](ValueRange state) {
        Values next =
            loadItem(state[0], Uses::from(state.drop_front())).values();
        next.insert(next.begin(), takeItem(emit, arguments));
        return next;
      });
  endItems(emit, arguments);
  finish(Uses::from(ValueRange(end).drop_front()));
}

void buildForwardLoader(ForwardKernel &kernel) {
  ForwardLoader(kernel).build();
}

void buildTailZeroing(ForwardKernel &kernel) {
  DeviceEmitter &emit = kernel.emit;
  const Ring &ring = kernel.memory.tail;
  // Returns the record's fields, of tail n.
  auto next = [&](Value n) {
    ring.waitFull(emit, n);
    Value record = kernel.tailRecord(n);
    auto load = [&](size_t offset) {
      return emit.loadShared(emit.i32(), record, offset);
    };
    return Values{load(offsetof(TailRecord, value)),
                  load(offsetof(TailRecord, first_row)),
                  load(offsetof(TailRecord, barrier)), n};
  };
  emit.whileLoop(
      next(emit.i32(0)),
      [&](ValueRange state) { return emit.notEqual(state[0], 0); },
      [&](ValueRange state) {
        zeroRows(emit,
                 {state[0], kernel.config.keys, kernel.config.dims.valueDim},
                 state[1], laneId(emit), warpThreads);
        fenceForAsync(emit);
        emit.synchroniseWarp();
        arriveAsWarp(emit, state[2]);
        return next(emit.add(state[3], 1));
      });
}

} // namespace flashcp::codegen::nvptx::sm90
