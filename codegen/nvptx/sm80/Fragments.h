// mma.sync on fragments: 16 x 16 of A, 16 x 8 of B and 16 x 8 sums, spread over
// the lanes of a warp, and ldmatrix, which loads them from shared memory.

#ifndef FLASHCP_CODEGEN_NVPTX_SM80_FRAGMENTS_H_
#define FLASHCP_CODEGEN_NVPTX_SM80_FRAGMENTS_H_

#include "codegen/nvptx/sm80/SharedTile.h"

#include <array>

namespace flashcp::codegen::nvptx::sm80 {

/// Four registers: of A one fragment, of B two side by side.
using Fragment = std::array<mlir::Value, 4>;

/// How the lanes of a warp address the 16 x 16 elements that one ldmatrix
/// loads.
enum class Operand {
  a,           // A, stored as it is multiplied: [m][k]
  aTransposed, // A, stored [k][m]
  b,           // B, stored [n][k]: a product with rows
  bTransposed, // B, stored [k][n]: a product with columns
};

/// Loads fragments of a tile. Lane addresses are computed once; everything
/// else is an offset in the instruction.
class FragmentLoader {
public:
  /// `row` is added to all rows, a multiple of 8; `group` is added to the group
  /// of 16 columns, 0 or 1: groups are then loaded two by two.
  FragmentLoader(DeviceEmitter &emit, const SharedTile &tile, Operand operand,
                 mlir::Value row = {}, mlir::Value group = {});

  /// Loads 16 rows x 16 columns of the tile; both are multiples of 16.
  /// `stage`, if any, is added to the address.
  Fragment load(int row, int column, mlir::Value stage = {}) const;

private:
  DeviceEmitter &emit;
  SharedTile tile;
  Operand operand;
  llvm::SmallVector<mlir::Value, 4> addresses; // by pair of chunks of a slab
};

/// sums += A B for 16 x 8 sums; `b` is half of a Fragment.
void multiply(DeviceEmitter &emit, Element element,
              llvm::MutableArrayRef<mlir::Value> sums, const Fragment &a,
              llvm::ArrayRef<mlir::Value> b);

/// Rounds two neighbouring 16 x 8 sums into a fragment of A.
Fragment roundToA(DeviceEmitter &emit, Element element,
                  llvm::ArrayRef<mlir::Value> sums);

/// Returns the number of the thread's warp, the same for all its lanes, and its
/// lane.
mlir::Value warpId(DeviceEmitter &emit);
mlir::Value laneId(DeviceEmitter &emit);

} // namespace flashcp::codegen::nvptx::sm80

#endif // FLASHCP_CODEGEN_NVPTX_SM80_FRAGMENTS_H_
