// One thread that takes items, reads the tables, and keeps K, V, Q and dO
// coming. An item whose keys no row sees is passed over.

#include "codegen/nvptx/PackedRows.h"
#include "codegen/nvptx/Tables.h"
#include "codegen/nvptx/kernel_abi.h"
#include "codegen/nvptx/sm90/BackwardParts.h"
#include "codegen/nvptx/sm90/Tma.h"

#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

namespace {

/// Uses of the rings so far.
struct Uses {
  Value items, blocks;

  static constexpr int count = 2;
  Values values() const { return {items, blocks}; }
  static Uses from(ValueRange v) { return {v[0], v[1]}; }
};

/// An item and what follows from it.
struct ItemScope {
  ItemFields fields;
  IndexRange keys;
  Value keyHead;
  Value groupBegin; // first query head of the group
  Value firstUse;   // of the ring of rows
};

class BackwardLoader {
public:
  explicit BackwardLoader(BackwardKernel &kernel)
      : kernel(kernel), emit(kernel.emit), arguments(kernel.arguments),
        memory(kernel.memory), config(kernel.config), group(arguments.group()),
        tokens(tokensPerBlock(emit, config.rows, group)) {}

  void build();

private:
  ItemScope readScope(Value number);
  IndexRange rowBlocks(const TileBand &band, const ItemScope &item);
  Value countBlocks(const ItemScope &item);
  Uses loadItem(ItemScope item, Value blocks, const Uses &uses);
  void writeItem(const ItemScope &item, Value blocks, Value n);
  void loadKeys(const ItemScope &item, Value n);
  Value loadTileOfRows(Value number, const ItemScope &item, Value n);
  TileMap queryMap(Value number);
  TileMap outputMap(Value number);
  void loadRows(Value number, const ItemScope &item, Value token, Value n);
  void writeRows(Value number, const ItemScope &item, Value block, Value n);
  void writeTurn(const BackwardTileFields &tile, const ItemScope &item,
                 Value block, Value record);
  void finish(const Uses &uses);
  void store(Value value, Value record, size_t offset) {
    emit.storeShared(value, record, offset);
  }

  BackwardKernel &kernel;
  DeviceEmitter &emit;
  Arguments &arguments;
  const BackwardMemory &memory;
  const BackwardConfig &config;
  Value group, tokens; // query heads of a K/V head, tokens of a block
};

} // namespace

ItemScope BackwardLoader::readScope(Value number) {
  Value offset =
      emit.mul(emit.widenUnsigned(number), sizeof(gpu::BackwardItem));
  ItemScope item;
  item.fields = readItem(emit, emit.add(arguments.items(), offset));
  Value keyCount =
      readBackwardTile(emit, arguments, item.fields.tileBegin).band.keyCount;
  Value end = emit.minimum(emit.add(item.fields.first, config.keys), keyCount);
  item.keys = {item.fields.first, end};
  item.keyHead = emit.divide(item.fields.headBegin, group);
  item.groupBegin = emit.mul(item.keyHead, group);
  return item;
}

// Returns the blocks of rows that see some of the item's keys.
IndexRange BackwardLoader::rowBlocks(const TileBand &band,
                                     const ItemScope &item) {
  IndexRange seeing = band.tokensSeeing(emit, item.keys);
  Value end = emit.maximum(seeing.end, emit.i32(0));
  Value begin = emit.divide(seeing.begin, tokens);
  Value last = emit.divide(emit.sub(emit.add(end, tokens), 1), tokens);
  Value some = emit.lessThan(seeing.begin, end);
  return {begin, emit.select(some, last, begin)};
}

Value BackwardLoader::countBlocks(const ItemScope &item) {
  return emit.loop(
      {item.fields.tileBegin, item.fields.tileEnd}, 1, emit.i32(0),
      [&](Value number, ValueRange sum) {
        TileBand band = readBackwardTile(emit, arguments, number).band;
        IndexRange blocks = rowBlocks(band, item);
        return Values{emit.add(sum[0], emit.sub(blocks.end, blocks.begin))};
      })[0];
}

// Says where dK and dV of the item go.
void BackwardLoader::writeItem(const ItemScope &item, Value blocks, Value n) {
  using Record = BackwardItemRecord;
  Value record = kernel.itemRecord(n);
  BackwardTileFields tile =
      readBackwardTile(emit, arguments, item.fields.tileBegin);
  auto storeRows = [&](const TensorRows &tensor, int dim, size_t address,
                       size_t stride) {
    Value head = emit.mul(emit.widenUnsigned(item.keyHead), dim * 4);
    store(emit.add(tensor.row(emit, item.keys.begin), head), record, address);
    store(tensor.rowBytes, record, stride);
  };
  storeRows(tile.keyGradient, config.dims.dim, offsetof(Record, key_gradient),
            offsetof(Record, key_gradient_row_bytes));
  storeRows(tile.valueGradient, config.dims.valueDim,
            offsetof(Record, value_gradient),
            offsetof(Record, value_gradient_row_bytes));
  store(blocks, record, offsetof(Record, blocks));
  store(emit.sub(item.keys.end, item.keys.begin), record,
        offsetof(Record, keys));
}

