#include "compiler/analysis/SharedQueries.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

/// Document, begin, end and first head of the queries of a tile.
using Queries = std::array<int64_t, 4>;

/// The queries of all tiles, in order, as often as there are tiles.
static SmallVector<Queries> queriesOfTiles(cp::ProgramOp program) {
  SmallVector<Queries> queries;
  for (auto compute : program.getBody().getOps<cp::AttendOp>()) {
    ArrayRef<int64_t> tiles = compute.getTiles();
    size_t merged = queries.size();
    for (size_t i = 0; i < tiles.size(); i += cp::kStageTileSize)
      queries.push_back({tiles[i], tiles[i + 1], tiles[i + 2], tiles[i + 5]});
    // Each stage is in order already, if cp-schedule-stages made it.
    auto middle = queries.begin() + merged;
    if (!std::is_sorted(middle, queries.end()))
      std::sort(middle, queries.end());
    std::inplace_merge(queries.begin(), middle, queries.end());
  }
  return queries;
}

SmallVector<int64_t> sharedQueries(cp::ProgramOp program) {
  SmallVector<Queries> queries = queriesOfTiles(program);
  SmallVector<int64_t> shared;
  for (size_t i = 1; i < queries.size(); ++i) {
    bool again = queries[i] == queries[i - 1];
    bool known =
        !shared.empty() && again &&
        ArrayRef(shared).take_back(3) == ArrayRef(queries[i]).take_front(3);
    if (again && !known)
      shared.append(queries[i].begin(), queries[i].begin() + 3);
  }
  return shared;
}

} // namespace flashcp
