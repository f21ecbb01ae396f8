// The tables of a launch (launch_tables.h) as GPU kernels read them (kernel_abi.h): tiles, the
// items that blocks of threads take, and the order in which items add. Made once, without CUDA.

#ifndef FLASHCP_RUNTIME_CUDA_LAUNCH_ITEMS_H_
#define FLASHCP_RUNTIME_CUDA_LAUNCH_ITEMS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "codegen/nvptx/kernel_abi.h"
#include "runtime/cuda/kernel_info.h"
#include "runtime/cuda/tensor_maps.h"
#include "runtime/kernels.h"
#include "runtime/launch_tables.h"

namespace flashcp::gpu {

struct ForwardWork {
  std::vector<ForwardTile> tiles;
  std::vector<ForwardItem> items;
};

struct BackwardWork {
  std::vector<BackwardTile> tiles;
  std::vector<BackwardItem> items;
  std::vector<Turn> turns;
  uint32_t counters;  // of uint32_t, all 0
};

struct MoveWork {
  std::vector<Move> moves;
  std::vector<MoveItem> items;
};

// Returns tiles in chains that share their query rows, and their blocks, the longest first. Tiles
// are cut if their rows overlap without being the same. `maps` gets the tensor maps that tiles
// name; null if the kernel uses none. The query heads of a K/V head fit a block of rows.
ForwardWork BuildForward(const KernelSpec& spec, const KernelInfo& kernel,
                         absl::Span<const ForwardEntry> entries, TensorMaps* maps);

// Returns tiles in chains that share their keys, and their key blocks, each behind those that it
// waits for. Launches follow each other: there is more than one if tiles add to the same keys for
// other query heads of one group, or for the same queries.
std::vector<BackwardWork> BuildBackward(const KernelSpec& spec, const KernelInfo& kernel,
                                        absl::Span<const BackwardEntry> entries, TensorMaps* maps);

// Returns the moves of a launch of kind kRound, kAdd or kCopy. What adds to the same rows is in one
// item, in the order of the entries. `row_bytes` is that of LaunchTables.
MoveWork BuildMoves(Launch::Kind kind, absl::Span<const MoveEntry> entries,
                    absl::Span<const uint64_t> row_bytes);

std::vector<ClearItem> BuildClears(absl::Span<const ClearEntry> entries);

std::vector<ProductItem> BuildProducts(const KernelSpec& spec,
                                       absl::Span<const ProductEntry> entries);

}  // namespace flashcp::gpu

#endif  // FLASHCP_RUNTIME_CUDA_LAUNCH_ITEMS_H_