void BackwardLoader::loadKeys(const ItemScope &item, Value n) {
  using Tile = gpu::BackwardTile;
  auto read = [&](size_t row, size_t map) {
    return readMap(emit, arguments, item.fields.tileBegin, sizeof(Tile), row,
                   map);
  };
  TileMap key = read(offsetof(Tile, key), offsetof(Tile, key_map));
  TileMap value = read(offsetof(Tile, value), offsetof(Tile, value_map));
  acquireMap(emit, key.map);
  acquireMap(emit, value.map);
  memory.keys.waitEmpty(emit, n);
  Value loaded = memory.keysLoaded.full(emit, n);
  arriveExpecting(emit, loaded,
                  emit.i32(config.keyBytes() + config.valueBytes()));
  loadTile(emit,
           {key.map, item.keyHead, emit.add(key.row, item.keys.begin),
            config.dims.dim},
           memory.keyTile, config.keys * rowBytes, loaded);
  loadTile(emit,
           {value.map, item.keyHead, emit.add(value.row, item.keys.begin),
            config.dims.valueDim},
           memory.valueTile, config.keys * rowBytes, loaded);
}

// Says whose turn it is to add to the block of dQ, and what comes after.
void BackwardLoader::writeTurn(const BackwardTileFields &tile,
                               const ItemScope &item, Value block,
                               Value record) {
  using Record = RowBlockRecord;
  Value number = emit.add(tile.firstTurn, block);
  Value entry = emit.add(arguments.turns(), emit.mul(emit.widenUnsigned(number),
                                                     sizeof(gpu::Turn)));
  Value before =
      emit.loadGlobal(emit.i32(), entry, offsetof(gpu::Turn, before));
  Value count = emit.loadGlobal(emit.i32(), entry, offsetof(gpu::Turn, count));
  Value firstKey = emit.maximum(
      emit.add(emit.mul(block, tokens), tile.band.low), emit.i32(0));
  Value keyBlock = emit.sub(emit.div(item.keys.begin, config.keys),
                            emit.div(firstKey, config.keys));
  Value turn = emit.add(before, keyBlock);
  Value next = emit.add(turn, 1);
  store(turn, record, offsetof(Record, turn));
  store(emit.select(emit.isEqual(next, count), emit.i32(0), next), record,
        offsetof(Record, next_turn));
  Value blocks =
      emit.divide(emit.sub(emit.add(tile.band.queryCount, tokens), 1), tokens);
  Value counter = emit.add(tile.firstCounter,
                           emit.add(emit.mul(item.keyHead, blocks), block));
  store(
      emit.add(arguments.counters(), emit.mul(emit.widenUnsigned(counter), 4)),
      record, offsetof(Record, counter));
}

// Reads the tile for each tensor again: the thread has few registers, and the
// tile lies in the first cache.
void BackwardLoader::writeRows(Value number, const ItemScope &item, Value block,
                               Value n) {
  using Record = RowBlockRecord;
  Value record = kernel.rowRecord(n);
  Value token = emit.mul(block, tokens);
  auto tile = [&] {
    return readBackwardTile(emit, arguments, emit.pin(number));
  };
  auto storeRows = [&](const TensorRows &tensor, int64_t headBytes,
                       size_t address, size_t stride) {
    Value head = emit.widenUnsigned(emit.pin(item.groupBegin));
    store(emit.add(tensor.row(emit, token), emit.mul(head, headBytes)), record,
          address);
    store(tensor.rowBytes, record, stride);
  };
  storeRows(tile().lse, 4, offsetof(Record, lse),
            offsetof(Record, lse_row_bytes));
  storeRows(tile().delta, 4, offsetof(Record, delta),
            offsetof(Record, delta_row_bytes));
  storeRows(tile().queryGradient, config.dims.dim * 4,
            offsetof(Record, query_gradient),
            offsetof(Record, query_gradient_row_bytes));
  writeTurn(tile(), item, block, record);
  TileBand band = tile().band;
  store(emit.minimum(tokens, emit.sub(band.queryCount, token)), record,
        offsetof(Record, tokens));
  store(emit.sub(item.fields.headBegin, item.groupBegin), record,
        offsetof(Record, head_begin));
  store(emit.sub(item.fields.headEnd, item.groupBegin), record,
        offsetof(Record, head_end));
  Value ahead = emit.sub(token, item.keys.begin);
  store(emit.add(ahead, band.low), record, offsetof(Record, low));
  store(emit.add(ahead, band.high), record, offsetof(Record, high));
  store(emit.sub(item.keys.end, item.keys.begin), record,
        offsetof(Record, limit));
  store(emit.widenToI32(emit.isEqual(n, item.firstUse)), record,
        offsetof(Record, is_start));
  store(emit.i32(0), record, offsetof(Record, is_end));
}

