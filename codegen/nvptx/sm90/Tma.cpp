// PTX ISA, "cp.async.bulk.tensor".

#include "codegen/nvptx/sm90/Tma.h"

#include "codegen/nvptx/kernel_abi.h"
#include "codegen/nvptx/sm90/Wgmma.h"

#include <cstddef>

using namespace mlir;

namespace flashcp::codegen::nvptx::sm90 {

void acquireMap(DeviceEmitter &emit, Value map) {
  emit.ptx("fence.proxy.tensormap::generic.acquire.gpu [$0], 128;",
           "l,~{memory}", map, {});
}

TileMap readMap(DeviceEmitter &emit, Arguments &arguments, Value number,
                int64_t tileBytes, size_t rowOffset, size_t mapOffset) {
  Value tile = emit.add(arguments.tiles(),
                        emit.mul(emit.widenUnsigned(number), tileBytes));
  Value row = emit.loadGlobal(emit.i32(), tile,
                              rowOffset + offsetof(gpu::BufferRow, row));
  Value index = emit.widenUnsigned(
      emit.widenToI32(emit.loadGlobal(emit.i16(), tile, mapOffset)));
  Value map =
      emit.add(arguments.maps(), emit.mul(index, sizeof(gpu::TensorMap)));
  return {map, row};
}

void loadTile(DeviceEmitter &emit, const TileSource &source, Value address,
              int64_t sliceBytes, Value barrier) {
  for (int column = 0; column < source.columns; column += sliceColumns) {
    Value slice = emit.add(address, column / sliceColumns * sliceBytes);
    emit.ptx(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::"
        "complete_tx::bytes [$0], [$1, {$2, $3, $4}], [$5];",
        "r,l,r,r,r,r,~{memory}",
        {slice, source.map, emit.i32(column), source.head, source.row, barrier},
        {});
  }
}

// Swizzles move 16 bytes within their row.
static constexpr int chunkBytes = 16;

static void zeroChunk(DeviceEmitter &emit, const SharedTile &tile,
                      Value address, int offset = 0) {
  Value zero = LLVM::ZeroOp::create(emit.builder, emit.vectorOf(emit.i32(), 4));
  for (int slice = 0; slice < tile.columns / sliceColumns; ++slice)
    emit.storeShared(zero, address, offset + slice * tile.rows * rowBytes);
}

void zeroRows(DeviceEmitter &emit, const SharedTile &tile, Value first,
              Value thread, int threads) {
  constexpr int chunks = rowBytes / chunkBytes;
  IndexRange range = {emit.add(emit.mul(first, chunks), thread),
                      emit.i32(tile.rows * chunks)};
  emit.loop(range, threads, [&](Value chunk) {
    zeroChunk(emit, tile, emit.add(tile.address, emit.mul(chunk, chunkBytes)));
  });
}

void zeroRow(DeviceEmitter &emit, const SharedTile &tile, Value row) {
  Value address = emit.add(tile.address, emit.mul(row, rowBytes));
  for (int offset = 0; offset < rowBytes; offset += chunkBytes)
    zeroChunk(emit, tile, address, offset);
}

} // namespace flashcp::codegen::nvptx::sm90
