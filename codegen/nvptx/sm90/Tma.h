// Loads of boxes of tensors into swizzled tiles by TMA.

#ifndef FLASHCP_CODEGEN_NVPTX_SM90_TMA_H_
#define FLASHCP_CODEGEN_NVPTX_SM90_TMA_H_

#include "codegen/nvptx/ItemLoop.h"

namespace flashcp::codegen::nvptx::sm90 {

/// A tensor of a tile as TMA reads it.
struct TileMap {
  mlir::Value map; // address of the tensor map
  mlir::Value row; // of the buffer, the tile's first; i32
};

/// Reads a tensor of tile `number` of the launch's ForwardTile or BackwardTile,
/// by the offsets of its BufferRow and its map in that.
TileMap readMap(DeviceEmitter &emit, Arguments &arguments, mlir::Value number,
                int64_t tileBytes, size_t rowOffset, size_t mapOffset);

/// Makes a map, which the host wrote, ready for use: TMA reads maps past the
/// caches of other accesses.
void acquireMap(DeviceEmitter &emit, mlir::Value map);

/// Where a tile comes from: 64 columns of the map's box of heads and rows at a
/// time.
struct TileSource {
  mlir::Value map;
  mlir::Value head, row; // i32
  int columns;
};

/// Starts the loads of a tile's slices, which lie `sliceBytes` apart; their
/// bytes count at the barrier.
void loadTile(DeviceEmitter &emit, const TileSource &source,
              mlir::Value address, int64_t sliceBytes, mlir::Value barrier);

/// A tile in shared memory, as loadTile() lays it out.
struct SharedTile {
  mlir::Value address;
  int rows, columns;
};

/// Zeroes rows from `first` on, by `threads` threads of which this is number
/// `thread`.
void zeroRows(DeviceEmitter &emit, const SharedTile &tile, mlir::Value first,
              mlir::Value thread, int threads);
/// Zeroes one row, by one thread.
void zeroRow(DeviceEmitter &emit, const SharedTile &tile, mlir::Value row);

} // namespace flashcp::codegen::nvptx::sm90

#endif // FLASHCP_CODEGEN_NVPTX_SM90_TMA_H_
