// The backward kernel of Hopper, in parts: its shapes, its shared memory, and
// what each kind of warp does.
//
// An item is a block of keys against all packed rows of queries that see it.
// Two warpgroups take 64 keys each and keep their dK and dV in registers; S and
// dP are computed transposed (rows are keys), so that P and dS are A operands
// in registers of dV += P^T dO and dK += dS^T Q. dS also goes through shared
// memory for dQ = dS K, whose columns the warpgroups share.
//
// Warpgroup 0 serves them: one thread reads tables and loads, two warps prepare
// rows (LSE, delta, zeros for rows without weights), and one keeps the turns in
// which items add to dQ.
//
// dQ is added by the warps that computed it, in turn: the warp that keeps turns
// waits for them ahead and opens them by an mbarrier, so that others seldom
// wait. A writer warp behind a tile in shared memory would read and write 32
// KiB a block of shared memory, which bounds this kernel already.
//
// Blocks of rows go from last to first, and turns go up with keys: items of one
// head that start together then follow each other by one block, where from
// first to last each would wait for the blocks that only earlier keys see.

#ifndef FLASHCP_CODEGEN_NVPTX_SM90_BACKWARDPARTS_H_
#define FLASHCP_CODEGEN_NVPTX_SM90_BACKWARDPARTS_H_

#include "codegen/nvptx/ItemLoop.h"
#include "codegen/nvptx/sm90/Pipeline.h"
#include "codegen/nvptx/sm90/Wgmma.h"

namespace flashcp::codegen::nvptx::sm90 {

/// How a shape is computed; registers as in ForwardConfig.
struct BackwardConfig {
  HeadDims dims;
  int loaderRegisters, consumerRegisters;

  int keyBytes() const { return keys * dims.dim * 2; }
  int valueBytes() const { return keys * dims.valueDim * 2; }
  int queryBytes() const { return rows * dims.dim * 2; }
  int outputBytes() const { return rows * dims.valueDim * 2; }

  static constexpr int groups = 2;
  static constexpr int keys = groups * groupRows; // of an item
  static constexpr int rows = 64;                 // of a block
  static constexpr int stages = 2;
  static constexpr int threads = (groups + 1) * groupThreads;
  static constexpr int weightBytes = keys * rows * 2; // of dS
  static constexpr int statisticsBytes = 2 * rows * 4;
};

const BackwardConfig &backwardConfig(HeadDims dims);

/// Comes with a block of rows. Addresses are of its first token, first head of
/// the group. Token t of the block sees keys [t + low, t + high) of the item.
struct RowBlockRecord {
  uint64_t lse, lse_row_bytes;
  uint64_t delta, delta_row_bytes;
  uint64_t query_gradient, query_gradient_row_bytes;
  uint64_t counter; // of turns
  uint32_t turn;
  uint32_t next_turn;
  int32_t tokens;
  int32_t head_begin, head_end; // in the group
  int32_t low, high;
  int32_t limit;    // keys of the item that the tile has
  int32_t is_start; // of an item
  int32_t is_end;   // no more blocks
};

/// Comes with an item. Addresses are of its first key and its K/V head.
struct BackwardItemRecord {
  uint64_t key_gradient, key_gradient_row_bytes;
  uint64_t value_gradient, value_gradient_row_bytes;
  int32_t blocks; // of rows; -1: no more items
  int32_t keys;
};

inline constexpr int backwardItemStages = 2;

/// Shared memory of the kernel.
struct BackwardMemory {
  mlir::Value keyTile, valueTile;      // swizzled, of the item
  mlir::Value queryTiles, outputTiles; // Q and dO by stage
  mlir::Value weightTiles;             // dS, [keys][rows], by stage
  mlir::Value statistics;              // LSE * log2(e) and delta, by stage
  mlir::Value rowRecords, itemRecords; // by stage
  Ring keys;                           // K and V, prepared
  Ring keysLoaded;
  Ring rows;      // Q, dO and statistics, prepared
  Ring announced; // records of rows
  Ring rowsLoaded;
  Ring item;
  Ring turn; // full: it is the item's turn; empty: it has added
};

int backwardSharedBytes(const BackwardConfig &config);

/// What all parts share.
struct BackwardKernel {
  DeviceEmitter &emit;
  Arguments &arguments;
  const BackwardConfig &config;
  Element element;
  BackwardMemory memory;

  mlir::Value queryTile(mlir::Value n) const;
  mlir::Value outputTile(mlir::Value n) const;
  mlir::Value weightTile(mlir::Value n) const;
  mlir::Value statistics(mlir::Value n) const;
  mlir::Value rowRecord(mlir::Value n) const;
  mlir::Value itemRecord(mlir::Value n) const;
};

void buildBackwardLoader(BackwardKernel &kernel);
/// `thread` is the number among the threads of two warps.
void buildRowPreparation(BackwardKernel &kernel, mlir::Value thread);
void buildTurnKeeping(BackwardKernel &kernel);
/// `group` is the number among the warpgroups that compute.
void buildBackwardConsumer(BackwardKernel &kernel, mlir::Value group);

} // namespace flashcp::codegen::nvptx::sm90

#endif // FLASHCP_CODEGEN_NVPTX_SM90_BACKWARDPARTS_H_
