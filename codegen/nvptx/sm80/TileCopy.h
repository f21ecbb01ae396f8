// Copies of rows of one head from global to a tile in shared memory by
// cp.async, 16 bytes a thread and instruction.

#ifndef FLASHCP_CODEGEN_NVPTX_SM80_TILECOPY_H_
#define FLASHCP_CODEGEN_NVPTX_SM80_TILECOPY_H_

#include "codegen/nvptx/sm80/SharedTile.h"

namespace flashcp::codegen::nvptx::sm80 {

/// The source of one row of a tile.
struct SourceRow {
  mlir::Value address; // i64
  mlir::Value used;    // i1; other rows become zeros, and are not read
};

/// The part of a thread in copies of tiles, which all threads of a block take
/// part in.
class TileCopy {
public:
  TileCopy(DeviceEmitter &emit, const SharedTile &tile, int threads);

  /// Starts to copy all rows. `source` is asked for each row of this thread.
  /// `stage`, if any, is added to the address in shared memory.
  void start(llvm::function_ref<SourceRow(mlir::Value row)> source,
             mlir::Value stage = {}) const;

private:
  DeviceEmitter &emit;
  SharedTile tile;
  int rowsPerPass;
  mlir::Value row;    // of the first pass
  mlir::Value target; // of the first pass and slab
  mlir::Value column; // in bytes, i64
};

/// Ends a group of copies that this thread has started.
void commitCopies(DeviceEmitter &emit);
/// Waits until at most `pending` of this thread's last groups are under way.
void waitForCopies(DeviceEmitter &emit, int pending);

} // namespace flashcp::codegen::nvptx::sm80

#endif // FLASHCP_CODEGEN_NVPTX_SM80_TILECOPY_H_
