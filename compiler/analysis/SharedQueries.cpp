// Sorts the queries of all tiles; neighbours that are equal are shared.

#include "compiler/analysis/SharedQueries.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {
namespace {

/// The queries of a tile, and the first of its heads.
struct Queries {
  cp::TokenRange tokens;
  int64_t head;

  bool operator==(const Queries &other) const {
    return tokens == other.tokens && head == other.head;
  }
  bool operator<(const Queries &other) const {
    return std::tie(tokens.document, tokens.begin, tokens.end, head) <
           std::tie(other.tokens.document, other.tokens.begin, other.tokens.end,
                    other.head);
  }
};

/// Returns the queries of all tiles, in order, once for each tile.
SmallVector<Queries> queriesOfTiles(cp::ProgramOp program) {
  SmallVector<Queries> queries;
  for (auto attend : program.getBody().getOps<cp::AttendOp>()) {
    size_t merged = queries.size();
    for (const cp::StageTile &tile : attend.getTiles())
      queries.push_back(
          {{tile.document, tile.queryBegin, tile.queryEnd}, tile.headBegin});
    // Each stage is in order already, if cp-schedule-stages made it.
    auto middle = queries.begin() + merged;
    if (!std::is_sorted(middle, queries.end()))
      std::sort(middle, queries.end());
    std::inplace_merge(queries.begin(), middle, queries.end());
  }
  return queries;
}

} // namespace

SmallVector<cp::TokenRange> sharedQueries(cp::ProgramOp program) {
  SmallVector<Queries> queries = queriesOfTiles(program);
  SmallVector<cp::TokenRange> shared;
  for (size_t i = 1; i < queries.size(); ++i) {
    bool again = queries[i] == queries[i - 1];
    bool known = !shared.empty() && shared.back() == queries[i].tokens;
    if (again && !known)
      shared.push_back(queries[i].tokens);
  }
  return shared;
}

} // namespace flashcp
