// Products of a warpgroup by wgmma: 64 rows, f32 sums in registers, operands
// in swizzled shared memory or, A alone, in registers.
//
// A product is one PTX statement from fence to commit, so that nothing can come
// between its steps and no register is visible while its sum is half done. A
// wait takes the sums that it completes through itself, so that no use of them
// can move above it. What ptxas makes of anything else is an order of its own:
// it then waits after every instruction and says so (C7510 to C7519).

#ifndef FLASHCP_CODEGEN_NVPTX_SM90_WGMMA_H_
#define FLASHCP_CODEGEN_NVPTX_SM90_WGMMA_H_

#include "codegen/nvptx/DeviceEmitter.h"

namespace flashcp::codegen::nvptx::sm90 {

/// Rows that a warpgroup computes.
inline constexpr int groupRows = 64;
/// Depth of a step of a product.
inline constexpr int stepDepth = 16;
/// Columns of 16-bit elements in a row of 128 bytes; wider tiles lie in slices
/// [columns / 64][rows][128 bytes], each swizzled over 128 bytes.
inline constexpr int sliceColumns = 64;
inline constexpr int rowBytes = 128;

/// The dimension of an operand whose elements lie next to each other: the one
/// that is summed over, or the one of the result.
enum class Major { depth, result };

/// An operand in shared memory: a descriptor of its first step.
struct SharedMatrix {
  mlir::Value descriptor; // i64
  Major major;
  int tileRows; // of the tile that it lies in

  /// Returns what leads from the first step to step k, in units of 16 bytes.
  int stepOffset(int k) const;
};

/// Returns the operand at a shared address, 1024-aligned but for whole rows of
/// a multiple of 8 and slices; `tileRows` as above.
SharedMatrix matrixAt(DeviceEmitter &emit, mlir::Value address, Major major,
                      int tileRows);

struct Product {
  Element element;
  int columns; // of the sums
  int steps;
  Values sums;       // columns / 2 a lane; empty: they start at zero
  Values aRegisters; // four a step, or
  SharedMatrix a = {};
  SharedMatrix b = {};
};

/// Starts a product; its sums may be touched after the wait that covers it.
Values issue(DeviceEmitter &emit, const Product &product);

/// Waits until at most `pending` of the products issued last are not complete.
/// Returns `sums`, which are complete then; `reads` are registers that may be
/// written from then on.
Values waitFor(DeviceEmitter &emit, int pending, mlir::ValueRange sums,
               mlir::ValueRange reads = {});

/// Keeps what computes the floats above this place and their uses below, for
/// LLVM.
Values pin(DeviceEmitter &emit, mlir::ValueRange floats);

/// Orders writes of shared memory by this thread before products, and copies of
/// TMA, that threads start which synchronise with it afterwards.
void fenceForAsync(DeviceEmitter &emit);

} // namespace flashcp::codegen::nvptx::sm90

#endif // FLASHCP_CODEGEN_NVPTX_SM90_WGMMA_H_
