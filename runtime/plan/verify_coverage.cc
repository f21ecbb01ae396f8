// Decides whether the tiles of all ranks together compute every (query, key) pair that the masks
// allow, for every query head, exactly once.
//
// Tiles are rectangles of queries and keys. For each document and strip of heads, a sweep along
// the queries keeps the active tiles ordered by key, where a new one can only meet its two
// neighbours: O(S log S). Disjoint tiles cover the mask if and only if their allowed pairs, counted
// by a closed form, are as many as those of the document.

#include <algorithm>
#include <map>
#include <vector>

#include "runtime/plan/verify_bands.h"
#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

struct Rectangle {
  const fbs::Tile* tile;
  uint32_t rank;

  uint32_t query_begin() const { return tile->query_position(); }
  uint32_t query_end() const { return tile->query_position() + tile->query_count(); }
  uint32_t key_begin() const { return tile->key_position(); }
  uint32_t key_end() const { return tile->key_position() + tile->key_count(); }
};

// The tiles of all ranks, by document: those of document d are in [first[d], first[d + 1]).
struct TilesByDocument {
  std::vector<size_t> first;
  std::vector<Rectangle> tiles;
};

TilesByDocument SortByDocument(const PlanView& view) {
  TilesByDocument sorted;
  sorted.first.assign(view.documents.size() + 1, 0);
  for (const RankView& rank : view.ranks) {
    for (const fbs::Tile& tile : rank.tiles) ++sorted.first[tile.document() + 1];
  }
  for (size_t d = 1; d < sorted.first.size(); ++d) sorted.first[d] += sorted.first[d - 1];
  sorted.tiles.resize(sorted.first.back());
  std::vector<size_t> next(sorted.first.begin(), sorted.first.end() - 1);
  for (const RankView& rank : view.ranks) {
    for (const fbs::Tile& tile : rank.tiles) {
      sorted.tiles[next[tile.document()]++] = {&tile, rank.rank};
    }
  }
  return sorted;
}

// Two rectangles that share a pair, or nulls.
struct Overlap {
  const Rectangle* a = nullptr;
  const Rectangle* b = nullptr;
};

// `by_begin` is sorted by first query.
Overlap FindOverlap(const std::vector<const Rectangle*>& by_begin) {
  std::vector<const Rectangle*> by_end = by_begin;
  std::sort(by_end.begin(), by_end.end(),
            [](const Rectangle* a, const Rectangle* b) { return a->query_end() < b->query_end(); });
  std::map<uint32_t, const Rectangle*> active;  // by first key
  size_t ended = 0;
  for (const Rectangle* rectangle : by_begin) {
    while (by_end[ended]->query_end() <= rectangle->query_begin()) {
      active.erase(by_end[ended++]->key_begin());
    }
    auto after = active.lower_bound(rectangle->key_begin());
    if (after != active.end() && after->first < rectangle->key_end()) {
      return {after->second, rectangle};
    }
    if (after != active.begin() && std::prev(after)->second->key_end() > rectangle->key_begin()) {
      return {std::prev(after)->second, rectangle};
    }
    active.emplace_hint(after, rectangle->key_begin(), rectangle);
  }
  return {};
}

// P22 and P23 for one document and one strip of heads.
absl::Status CheckGroup(const fbs::Document& document, uint32_t index,
                        const std::vector<const Rectangle*>& rectangles) {
  Overlap overlap = FindOverlap(rectangles);
  if (overlap.a != nullptr) {
    return Broken("P22", "document ", index, ": queries from ", overlap.a->query_begin(),
                  " and keys from ", overlap.a->key_begin(), " on rank ", overlap.a->rank,
                  " meet queries from ", overlap.b->query_begin(), " and keys from ",
                  overlap.b->key_begin(), " on rank ", overlap.b->rank);
  }
  uint64_t computed = 0;
  for (const Rectangle* r : rectangles) {
    computed += CountPairs(r->tile->band(), {r->query_begin(), r->query_end()},
                           {r->key_begin(), r->key_end()});
  }
  uint64_t allowed = CountPairs(document.band(), {0, document.length()}, {0, document.length()});
  if (computed != allowed) {
    return Broken("P23", "document ", index, ": ", allowed, " pairs expected for each head, ",
                  computed, " found");
  }
  return absl::OkStatus();
}

// All head strips of one document.
absl::Status CheckDocument(const PlanView& view, uint32_t index, absl::Span<Rectangle> rectangles) {
  std::sort(rectangles.begin(), rectangles.end(), [](const Rectangle& a, const Rectangle& b) {
    return a.query_begin() < b.query_begin();
  });
  HeadStrips strips(view.group.query());
  for (const Rectangle& r : rectangles) strips.Add(r.tile->head_begin(), r.tile->head_end());
  strips.Finish();
  for (uint32_t strip = 0; strip < strips.size(); ++strip) {
    std::vector<const Rectangle*> members;
    for (const Rectangle& r : rectangles) {
      auto [first, last] = strips.Range(r.tile->head_begin(), r.tile->head_end());
      if (first <= strip && strip < last) members.push_back(&r);
    }
    RETURN_IF_ERROR(CheckGroup(view.documents[index], index, members));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckCoverage(const PlanView& view) {
  TilesByDocument sorted = SortByDocument(view);
  for (uint32_t d = 0; d < view.documents.size(); ++d) {
    absl::Span<Rectangle> tiles(sorted.tiles.data() + sorted.first[d],
                                sorted.first[d + 1] - sorted.first[d]);
    RETURN_IF_ERROR(CheckDocument(view, d, tiles));
  }
  return absl::OkStatus();
}

}  // namespace flashcp::verifier
