// Compares the cost model with a slow, obvious recount: token by token, block by block.

#include "compiler/solver/cost_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compiler/solver/bounds.h"
#include "gtest/gtest.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

// The table, point by point.
double TableTime(const TileTable& tiles, const std::vector<double>& us, int64_t keys) {
  size_t i = 1;
  while (i + 1 < tiles.columns.size() && tiles.columns[i] < keys) ++i;
  double slope = (us[i] - us[i - 1]) / (tiles.columns[i] - tiles.columns[i - 1]);
  return us[i - 1] + slope * (keys - tiles.columns[i - 1]);
}

// Blocks of queries that see keys outside of their segment, query by query.
int64_t SlowMergingBlocks(const Problem& problem, const Document& document, int64_t begin,
                          int64_t end) {
  int64_t rows = 0;
  for (int64_t query = begin; query < end; ++query) {
    const TokenRange keys = KeysNeeded(document, query, query + 1);
    if (keys.begin < keys.end) rows += keys.begin < begin || keys.end > end;
  }
  return (rows + problem.cluster.tiles.block_rows - 1) / problem.cluster.tiles.block_rows;
}

// Time of a block of queries that the table's first line gives to no key.
double SlowPrologueUs(const TileTable& tiles, const std::vector<double>& us) {
  return std::max(0.0, TableTime(tiles, us, 0));
}

// One row block after the other.
ComputeTime SlowSegmentTime(const Problem& problem, const Document& document, int64_t begin,
                            int64_t end) {
  const TileTable& tiles = problem.cluster.tiles;
  const double scale = problem.heads.query * problem.heads.dim / 128.0;
  ComputeTime time;
  for (int64_t row = begin; row < end; row += tiles.block_rows) {
    TokenRange keys = KeysNeeded(document, row, std::min(end, row + tiles.block_rows));
    std::set<int64_t> blocks;
    for (int64_t key = keys.begin; key < keys.end; ++key) blocks.insert(key / tiles.block_columns);
    if (blocks.empty()) blocks.insert(0);
    int64_t columns = static_cast<int64_t>(blocks.size()) * tiles.block_columns;
    time.forward_us += TableTime(tiles, tiles.forward_us, columns) * scale;
    time.backward_us += TableTime(tiles, tiles.backward_us, columns) * scale;
  }
  const double merging = SlowMergingBlocks(problem, document, begin, end) * scale;
  time.forward_us += merging * (SlowPrologueUs(tiles, tiles.forward_us) + tiles.merge_us);
  time.backward_us += merging * SlowPrologueUs(tiles, tiles.backward_us);
  return time;
}

// What one rank exchanges in forward, over the links in its node and over those between nodes.
struct SlowTraffic {
  double received[2] = {0, 0};
  double sent[2] = {0, 0};
  std::set<int> sources[2];
  std::set<int> destinations[2];
};

// One row of `owner` that the ranks of `needing` need: once to each rank of its node, and once into
// each other node, where they receive even shares of it and pass them on.
void SendRow(const Problem& problem, int owner, const std::set<int>& needing,
             std::vector<SlowTraffic>& traffic) {
  const int per_node = problem.cluster.ranks_per_node;
  std::map<int, std::set<int>> nodes;
  for (int rank : needing) nodes[rank / per_node].insert(rank);
  for (const auto& [node, ranks] : nodes) {
    const bool in_node = node == owner / per_node;
    const double share = in_node ? 0 : 1.0 / ranks.size();
    for (int rank : ranks) {
      traffic[rank].received[0] += 1 - share;
      traffic[rank].received[1] += share;
      traffic[rank].sent[0] += in_node ? 0 : share * (ranks.size() - 1);
      traffic[owner].sent[in_node ? 0 : 1] += in_node ? 1 : share;
      traffic[rank].sources[in_node ? 0 : 1].insert(owner);
      traffic[owner].destinations[in_node ? 0 : 1].insert(rank);
    }
  }
}

