// How a table of forward tiles is cut into units that workers compute at once, in any order.
//
// Tiles that write the same rows merge by LSE and must follow each other: they form a chain, and a
// unit is some rows of a chain, for one head of keys and values, through all its tiles. Units write
// rows of their own. How a table is cut depends on the table alone.

#ifndef FLASHCP_RUNTIME_CPU_FORWARD_UNITS_H_
#define FLASHCP_RUNTIME_CPU_FORWARD_UNITS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "runtime/cpu/panels.h"
#include "runtime/kernels.h"

namespace flashcp {

// Some queries of a tile, that share their keys and fit a worker's memory.
struct ForwardPart {
  const AttentionTile* tile;
  QueryRange queries;
};

struct ForwardUnit {
  size_t chain_begin;  // of its tiles, as ForwardUnits keeps them
  size_t chain_end;
  uintptr_t first_row;  // address of its LSE
  int64_t row_count;
  int key_value_head;
  double work;  // about the pairs
};

class ForwardUnits {
 public:
  explicit ForwardUnits(const KernelSpec& spec) : spec_(spec) {}

  // Cut() of such a table, or of a part of it, then allocates nothing, whatever its pointers are.
  void Reserve(absl::Span<const AttentionTile> tiles);

  // The units of a table, the largest first; both must outlive their use. LSE rows of its tiles
  // have the same number of heads.
  absl::Span<const ForwardUnit> Cut(absl::Span<const AttentionTile> tiles);

  // Calls use(part, next) for the parts of a unit, in the order of the table. `next` is the part
  // that comes after it, if any: of the unit or, after its last, the first of `following`, which
  // may be null.
  using Use = absl::FunctionRef<void(const ForwardPart& part, const ForwardPart* next)>;
  void ForEachPart(const ForwardUnit& unit, const ForwardUnit* following, Use use) const;

 private:
  // Where in memory the rows of a tile lie.
  struct TileRows {
    uintptr_t begin;
    uintptr_t end;
    size_t tile;
  };

  void CutChain(size_t begin, size_t end, uintptr_t rows_end);
  void AddUnit(ForwardUnit unit);
  void VisitParts(const ForwardUnit& unit, absl::FunctionRef<void(const ForwardPart&)> visit) const;

  const KernelSpec spec_;
  absl::Span<const AttentionTile> tiles_;
  int64_t row_bytes_ = 0;       // from one LSE row to the next
  std::vector<TileRows> rows_;  // chain after chain; those of a chain in the order of the table
  std::vector<ForwardUnit> units_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_FORWARD_UNITS_H_
