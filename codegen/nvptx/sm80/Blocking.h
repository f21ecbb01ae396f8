// How the kernels of sm_80 cut attention into blocks, by head dimensions:
// limits are 255 registers a thread and, for GPUs other than those of data
// centres, 99 KB of shared memory.

#ifndef FLASHCP_CODEGEN_NVPTX_SM80_BLOCKING_H_
#define FLASHCP_CODEGEN_NVPTX_SM80_BLOCKING_H_

#include "codegen/nvptx/sm80/SharedTile.h"

namespace flashcp::codegen::nvptx::sm80 {

constexpr int warpThreads = 32, fragmentRows = 16;

/// Forward: each warp has whole rows of queries. Two fragments of rows a warp
/// halve what is read of keys and values; wide heads leave registers for one.
struct ForwardBlocking {
  int warps;
  int fragments; // of rows, a warp
  int keys;      // of a block
  SharedTile query, key, value, output;
  int slot;  // 16 bytes that pass items on
  int votes; // a word a warp
  int sharedBytes;

  constexpr int threads() const { return warps * warpThreads; }
  constexpr int warpRows() const { return fragments * fragmentRows; }
  constexpr int rows() const { return warps * warpRows(); }
};

constexpr ForwardBlocking forwardBlocking(HeadDims dims) {
  ForwardBlocking blocking = {};
  bool wide = dims.dim > 128;
  blocking.warps = wide ? 8 : 4;
  blocking.fragments = wide ? 1 : 2;
  blocking.keys = dims.dim > 192 ? 32 : 64;
  int rows = blocking.rows();
  blocking.query = {0, rows, dims.dim};
  blocking.key = {blocking.query.end(), blocking.keys, dims.dim};
  blocking.value = {blocking.key.end(), blocking.keys, dims.valueDim};
  // Outputs take the place of the queries of their warp.
  blocking.output = {0, rows, dims.valueDim};
  blocking.slot = blocking.value.end();
  blocking.votes = blocking.slot + 16;
  blocking.sharedBytes = blocking.votes + blocking.warps * 4;
  return blocking;
}

/// Backward: a warp has 16 keys, whose dK and dV stay in registers; of wide
/// heads two warps share 16 keys and have every other 16 columns each.
struct BackwardBlocking {
  static constexpr int warps = 8, rows = 64;
  int parts;  // warps that share keys
  int stages; // of queries
  SharedTile key, value, query, outputGradient;
  SharedTile scoreGradient; // dS^T, [key][row]
  SharedTile weight;        // P^T; only if warps share keys
  int lse, delta;           // f32, [stage][row]
  int bands;                // first key and end of keys, [stage][row]
  int slot;
  int sharedBytes;

  constexpr int threads() const { return warps * warpThreads; }
  constexpr int keys() const { return warps / parts * fragmentRows; }
  constexpr int statisticBytes() const { return rows * 4; }
};

constexpr BackwardBlocking backwardBlocking(HeadDims dims) {
  BackwardBlocking blocking = {};
  blocking.parts = dims.dim > 128 ? 2 : 1;
  blocking.stages = dims.dim > 192 ? 1 : 2;
  int rows = blocking.rows, keys = blocking.keys();
  blocking.key = {0, keys, dims.dim};
  blocking.value = {blocking.key.end(), keys, dims.valueDim};
  blocking.query = {blocking.value.end(), rows, dims.dim};
  blocking.outputGradient = {blocking.query.offset +
                                 blocking.stages * blocking.query.bytes(),
                             rows, dims.valueDim};
  blocking.scoreGradient = {blocking.outputGradient.end(), keys, rows};
  int end = blocking.scoreGradient.end();
  if (blocking.parts > 1) {
    blocking.weight = {end, keys, rows};
    end = blocking.weight.end();
  }
  int statistics = 2 * blocking.statisticBytes();
  blocking.lse = end;
  blocking.delta = blocking.lse + statistics;
  blocking.bands = blocking.delta + statistics;
  blocking.slot = blocking.bands + 2 * statistics;
  blocking.sharedBytes = blocking.slot + 16;
  return blocking;
}

} // namespace flashcp::codegen::nvptx::sm80

#endif // FLASHCP_CODEGEN_NVPTX_SM80_BLOCKING_H_