std::vector<SlowTraffic> SlowForwardTraffic(const Problem& problem, const Placement& placement) {
  std::vector<SlowTraffic> traffic(problem.ranks);
  for (size_t d = 0; d < problem.documents.size(); ++d) {
    const Document& document = problem.documents[d];
    std::vector<int> owner;
    for (const Segment& s : placement.documents[d])
      owner.insert(owner.end(), s.end - s.begin, s.rank);
    std::vector<std::set<int>> needing(document.length);
    for (int64_t query = 0; query < document.length; ++query) {
      TokenRange keys = KeysNeeded(document, query, query + 1);
      for (int64_t key = keys.begin; key < keys.end; ++key) needing[key].insert(owner[query]);
    }
    for (int64_t key = 0; key < document.length; ++key) {
      if (problem.exchange == Exchange::kAllGather) {
        for (int rank = 0; rank < problem.ranks; ++rank) needing[key].insert(rank);
      }
      needing[key].erase(owner[key]);
      SendRow(problem, owner[key], needing[key], traffic);
    }
  }
  return traffic;
}

double SlowTransferUs(const Problem& problem, const SlowTraffic& traffic, bool backward) {
  const LinkClass* links[2] = {&problem.cluster.intra_node, &problem.cluster.inter_node};
  double bytes_us = 0;
  double latency_us = 0;
  for (int i = 0; i < 2; ++i) {
    double rows = backward ? traffic.received[i] + traffic.sent[i]
                           : std::max(traffic.received[i], traffic.sent[i]);
    bytes_us = std::max(bytes_us, rows * problem.KeyValueBytesPerToken() / links[i]->bytes_per_us);
    double messages = traffic.sources[i].size();
    if (backward) messages += traffic.destinations[i].size();
    if (i == 1) messages /= std::min(problem.ranks, problem.cluster.ranks_per_node);
    latency_us += messages * links[i]->latency_us;
  }
  return bytes_us + latency_us;
}

void ExpectNear(double value, double expected, const std::string& what) {
  EXPECT_NEAR(value, expected, 1e-9 * (1 + expected)) << what;
}

// Shares of rows are fractions, rounded to whole bytes.
void ExpectBytes(int64_t value, double expected, const std::string& what) {
  EXPECT_NEAR(value, expected, 1 + 1e-9 * expected) << what;
}

void ExpectSameAsRecount(const Problem& problem, const Placement& placement,
                         const std::string& who) {
  PlacementCost cost = Evaluate(problem, placement);
  std::vector<SlowTraffic> traffic = SlowForwardTraffic(problem, placement);
  ASSERT_EQ(cost.ranks.size(), problem.ranks) << who;
  double forward_us = 0;
  double backward_us = 0;
  for (int rank = 0; rank < problem.ranks; ++rank) {
    RankCost slow;
    for (size_t d = 0; d < problem.documents.size(); ++d) {
      for (const Segment& segment : placement.documents[d]) {
        if (segment.rank != rank) continue;
        const Document& document = problem.documents[d];
        ComputeTime time = SlowSegmentTime(problem, document, segment.begin, segment.end);
        slow.tokens += segment.end - segment.begin;
        slow.segments += 1;
        slow.pairs += CountPairs(document, segment.begin, segment.end);
        slow.compute_forward_us += time.forward_us;
        slow.compute_backward_us += time.backward_us;
      }
    }
    const SlowTraffic& moved = traffic[rank];
    const double row_bytes = problem.KeyValueBytesPerToken();
    slow.receive_bytes_forward = std::llround((moved.received[0] + moved.received[1]) * row_bytes);
    slow.peers = moved.sources[0].size() + moved.sources[1].size() + moved.destinations[0].size() +
                 moved.destinations[1].size();
    const RankCost& fast = cost.ranks[rank];
    std::string what = who + ", rank " + std::to_string(rank);
    EXPECT_EQ(fast.tokens, slow.tokens) << what;
    EXPECT_EQ(fast.pairs, slow.pairs) << what;
    EXPECT_EQ(fast.segments, slow.segments) << what;
    EXPECT_EQ(fast.receive_bytes_forward, slow.receive_bytes_forward) << what;
    ExpectBytes(fast.send_bytes_forward, (moved.sent[0] + moved.sent[1]) * row_bytes, what);
    ExpectBytes(fast.receive_bytes_between_nodes, moved.received[1] * row_bytes, what);
    ExpectBytes(fast.send_bytes_between_nodes, moved.sent[1] * row_bytes, what);
    EXPECT_EQ(fast.receive_bytes_backward, fast.receive_bytes_forward + fast.send_bytes_forward)
        << what;
    EXPECT_EQ(fast.send_bytes_backward, fast.receive_bytes_backward) << what;
    EXPECT_EQ(fast.peers, slow.peers) << what;
    ExpectNear(fast.compute_forward_us, slow.compute_forward_us, what);
    ExpectNear(fast.compute_backward_us, slow.compute_backward_us, what);
    ExpectNear(fast.transfer_forward_us, SlowTransferUs(problem, moved, false), what);
    ExpectNear(fast.transfer_backward_us, SlowTransferUs(problem, moved, true), what);
    forward_us = std::max({forward_us, fast.compute_forward_us, fast.transfer_forward_us});
    backward_us = std::max({backward_us, fast.compute_backward_us, fast.transfer_backward_us});
  }
  EXPECT_EQ(cost.StepUs(), forward_us + backward_us) << who;
}

