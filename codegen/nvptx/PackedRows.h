// Packed rows of a block of queries: row r is token r / group and query head
// r % group of the heads that share one K/V head.

#ifndef FLASHCP_CODEGEN_NVPTX_PACKEDROWS_H_
#define FLASHCP_CODEGEN_NVPTX_PACKEDROWS_H_

#include "codegen/nvptx/DeviceEmitter.h"

namespace flashcp::codegen::nvptx {

/// The place of a packed row in tensors [token][head].
struct RowPlace {
  mlir::Value token; // as the tile counts
  mlir::Value head;  // of all query heads
  mlir::Value used;  // i1; others are computed and never stored
};

class PackedRows {
public:
  /// A block of `count` rows that starts at a token, for the query heads
  /// [headBegin, headEnd) of an item.
  PackedRows(DeviceEmitter &emit, mlir::Value group, int count,
             mlir::Value firstToken, mlir::Value queryCount,
             mlir::Value headBegin, mlir::Value headEnd);

  /// Divides anew at each call: places are cheaper to compute than to keep in
  /// registers.
  RowPlace at(mlir::Value row) const;
  mlir::Value token(mlir::Value row) const;

  /// Returns whether all rows of the block are used.
  mlir::Value allUsed() const;

  /// Returns the K/V head that all rows share.
  mlir::Value keyHead() const { return keyValueHead; }
  /// Returns the tokens of the block that the tile has.
  IndexRange tokens() const { return {firstToken, tokenEnd}; }

private:
  DeviceEmitter &emit;
  int count;
  mlir::Value group, firstToken, tokenEnd, headBegin, headEnd, keyValueHead;
};

/// Returns the tokens of a block of `count` packed rows.
mlir::Value tokensPerBlock(DeviceEmitter &emit, int count, mlir::Value group);

} // namespace flashcp::codegen::nvptx

#endif // FLASHCP_CODEGEN_NVPTX_PACKEDROWS_H_
