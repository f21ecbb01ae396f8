// Rows of 128 bytes: the chunk is permuted by the row. Of 64 bytes: two rows
// fill the banks, and the chunk is permuted by half the row.

#include "codegen/nvptx/sm80/SharedTile.h"

using namespace mlir;

namespace flashcp::codegen::nvptx::sm80 {

Value SharedTile::chunkOffset(DeviceEmitter &emit, Value row,
                              Value chunk) const {
  bool whole = slabColumns() == 64;
  Value permutation =
      whole ? emit.bitAnd(row, 7) : emit.bitAnd(emit.shiftRight(row, 1), 3);
  return emit.add(emit.mul(row, rowBytes()),
                  emit.mul(emit.bitXor(chunk, permutation), chunkBytes));
}

Value SharedTile::elementOffset(DeviceEmitter &emit, Value row,
                                int column) const {
  Value chunk = emit.i32(column % slabColumns() / chunkColumns);
  return emit.add(chunkOffset(emit, row, chunk),
                  column / slabColumns() * slabBytes());
}

} // namespace flashcp::codegen::nvptx::sm80