TEST(EvaluateTest, MatchesATokenByTokenRecount) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    Problem problem = RandomProblem(seed, seed % 8 == 0 ? 400 : 100);
    std::mt19937_64 random(seed);
    ExpectSameAsRecount(problem, RandomPlacement(problem, random), "seed " + std::to_string(seed));
    if (HasFailure()) return;
  }
}

TEST(SegmentTimeTest, MatchesABlockByBlockRecount) {
  std::mt19937_64 random(1);
  for (int instance = 0; instance < 20000; ++instance) {
    Problem problem = SmallProblem();
    problem.cluster = RandomCluster(random);
    Document document;
    document.length = Draw(random, 1, 400);
    document.mask = RandomMask(random, 450);
    int64_t begin = Draw(random, 0, document.length);
    int64_t end = Draw(random, begin, document.length);
    ComputeTime fast = SegmentTime(problem, document, begin, end);
    ComputeTime slow = SlowSegmentTime(problem, document, begin, end);
    ExpectNear(fast.forward_us, slow.forward_us, "instance " + std::to_string(instance));
    ExpectNear(fast.backward_us, slow.backward_us, "instance " + std::to_string(instance));
    if (HasFailure()) return;
  }
}

// Of the H100 presets, for 32 heads of dimension 128.
constexpr double kRowBlockUs = 32 * 0.023702;
constexpr double kKeyBlockUs = 32 * 0.012799;

TEST(SegmentTimeTest, CountsBlocksOnH100) {
  Problem problem = SmallProblem();
  // Row blocks against 1, 2, 3 and (100 rows of a fourth) 4 key blocks.
  ComputeTime time = SegmentTime(problem, {484, {}}, 0, 484);
  EXPECT_NEAR(time.forward_us, 4 * kRowBlockUs + 10 * kKeyBlockUs, 1e-9);
  EXPECT_NEAR(time.backward_us, 32 * (4 * 0.118300 + 10 * 0.035449), 1e-9);
  const double forward_us = time.forward_us;
  problem.heads = {8, 8, 64};
  EXPECT_NEAR(SegmentTime(problem, {484, {}}, 0, 484).forward_us, forward_us / 8, 1e-9);
}

TEST(SegmentTimeTest, RowsThatSeeOtherSegmentsMerge) {
  const Problem problem = SmallProblem();
  auto merges = [&](const model::Mask& mask, int64_t begin, int64_t end) {
    const Document document = {1024, mask};
    return (SegmentTime(problem, document, begin, end).forward_us -
            TileTime(problem, document, begin, end).forward_us) /
           (kRowBlockUs + 32 * problem.cluster.tiles.merge_us);
  };
  EXPECT_DOUBLE_EQ(merges(Mask::Causal(), 0, 512), 0);
  EXPECT_DOUBLE_EQ(merges(Mask::Causal(), 512, 1024), 4);
  EXPECT_DOUBLE_EQ(merges(Mask::Full(), 0, 1024), 0);
  EXPECT_DOUBLE_EQ(merges(Mask::Full(), 0, 512), 4);
  EXPECT_DOUBLE_EQ(merges(Mask::Window(200), 512, 1024), 2);  // 199 rows
  EXPECT_DOUBLE_EQ(merges(Mask::Window(1), 512, 1024), 0);
}

