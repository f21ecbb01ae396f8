// The forward kernel of Hopper, in parts: its shapes, its shared memory, and
// what each kind of warp does.
//
// Warpgroup 0 loads: one thread takes items, reads the tables and starts the
// copies of TMA; a second warp zeroes the rows of V past a tile's last key.
// The other warpgroups compute 64 packed rows each. They know nothing of
// tables: what they need comes with the stages of the rings as records.

#ifndef FLASHCP_CODEGEN_NVPTX_SM90_FORWARDPARTS_H_
#define FLASHCP_CODEGEN_NVPTX_SM90_FORWARDPARTS_H_

#include "codegen/nvptx/ItemLoop.h"
#include "codegen/nvptx/sm90/Pipeline.h"
#include "codegen/nvptx/sm90/Wgmma.h"

namespace flashcp::codegen::nvptx::sm90 {

/// How a shape is computed. Registers are those of a thread that loads and of
/// one that computes.
struct ForwardConfig {
  HeadDims dims;
  int keys; // of a block
  int groups;
  int stages;
  int loaderRegisters, consumerRegisters;

  int rows() const { return groups * groupRows; }
  int threads() const { return (groups + 1) * groupThreads; }
  int queryBytes() const { return rows() * dims.dim * 2; }
  int keyBytes() const { return keys * dims.dim * 2; }
  int valueBytes() const { return keys * dims.valueDim * 2; }
};

const ForwardConfig &forwardConfig(HeadDims dims);

/// Comes with a block of keys: packed row r of token t (in the block of rows)
/// sees columns [low + t, min(high + t, limit)) of the scores.
struct KeyBlockRecord {
  int32_t low;
  int32_t high;
  int32_t limit;
  int32_t unused;
};

/// Comes with V that has rows past the tile's last.
struct TailRecord {
  uint32_t value;     // shared address of the tile; 0: no more tails
  uint32_t first_row; // that is zeroed
  uint32_t barrier;   // to arrive at then
  uint32_t unused;
};

/// Comes with an item. Addresses are of its first token, first head of the
/// group.
struct ForwardItemRecord {
  uint64_t output, output_row_bytes;
  uint64_t lse, lse_row_bytes;
  uint64_t accumulator, accumulator_row_bytes;
  int32_t blocks; // of keys; -1: no more items
  int32_t tokens;
  int32_t head_begin, head_end; // in the group
  int32_t is_first, is_last;    // rows hold no partial result; get the result
};

/// Items that loads run ahead, with the one that is computed.
inline constexpr int itemStages = 2;

/// Shared memory of the kernel.
struct ForwardMemory {
  mlir::Value queryTile, keyTiles, valueTiles;      // swizzled
  mlir::Value keyRecords, tailRecords, itemRecords; // by stage
  Ring query, key, value, tail, item; // tail has no empty barriers: each is
                                      // waited for before its stage of V is
                                      // empty again
};

/// Returns the bytes that ForwardMemory takes.
int forwardSharedBytes(const ForwardConfig &config);

/// What all parts share.
struct ForwardKernel {
  DeviceEmitter &emit;
  Arguments &arguments;
  const ForwardConfig &config;
  Element element;
  ForwardMemory memory;

  mlir::Value keyTile(mlir::Value n) const;
  mlir::Value valueTile(mlir::Value n) const;
  mlir::Value keyRecord(mlir::Value n) const;
  mlir::Value tailRecord(mlir::Value n) const;
  mlir::Value itemRecord(mlir::Value n) const;
};

void buildForwardLoader(ForwardKernel &kernel);
void buildTailZeroing(ForwardKernel &kernel);
/// `group` is the number among the warpgroups that compute.
void buildForwardConsumer(ForwardKernel &kernel, mlir::Value group);

} // namespace flashcp::codegen::nvptx::sm90

#endif // FLASHCP_CODEGEN_NVPTX_SM90_FORWARDPARTS_H_
