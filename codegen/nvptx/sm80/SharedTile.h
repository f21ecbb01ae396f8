// Tiles of 16-bit elements in shared memory, swizzled so that neither copies
// from global memory nor ldmatrix meet in a bank.
//
// A tile is made of slabs of 64 columns (32, if the width asks for it), each
// [row][128 bytes] ([row][64 bytes]); the 16-byte chunks of a row are permuted
// by an exclusive or with the row.

#ifndef FLASHCP_CODEGEN_NVPTX_SM80_SHAREDTILE_H_
#define FLASHCP_CODEGEN_NVPTX_SM80_SHAREDTILE_H_

#include "codegen/nvptx/DeviceEmitter.h"

namespace flashcp::codegen::nvptx::sm80 {

constexpr int elementBytes = 2, chunkBytes = 16;
constexpr int chunkColumns = chunkBytes / elementBytes;

struct SharedTile {
  int offset; // in dynamic shared memory
  int rows;
  int columns;

  constexpr int slabColumns() const { return columns % 64 == 0 ? 64 : 32; }
  constexpr int slabs() const { return columns / slabColumns(); }
  constexpr int slabChunks() const { return slabColumns() / chunkColumns; }
  constexpr int rowBytes() const { return slabColumns() * elementBytes; }
  constexpr int slabBytes() const { return rows * rowBytes(); }
  constexpr int bytes() const { return slabs() * slabBytes(); }
  constexpr int end() const { return offset + bytes(); }

  /// Returns where a chunk of the first slab lies, relative to the tile;
  /// `chunk` is less than slabChunks(). Rows a multiple of 8 further down lie
  /// that many times rowBytes() further.
  mlir::Value chunkOffset(DeviceEmitter &emit, mlir::Value row,
                          mlir::Value chunk) const;
  /// Likewise for a column that is a multiple of 8, of any slab.
  mlir::Value elementOffset(DeviceEmitter &emit, mlir::Value row,
                            int column) const;
};

} // namespace flashcp::codegen::nvptx::sm80

#endif // FLASHCP_CODEGEN_NVPTX_SM80_SHAREDTILE_H_
