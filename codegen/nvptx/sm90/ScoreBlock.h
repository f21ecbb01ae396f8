// A warpgroup's scores of 64 rows and a block of keys, in the accumulators of
// wgmma: a lane holds pairs of columns of two rows, 8 apart.

#ifndef FLASHCP_CODEGEN_NVPTX_SM90_SCOREBLOCK_H_
#define FLASHCP_CODEGEN_NVPTX_SM90_SCOREBLOCK_H_

#include "codegen/nvptx/Softmax.h"

#include <array>

namespace flashcp::codegen::nvptx::sm90 {

/// Rows of a lane.
inline constexpr int laneRows = 2;

/// Returns the lane's first row, of its warpgroup's; the other is 8 further.
mlir::Value laneRow(DeviceEmitter &emit);
/// Returns the position of column pair `pair`, half `half` (0 or 1), of a row
/// among a lane's accumulators.
int accumulatorOf(int row, int pair, int half);
/// Return the values of one of the rows, and set them.
Values rowOf(mlir::ValueRange accumulators, int row);
void setRow(Values &accumulators, int row, mlir::ValueRange values);

/// Multiplies each row by its factor.
Values scaleRows(DeviceEmitter &emit, mlir::ValueRange accumulators,
                 const std::array<mlir::Value, laneRows> &factors);

/// Rounds accumulators to pairs, which are A registers of the next product as
/// they lie.
Values roundToA(DeviceEmitter &emit, Element element,
                mlir::ValueRange accumulators);

/// Adds a row's pairs of columns to f32 in global memory, from the lane's first
/// pair on. Nobody waits for the sums.
void addToGlobal(DeviceEmitter &emit, mlir::ValueRange row,
                 mlir::Value address);

/// Turns scores into weights as addScores() does, for both rows, in as few
/// instructions: the scale is multiplied by as the maximum is subtracted,
/// unless scores are so large that this rounds to weights above 1. Returns the
/// factors of earlier sums.
std::array<mlir::Value, laneRows>
addScoreBlock(DeviceEmitter &emit, std::array<RowState, laneRows> &states,
              Values &scores, mlir::Value scaleLog2);

} // namespace flashcp::codegen::nvptx::sm90

#endif // FLASHCP_CODEGEN_NVPTX_SM90_SCOREBLOCK_H_
