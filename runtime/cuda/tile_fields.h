// The fields that tiles of both passes have, from an entry.

#ifndef FLASHCP_RUNTIME_CUDA_TILE_FIELDS_H_
#define FLASHCP_RUNTIME_CUDA_TILE_FIELDS_H_

#include "codegen/nvptx/kernel_abi.h"
#include "runtime/cuda/tensor_maps.h"
#include "runtime/cuda/tile_cuts.h"

namespace flashcp::gpu {

inline BufferRow DeviceRow(flashcp::BufferRow row) { return {row.buffer, row.row}; }

// Returns the map of a tensor with a row for each query.
inline uint16_t QueryMap(const KernelSpec& spec, const BlockShape& blocks, flashcp::BufferRow first,
                         int64_t count, int dim, TensorMaps* maps) {
  return maps->Add({first.buffer, static_cast<uint32_t>(dim),
                    static_cast<uint32_t>(spec.query_heads),
                    static_cast<uint32_t>(first.row + count), static_cast<uint32_t>(blocks.group),
                    static_cast<uint32_t>(blocks.tokens)});
}

// Sets rows of Q, K and V, counts, band and, unless `maps` is null, the maps of Q, K and V.
template <typename Entry, typename Tile>
void SetTile(const KernelSpec& spec, const BlockShape& blocks, const Entry& entry, TensorMaps* maps,
             Tile* tile) {
  tile->query = DeviceRow(entry.query);
  tile->key = DeviceRow(entry.key);
  tile->value = DeviceRow(entry.value);
  tile->query_count = static_cast<int32_t>(entry.query_count);
  tile->key_count = static_cast<int32_t>(entry.key_count);
  const RowBand band = RowBandOf(entry);
  tile->low = band.low;
  tile->high = band.high;
  if (maps == nullptr) return;
  auto keys = [&](flashcp::BufferRow first, int dim) {
    return maps->Add({first.buffer, static_cast<uint32_t>(dim),
                      static_cast<uint32_t>(spec.key_value_heads),
                      static_cast<uint32_t>(first.row + entry.key_count), 1,
                      static_cast<uint32_t>(blocks.keys)});
  };
  tile->query_map = QueryMap(spec, blocks, entry.query, entry.query_count, spec.dim, maps);
  tile->key_map = keys(entry.key, spec.dim);
  tile->value_map = keys(entry.value, spec.value_dim);
}

}  // namespace flashcp::gpu

#endif  // FLASHCP_RUNTIME_CUDA_TILE_FIELDS_H_
