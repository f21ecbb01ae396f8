// Coverage in two parts, for each run of heads that tiles do not cut: no two
// rectangles overlap (a sweep over queries that keeps the key ranges of the
// open rectangles in order), and their allowed pairs add up to the mask's.
// Together these say that each pair is computed once.

#include "compiler/analysis/Coverage.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

using namespace mlir;

namespace flashcp {
namespace {

int64_t tilePairs(const model::Document &document, const cp::StageTile &tile) {
  return model::CountPairs(document.mask.band(),
                           {tile.queryBegin, tile.queryEnd},
                           {tile.keyBegin, tile.keyEnd});
}

std::string describe(const cp::StageTile &tile) {
  return ("q[" + Twine(tile.queryBegin) + ", " + Twine(tile.queryEnd) +
          ") kv[" + Twine(tile.keyBegin) + ", " + Twine(tile.keyEnd) + ")")
      .str();
}

/// Two tiles that share a pair, described; empty if there are none.
std::string findOverlap(ArrayRef<cp::StageTile> tiles) {
  // Ends before begins at the same query, so that tiles that touch do not meet.
  struct Event {
    int64_t query;
    bool begins;
    const cp::StageTile *tile;
  };
  SmallVector<Event> events;
  for (const cp::StageTile &tile : tiles) {
    events.push_back({tile.queryBegin, true, &tile});
    events.push_back({tile.queryEnd, false, &tile});
  }
  llvm::sort(events, [](const Event &a, const Event &b) {
    return std::tie(a.query, a.begins, a.tile) <
           std::tie(b.query, b.begins, b.tile);
  });
  SmallVector<const cp::StageTile *> open; // by key begin; a few at a time
  for (const Event &event : events) {
    const cp::StageTile *tile = event.tile;
    const cp::StageTile **next = llvm::lower_bound(
        open, tile->keyBegin, [](const cp::StageTile *other, int64_t key) {
          return other->keyBegin < key;
        });
    if (!event.begins) {
      open.erase(next);
      continue;
    }
    if (next != open.end() && (*next)->keyBegin < tile->keyEnd)
      return describe(*tile) + " and " + describe(**next);
    if (next != open.begin() && next[-1]->keyEnd > tile->keyBegin)
      return describe(*tile) + " and " + describe(*next[-1]);
    open.insert(next, tile);
  }
  return "";
}

/// Checks the tiles that compute heads [headBegin, headEnd).
std::string checkHeads(const model::Document &document,
                       ArrayRef<cp::StageTile> all, int64_t headBegin,
                       int64_t headEnd) {
  SmallVector<cp::StageTile> tiles;
  int64_t pairs = 0;
  for (const cp::StageTile &tile : all)
    if (tile.headBegin <= headBegin && headEnd <= tile.headEnd) {
      tiles.push_back(tile);
      pairs += tilePairs(document, tile);
    }
  std::string heads =
      (" for heads [" + Twine(headBegin) + ", " + Twine(headEnd) + ")").str();
  if (std::string overlap = findOverlap(tiles); !overlap.empty())
    return "tiles " + overlap + " overlap" + heads;
  int64_t expected = model::CountPairs(document, 0, document.length);
  if (pairs != expected)
    return ("tiles compute " + Twine(pairs) + " of " + Twine(expected) +
            " pairs" + heads)
        .str();
  return "";
}

} // namespace

std::string checkCoverage(const model::Document &document, int64_t queryHeads,
                          SmallVector<cp::StageTile> tiles) {
  SmallVector<int64_t> cuts = {0, queryHeads};
  for (const cp::StageTile &tile : tiles)
    if (tile.headBegin != 0 || tile.headEnd != queryHeads)
      cuts.append({tile.headBegin, tile.headEnd});
  llvm::sort(cuts);
  cuts.erase(llvm::unique(cuts), cuts.end());
  for (size_t i = 0; i + 1 < cuts.size(); ++i)
    if (std::string error = checkHeads(document, tiles, cuts[i], cuts[i + 1]);
        !error.empty())
      return error;
  return "";
}

} // namespace flashcp
