// Draws a problem of few or many documents from a seed.

#include "tests/compiler/solver/random_problem.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/testing/random_lengths.h"

namespace flashcp::solver {

int64_t Draw(std::mt19937_64& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

Problem SmallProblem() {
  Problem problem;
  problem.documents = {{1000, {}}, {300, {}}};
  problem.cluster = *model::ClusterPreset("h100x8");
  return problem;
}

Cluster RandomCluster(std::mt19937_64& random) {
  Cluster cluster;
  cluster.name = "random";
  cluster.ranks_per_node = Draw(random, 1, 4);
  cluster.intra_node = {1000.0 * Draw(random, 1, 50), 1.0 * Draw(random, 0, 3)};
  cluster.inter_node = {500.0 * Draw(random, 1, 20), 1.0 * Draw(random, 0, 9)};
  TileTable& tiles = cluster.tiles;
  tiles.block_rows = Draw(random, 1, 16);
  tiles.block_columns = random() % 2 == 0 ? tiles.block_rows : Draw(random, 1, 16);
  int columns = tiles.block_columns;
  double forward_us = 0.5;
  for (int64_t points = Draw(random, 2, 5); points > 0; --points) {
    tiles.columns.push_back(columns);
    tiles.forward_us.push_back(forward_us);
    tiles.backward_us.push_back(3 * forward_us + tiles.columns.size());
    columns += tiles.block_columns * Draw(random, 1, 6);
    forward_us += 0.25 * Draw(random, 0, 8);
  }
  tiles.merge_us = 0.1 * tiles.columns.size();
  return cluster;
}

Mask RandomMask(std::mt19937_64& random, int64_t most_keys) {
  switch (random() % 5) {
    case 0:
      return Mask::Causal();
    case 1:
      return Mask::Full();
    case 2:
      return Mask::Window(Draw(random, 1, most_keys));
    default:
      break;
  }
  model::Band band;
  if (random() % 3 != 0) band.lower = Draw(random, -most_keys, most_keys);
  if (random() % 3 != 0) band.upper = Draw(random, -most_keys, most_keys);
  if (band.lower > band.upper) std::swap(band.lower, band.upper);
  return Mask(band);
}

Problem RandomProblem(uint64_t seed, int64_t max_tokens) {
  std::mt19937_64 random(seed);
  const std::vector<testing::LengthKind> kinds = testing::AllLengthKinds();
  Problem problem;
  for (int64_t length :
       testing::RandomLengths(kinds[random() % kinds.size()], random(), max_tokens)) {
    Document& document = problem.documents.emplace_back();
    document.length = length;
    document.mask = RandomMask(random, std::max<int64_t>(1, length + length / 4));
    if (random() % 4 == 0) document.mask = RandomMask(random, 40);
  }
  problem.ranks = random() % 16 == 0 ? Draw(random, 10, 200) : Draw(random, 1, 9);
  problem.heads = {4, 2, 16};
  problem.dtype = static_cast<DType>(random() % 3);
  problem.exchange = static_cast<Exchange>(random() % 2);
  if (random() % 4 == 0) problem.slack_percent = Draw(random, 1, 300) / 10.0;
  problem.cluster = RandomCluster(random);
  return problem;
}

Placement RandomPlacement(const Problem& problem, std::mt19937_64& random) {
  // What each rank may still take: an exact share at slack 0, the cap otherwise.
  int64_t total = problem.TotalTokens();
  int64_t first = random();
  std::vector<int64_t> room;
  for (int rank = 0; rank < problem.ranks; ++rank) {
    int64_t turn = (static_cast<uint64_t>(first) + rank) % problem.ranks;
    int64_t share = total / problem.ranks + (turn < total % problem.ranks);
    room.push_back(problem.slack_percent == 0 ? share : problem.TokenCap());
  }
  Placement placement;
  for (const Document& document : problem.documents) {
    std::vector<Segment>& segments = placement.documents.emplace_back();
    for (int64_t begin = 0; begin < document.length;) {
      int rank = random() % problem.ranks;
      while (room[rank] == 0) rank = (rank + 1) % problem.ranks;
      int64_t most = std::min(document.length - begin, room[rank]);
      int64_t end = begin + Draw(random, 1, random() % 2 == 0 ? most : std::min<int64_t>(most, 9));
      room[rank] -= end - begin;
      if (!segments.empty() && segments.back().rank == rank) {
        segments.back().end = end;
      } else {
        segments.push_back({begin, end, rank});
      }
      begin = end;
    }
  }
  return placement;
}

}  // namespace flashcp::solver