// A document above the cap has rows that merge, however it is cut.
TEST(LeastTimeTest, CountsMergesThatTheCapForces) {
  const Problem problem = SmallProblem();
  auto merges = [&](const model::Mask& mask, int64_t cap) {
    const Document document = {1024, mask};
    return (LeastTime(problem, document, cap).forward_us -
            LeastTime(problem, document, 1024).forward_us) /
           (kRowBlockUs + 32 * problem.cluster.tiles.merge_us);
  };
  EXPECT_NEAR(merges(Mask::Causal(), 256), 6, 1e-9);
  EXPECT_NEAR(merges(Mask::Full(), 1000), 8, 1e-9);
  EXPECT_DOUBLE_EQ(merges(Mask::Window(100), 256), 0);
}

// Published FlashAttention-3, causal, 16K tokens of equal documents: TFLOP/s.
TEST(SegmentTimeTest, FollowsMeasuredKernelsOnH100) {
  Problem problem = SmallProblem();
  const std::pair<int64_t, double> measured[] = {{512, 292},  {1024, 423}, {2048, 521},
                                                 {4096, 579}, {8192, 602}, {16384, 616}};
  for (const auto& [length, tflops] : measured) {
    const double flop = 32.0 * 4 * length * length / 2 * 128;
    const double us = SegmentTime(problem, {length, {}}, 0, length).forward_us;
    EXPECT_NEAR(flop / us / 1e6 / tflops, 1, 0.05) << length;
  }
}

TEST(SegmentTimeTest, TakesTheLongestDocument) {
  Problem problem = SmallProblem();
  const double blocks = kMaxTokens / 128.0;
  EXPECT_NEAR(SegmentTime(problem, {kMaxTokens, {}}, 0, kMaxTokens).forward_us /
                  (blocks * (blocks + 1) / 2 * kKeyBlockUs + blocks * kRowBlockUs),
              1, 1e-9);
  Document window = {kMaxTokens, Mask::Window(129)};
  EXPECT_NEAR(SegmentTime(problem, window, 0, kMaxTokens).forward_us /
                  ((2 * blocks - 1) * kKeyBlockUs + blocks * kRowBlockUs),
              1, 1e-9);
}

TEST(LowerBoundTest, IsNeverAboveAPlacement) {
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    Problem problem = RandomProblem(seed, 400);
    std::mt19937_64 random(seed);
    double step_us = Evaluate(problem, RandomPlacement(problem, random)).StepUs();
    ASSERT_LE(LowerBoundUs(problem), step_us * (1 + 1e-9)) << "seed " << seed;
  }
}

TEST(LowerBoundTest, IsReachedByOneRank) {
  Problem problem = SmallProblem();
  problem.ranks = 1;
  Placement placement = {{{{0, 1000, 0}}, {{0, 300, 0}}}};
  EXPECT_DOUBLE_EQ(LowerBoundUs(problem), Evaluate(problem, placement).StepUs());
}

TEST(LowerBoundTest, IsReachedWhereTransfersBind) {
  // Links so slow that only bytes count, without latency: rank 1 owns the end of the document and
  // needs all 500 rows that rank 0 may own.
  Problem problem = SmallProblem();
  problem.documents = {{1000, {}}};
  problem.ranks = 2;
  problem.cluster.intra_node = {1.0, 0.0};
  Placement placement = {{{{0, 500, 0}, {500, 1000, 1}}}};
  EXPECT_DOUBLE_EQ(LowerBoundUs(problem), 2 * 500 * 4096.0);
  EXPECT_DOUBLE_EQ(Evaluate(problem, placement).StepUs(), LowerBoundUs(problem));
}

TEST(EvaluateTest, ImbalanceIsMostOverMean) {
  Problem problem = SmallProblem();
  problem.documents = {{3, {}}, {1, {}}};
  problem.ranks = 2;
  problem.slack_percent = 100;
  PlacementCost cost = Evaluate(problem, {{{{0, 3, 0}}, {{0, 1, 1}}}});
  EXPECT_DOUBLE_EQ(cost.TokenImbalance(), 1.5);      // 3 and 1
  EXPECT_DOUBLE_EQ(cost.WorkImbalance(), 12.0 / 7);  // 6 pairs and 1
  problem.documents.clear();
  cost = Evaluate(problem, {});
  EXPECT_EQ(cost.TokenImbalance(), 1);
  EXPECT_EQ(cost.WorkImbalance(), 1);
  EXPECT_EQ(cost.StepUs(), 0);
  EXPECT_EQ(LowerBoundUs(problem), 0);
}

}  // namespace
}  // namespace flashcp::solver