TileMap BackwardLoader::queryMap(Value number) {
  using Tile = gpu::BackwardTile;
  return readMap(emit, arguments, number, sizeof(Tile), offsetof(Tile, query),
                 offsetof(Tile, query_map));
}

TileMap BackwardLoader::outputMap(Value number) {
  using Tile = gpu::BackwardTile;
  return readMap(emit, arguments, number, sizeof(Tile),
                 offsetof(Tile, output_gradient),
                 offsetof(Tile, output_gradient_map));
}

// Loads whole tokens of the block, past the tile's last as well.
void BackwardLoader::loadRows(Value number, const ItemScope &item, Value token,
                              Value n) {
  Value bytes = emit.mul(emit.mul(tokens, group),
                         2 * (config.dims.dim + config.dims.valueDim));
  Value loaded = memory.rowsLoaded.full(emit, n);
  arriveExpecting(emit, loaded, bytes);
  auto load = [&](const TileMap &tensor, int dim, Value tile) {
    loadTile(emit,
             {tensor.map, item.groupBegin, emit.add(tensor.row, token), dim},
             tile, config.rows * rowBytes, loaded);
  };
  load(queryMap(number), config.dims.dim, kernel.queryTile(n));
  load(outputMap(number), config.dims.valueDim, kernel.outputTile(n));
}

// Returns the number of blocks so far. Reads the tile for each block again: the
// thread has few registers, and the tile lies in the first cache.
Value BackwardLoader::loadTileOfRows(Value number, const ItemScope &item,
                                     Value n) {
  acquireMap(emit, queryMap(number).map);
  acquireMap(emit, outputMap(number).map);
  TileBand band = readBackwardTile(emit, arguments, number).band;
  IndexRange blocks = rowBlocks(band, item);
  return emit.loop({emit.i32(0), emit.sub(blocks.end, blocks.begin)}, 1, n,
                   [&](Value i, ValueRange used) {
                     Value block = emit.sub(emit.sub(blocks.end, 1), i);
                     Value n = used[0];
                     memory.rows.waitEmpty(emit, n);
                     writeRows(number, item, block, n);
                     arrive(emit, memory.announced.full(emit, n));
                     loadRows(emit.pin(number), item, emit.mul(block, tokens),
                              n);
                     return Values{emit.add(n, 1)};
                   })[0];
}

Uses BackwardLoader::loadItem(ItemScope item, Value blocks, const Uses &uses) {
  item.firstUse = uses.blocks;
  memory.item.waitEmpty(emit, uses.items);
  writeItem(item, blocks, uses.items);
  arrive(emit, memory.item.full(emit, uses.items));
  loadKeys(item, uses.items);
  Value n = emit.loop({item.fields.tileBegin, item.fields.tileEnd}, 1,
                      uses.blocks, [&](Value tile, ValueRange used) {
                        return Values{loadTileOfRows(tile, item, used[0])};
                      })[0];
  return {emit.add(uses.items, 1), n};
}

// Tells the other warps that there is no more.
void BackwardLoader::finish(const Uses &uses) {
  memory.rows.waitEmpty(emit, uses.blocks);
  store(emit.i32(1), kernel.rowRecord(uses.blocks),
        offsetof(RowBlockRecord, is_end));
  arrive(emit, memory.announced.full(emit, uses.blocks));
  memory.item.waitEmpty(emit, uses.items);
  store(emit.i32(-1), kernel.itemRecord(uses.items),
        offsetof(BackwardItemRecord, blocks));
  arrive(emit, memory.item.full(emit, uses.items));
}

void BackwardLoader::build() {
  Values init = {takeItem(emit, arguments)};
  init.append(Uses::count, emit.i32(0));
  Values end = emit.whileLoop(
      init,
      [&](ValueRange state) {
        return emit.lessThan(state[0], arguments.itemCount());
      },
      [&](ValueRange state) {
        Uses uses = Uses::from(state.drop_front());
        ItemScope item = readScope(state[0]);
        Value blocks = countBlocks(item);
        Values next = emit.ifElse(
            emit.notEqual(blocks, 0), {emit.i32(), emit.i32()},
            [&] { return loadItem(item, blocks, uses).values(); },
            [&] { return uses.values(); });
        next.insert(next.begin(), takeItem(emit, arguments));
        return next;
      });
  endItems(emit, arguments);
  finish(Uses::from(ValueRange(end).drop_front()));
}

void buildBackwardLoader(BackwardKernel &kernel) {
  BackwardLoader(kernel).build();
}

} // namespace flashcp::codegen::nvptx::sm90
