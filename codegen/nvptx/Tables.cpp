// Loads of fields by their offsets, and arithmetic on bands.

#include "codegen/nvptx/Tables.h"

#include "codegen/nvptx/kernel_abi.h"

#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx {

Value TensorRows::row(DeviceEmitter &emit, Value number) const {
  return emit.add(address, emit.mul(emit.widenUnsigned(number), rowBytes));
}

static Value load16(DeviceEmitter &emit, Value address, size_t offset) {
  return emit.widenToI32(emit.loadGlobal(emit.i16(), address, offset));
}

ItemFields readItem(DeviceEmitter &emit, Value item) {
  using Item = gpu::ForwardItem;
  static_assert(offsetof(gpu::BackwardItem, key) == offsetof(Item, token));
  auto load = [&](size_t offset) {
    return emit.loadGlobal(emit.i32(), item, offset);
  };
  return {load(offsetof(Item, tile_begin)), load(offsetof(Item, tile_end)),
          load(offsetof(Item, token)),
          load16(emit, item, offsetof(Item, head_begin)),
          load16(emit, item, offsetof(Item, head_end))};
}

IndexRange TileBand::keysSeen(DeviceEmitter &emit, IndexRange tokens) const {
  Value begin =
      emit.maximum(emit.add(tokens.begin, low), emit.like(low, int64_t{0}));
  Value last = emit.sub(tokens.end, 1);
  return {begin, emit.minimum(emit.add(last, high), keyCount)};
}

IndexRange TileBand::tokensSeeing(DeviceEmitter &emit, IndexRange keys) const {
  Value begin = emit.maximum(emit.add(emit.sub(keys.begin, high), 1),
                             emit.like(high, int64_t{0}));
  return {begin, emit.minimum(emit.sub(keys.end, low), queryCount)};
}

Value TileBand::allSeen(DeviceEmitter &emit, IndexRange tokens, Value begin,
                        int count) const {
  Value end = emit.add(begin, count);
  Value last = emit.sub(tokens.end, 1);
  Value above = emit.atMost(emit.add(last, low), begin);
  Value below = emit.atMost(end, emit.add(tokens.begin, high));
  return emit.both(emit.both(above, below), emit.atMost(end, keyCount));
}

namespace {

/// A tile of a table, whose fields are read by offset.
class TileReader {
public:
  TileReader(DeviceEmitter &emit, Arguments &arguments, Value number,
             int64_t bytes)
      : emit(emit), arguments(arguments),
        address(emit.add(arguments.tiles(),
                         emit.mul(emit.widenUnsigned(number), bytes))) {}

  Value field(size_t offset) {
    return emit.loadGlobal(emit.i32(), address, offset);
  }

  TensorRows rows(size_t offset) {
    Value buffer = field(offset + offsetof(gpu::BufferRow, buffer));
    Value row = field(offset + offsetof(gpu::BufferRow, row));
    return {arguments.rowAddress(buffer, row), arguments.rowBytesOf(buffer)};
  }

  DeviceEmitter &emit;
  Arguments &arguments;
  Value address;
};

} // namespace

ForwardTileFields readForwardTile(DeviceEmitter &emit, Arguments &arguments,
                                  Value number) {
  using Tile = gpu::ForwardTile;
  TileReader tile(emit, arguments, number, sizeof(Tile));
  ForwardTileFields fields;
  fields.query = tile.rows(offsetof(Tile, query));
  fields.key = tile.rows(offsetof(Tile, key));
  fields.value = tile.rows(offsetof(Tile, value));
  fields.output = tile.rows(offsetof(Tile, output));
  fields.lse = tile.rows(offsetof(Tile, lse));
  fields.accumulator = tile.rows(offsetof(Tile, accumulator));
  fields.band = {tile.field(offsetof(Tile, query_count)),
                 tile.field(offsetof(Tile, key_count)),
                 tile.field(offsetof(Tile, low)),
                 tile.field(offsetof(Tile, high))};
  fields.flags = load16(emit, tile.address, offsetof(Tile, flags));
  return fields;
}

BackwardTileFields readBackwardTile(DeviceEmitter &emit, Arguments &arguments,
                                    Value number) {
  using Tile = gpu::BackwardTile;
  TileReader tile(emit, arguments, number, sizeof(Tile));
  BackwardTileFields fields;
  fields.query = tile.rows(offsetof(Tile, query));
  fields.key = tile.rows(offsetof(Tile, key));
  fields.value = tile.rows(offsetof(Tile, value));
  fields.outputGradient = tile.rows(offsetof(Tile, output_gradient));
  fields.lse = tile.rows(offsetof(Tile, lse));
  fields.delta = tile.rows(offsetof(Tile, delta));
  fields.queryGradient = tile.rows(offsetof(Tile, query_gradient));
  fields.keyGradient = tile.rows(offsetof(Tile, key_gradient));
  fields.valueGradient = tile.rows(offsetof(Tile, value_gradient));
  fields.band = {tile.field(offsetof(Tile, query_count)),
                 tile.field(offsetof(Tile, key_count)),
                 tile.field(offsetof(Tile, low)),
                 tile.field(offsetof(Tile, high))};
  fields.firstTurn = tile.field(offsetof(Tile, first_turn));
  fields.firstCounter = tile.field(offsetof(Tile, first_counter));
  return fields;
}

Value hasFlag(DeviceEmitter &emit, Value flags, int flag) {
  return emit.notEqual(emit.bitAnd(flags, flag), 0);
}

} // namespace flashcp::codegen::nvptx
