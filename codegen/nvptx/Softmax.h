// Softmax while keys arrive block by block, on scores in registers in the
// layout of mma.sync and wgmma: a row lies in four lanes, a lane holds pairs of
// columns 8 t + 2 (lane % 4) + {0, 1}.

#ifndef FLASHCP_CODEGEN_NVPTX_SOFTMAX_H_
#define FLASHCP_CODEGEN_NVPTX_SOFTMAX_H_

#include "codegen/nvptx/DeviceEmitter.h"

namespace flashcp::codegen::nvptx {

/// What a lane knows of a row. Scores are in units of log 2.
struct RowState {
  mlir::Value maximum; // of the row so far; -inf: no key of any weight
  mlir::Value sum;     // of this lane's weights, relative to the maximum
};

/// What a row becomes in the end.
struct RowResult {
  mlir::Value inverse; // of the sum of weights; 0 if there are none
  mlir::Value lse;     // natural log; -inf if there are none
};

/// Returns the column of a lane's first pair.
mlir::Value laneColumn(DeviceEmitter &emit);

/// Returns the state of a row that saw no key.
RowState emptyRow(DeviceEmitter &emit);
/// Returns the state of a row whose normalised sum and LSE are known.
RowState rowOfLse(DeviceEmitter &emit, mlir::Value lse);

/// Sets the scores of keys outside [low, high) to -inf; both are relative to
/// the lane's first column.
void maskRow(DeviceEmitter &emit, llvm::MutableArrayRef<mlir::Value> scores,
             mlir::Value low, mlir::Value high);

/// Turns a row's products of queries and keys into weights and adds them to its
/// state. Returns what sums of earlier weights are to be multiplied by.
mlir::Value addScores(DeviceEmitter &emit, RowState &state,
                      llvm::MutableArrayRef<mlir::Value> scores,
                      mlir::Value scaleLog2);

/// Ends a row; all four lanes get the result.
RowResult finishRow(DeviceEmitter &emit, const RowState &state);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_SOFTMAX_H_
