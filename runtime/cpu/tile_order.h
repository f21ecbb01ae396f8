// Which tiles of a table wait for each other: forward, those that share query rows; backward, those
// that add to the same gradients.

#ifndef FLASHCP_RUNTIME_CPU_TILE_ORDER_H_
#define FLASHCP_RUNTIME_CPU_TILE_ORDER_H_

#include <vector>

#include "absl/types/span.h"
#include "runtime/kernels.h"

namespace flashcp {

// Allocates nothing for tables that are no larger than earlier ones.
class TileOrder {
 public:
  // A number for each tile: no two tiles of one wave share a row of a head, and tiles that do are
  // in waves that ascend with their place in the table.
  absl::Span<const int> Waves(const KernelSpec& spec, absl::Span<const AttentionTile> tiles);

  // A number for each tile, the first tile of its component: tiles of two components have no
  // gradient in common.
  absl::Span<const int> Components(const KernelSpec& spec, absl::Span<const BackwardTile> tiles);

 private:
  struct RowRange {
    const float* begin;
    const float* end;
    int tile;
  };

  template <typename Use>
  void ForEachCluster(const Use& use);
  int RootOf(int tile);
  void UniteClusters();

  std::vector<RowRange> ranges_;
  std::vector<int> numbers_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_TILE_ORDER_H_
