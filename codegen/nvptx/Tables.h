// Items and tiles of the tables (kernel_abi.h) as values: buffers become
// addresses, and bands become ranges of keys, tokens and blocks.

#ifndef FLASHCP_CODEGEN_NVPTX_TABLES_H_
#define FLASHCP_CODEGEN_NVPTX_TABLES_H_

#include "codegen/nvptx/DeviceEmitter.h"
#include "codegen/nvptx/ItemLoop.h"

namespace flashcp::codegen::nvptx {

/// Rows of a tensor in global memory.
struct TensorRows {
  mlir::Value address;  // of the tile's first row, i64
  mlir::Value rowBytes; // from a row to the next, i64

  mlir::Value row(DeviceEmitter &emit, mlir::Value number) const;
};

/// A ForwardItem or a BackwardItem, fields as i32. `first` is its first token
/// or key.
struct ItemFields {
  mlir::Value tileBegin, tileEnd, first, headBegin, headEnd;
};

ItemFields readItem(DeviceEmitter &emit, mlir::Value item);

/// Rows of a tile and the keys that they see: token t sees keys
/// [t + low, t + high) of the tile's.
struct TileBand {
  mlir::Value queryCount, keyCount, low, high;

  /// Returns the keys that at least one of these tokens sees.
  IndexRange keysSeen(DeviceEmitter &emit, IndexRange tokens) const;
  /// Returns the tokens that see at least one of these keys.
  IndexRange tokensSeeing(DeviceEmitter &emit, IndexRange keys) const;
  /// Returns whether each of these tokens sees all keys [begin, begin + count),
  /// which may lie past the tile's last.
  mlir::Value allSeen(DeviceEmitter &emit, IndexRange tokens, mlir::Value begin,
                      int count) const;
};

struct ForwardTileFields {
  TensorRows query, key, value, output, lse, accumulator;
  TileBand band;
  mlir::Value flags;
};

ForwardTileFields readForwardTile(DeviceEmitter &emit, Arguments &arguments,
                                  mlir::Value number);

struct BackwardTileFields {
  TensorRows query, key, value, outputGradient, lse, delta;
  TensorRows queryGradient, keyGradient, valueGradient;
  TileBand band;
  mlir::Value firstTurn, firstCounter;
};

BackwardTileFields readBackwardTile(DeviceEmitter &emit, Arguments &arguments,
                                    mlir::Value number);

/// Returns whether a flag of a ForwardTile is set.
mlir::Value hasFlag(DeviceEmitter &emit, mlir::Value flags, int flag);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_TABLES_H_
