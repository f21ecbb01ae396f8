// Holds what the heaviest documents' nodes own to tokens, work and sends.

#include "compiler/solver/node_spread.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "compiler/solver/budget.h"
#include "compiler/solver/piece.h"
#include "compiler/solver/problem.h"
#include "gtest/gtest.h"
#include "model/cluster.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

NodeSpread Spread(const Problem& problem) {
  Budget budget(1);
  return SpreadOverNodes(PieceModel(problem), budget);
}

int Count(const NodeSpread& spread) {
  return static_cast<int>(std::count(spread.spread.begin(), spread.spread.end(), true));
}

// One document that takes a large part of all work, and short ones that have most tokens.
Problem OneGiant(const Mask& mask) {
  Problem problem;
  problem.ranks = 128;
  problem.cluster = model::ClusterPreset("h100x64").value();
  problem.documents.push_back({200'000, mask});
  problem.documents.resize(1 + 5000, {mask == Mask::Full() ? 1400 : 2000, mask});
  return problem;
}

// Which node owns each token of document 0.
std::vector<int> NodeOfTokens(const Problem& problem, const NodeSpread& spread) {
  std::vector<int> node(problem.documents[0].length, -1);
  for (int rank = 0; rank < problem.ranks; ++rank) {
    for (const Piece& piece : spread.owned[rank]) {
      if (piece.document != 0) continue;
      for (int i = 0; i < piece.count; ++i) {
        std::fill(node.begin() + piece.intervals[i].begin, node.begin() + piece.intervals[i].end,
                  rank / problem.cluster.ranks_per_node);
      }
    }
  }
  return node;
}

// Token by token: a causal row goes to every other node with a token behind it.
std::vector<int64_t> RowsSent(const std::vector<int>& node, int nodes) {
  std::vector<int64_t> sent(nodes, 0);
  std::vector<bool> behind(nodes, false);
  for (size_t i = node.size(); i-- > 0;) {
    for (int other = 0; other < nodes; ++other) sent[node[i]] += behind[other] && other != node[i];
    behind[node[i]] = true;
  }
  return sent;
}

TEST(NodeSpreadTest, OwnsSpreadDocumentsOnceWithinTokens) {
  int spread_documents = 0;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    Problem problem = RandomProblem(seed, seed % 2 == 0 ? 500 : 200'000);
    if (seed % 2 == 1) {
      problem.cluster.ranks_per_node = 1 + seed % 8;
      problem.ranks = 9 * problem.cluster.ranks_per_node + seed % 50;
    }
    const NodeSpread spread = Spread(problem);
    std::vector<int64_t> tokens(problem.documents.size(), 0);
    for (const std::vector<Piece>& owned : spread.owned) {
      int64_t of_rank = 0;
      for (const Piece& piece : owned) {
        tokens[piece.document] += piece.tokens;
        of_rank += piece.tokens;
      }
      ASSERT_LE(of_rank, problem.TotalTokens() / problem.ranks) << "seed " << seed;
    }
    for (size_t d = 0; d < tokens.size(); ++d) {
      ASSERT_EQ(tokens[d], spread.spread[d] ? problem.documents[d].length : 0) << "seed " << seed;
      if (spread.spread[d]) {
        const Document& document = problem.documents[d];
        ASSERT_TRUE(SeesBackToStart(document) || SeesOnToEnd(document)) << "seed " << seed;
      }
    }
    spread_documents += Count(spread);
  }
  EXPECT_GT(spread_documents, 1000);
}

// `reversed`: each query sees its own key and all behind it.
void ExpectEvenNodes(bool reversed) {
  const Mask causal = Mask::Causal();
  const Problem problem = OneGiant(reversed ? Mask(Reversed(causal.band())) : causal);
  const NodeSpread spread = Spread(problem);
  ASSERT_EQ(Count(spread), 1);
  std::vector<int> node = NodeOfTokens(problem, spread);
  if (reversed) std::reverse(node.begin(), node.end());
  const int nodes = *std::max_element(node.begin(), node.end()) + 1;
  ASSERT_GE(nodes, 4);
  std::vector<int64_t> pairs(nodes, 0);
  for (size_t i = 0; i < node.size(); ++i) pairs[node[i]] += i + 1;
  const int64_t all_pairs = std::accumulate(pairs.begin(), pairs.end(), int64_t{0});
  EXPECT_LT(*std::max_element(pairs.begin(), pairs.end()), 1.05 * all_pairs / nodes);

  const std::vector<int64_t> sent = RowsSent(node, nodes);
  const int64_t all_sent = std::accumulate(sent.begin(), sent.end(), int64_t{0});
  EXPECT_LT(*std::max_element(sent.begin(), sent.end()), 1.15 * all_sent / nodes);
}

TEST(NodeSpreadTest, NodesComputeAndSendEquallyMuch) { ExpectEvenNodes(/*reversed=*/false); }

TEST(NodeSpreadTest, FrontAndBackChangeRolesIfQueriesSeeOn) { ExpectEvenNodes(/*reversed=*/true); }

TEST(NodeSpreadTest, RanksOfANodeOwnEquallyMuch) {
  const Problem problem = OneGiant(Mask::Causal());
  const NodeSpread spread = Spread(problem);
  int64_t least = problem.documents[0].length;
  int64_t most = 0;
  double least_us = 1e300;
  double most_us = 0;
  for (int rank = 0; rank < problem.cluster.ranks_per_node; ++rank) {
    ASSERT_EQ(spread.owned[rank].size(), 1);
    const Piece& piece = spread.owned[rank][0];
    least = std::min(least, piece.tokens);
    most = std::max(most, piece.tokens);
    least_us = std::min(least_us, piece.work_us);
    most_us = std::max(most_us, piece.work_us);
  }
  EXPECT_LE(most - least, 2 * problem.cluster.tiles.block_rows);
  EXPECT_LT(most_us, 1.5 * least_us);  // blocks are a quarter of what a rank owns
}

// Every row of a full mask goes to all nodes: they own equally many.
TEST(NodeSpreadTest, NodesOwnEqualPartsOfAFullMask) {
  const Problem problem = OneGiant(Mask::Full());
  const NodeSpread spread = Spread(problem);
  ASSERT_EQ(Count(spread), 1);
  const std::vector<int> node = NodeOfTokens(problem, spread);
  const int nodes = *std::max_element(node.begin(), node.end()) + 1;
  ASSERT_GE(nodes, 4);
  std::vector<int64_t> tokens(nodes, 0);
  for (int n : node) ++tokens[n];
  const int64_t block = problem.cluster.tiles.block_rows;
  EXPECT_LE(*std::max_element(tokens.begin(), tokens.end()) -
                *std::min_element(tokens.begin(), tokens.end()),
            2 * block);
}

TEST(NodeSpreadTest, LeavesFewNodesAndLightDocumentsAlone) {
  Problem problem = OneGiant(Mask::Causal());
  problem.ranks = 64;
  EXPECT_EQ(Count(Spread(problem)), 0);
  problem.ranks = 128;
  problem.documents[0].length = 2000;
  EXPECT_EQ(Count(Spread(problem)), 0);
  problem.documents.clear();
  EXPECT_EQ(Count(Spread(problem)), 0);
}

// Nodes that would get more than their tokens get none of it.
TEST(NodeSpreadTest, LeavesADocumentOfAllTokensToTheBisection) {
  Problem problem = OneGiant(Mask::Causal());
  problem.documents.resize(1);
  EXPECT_EQ(Count(Spread(problem)), 0);
}

}  // namespace
}  // namespace flashcp::solver
