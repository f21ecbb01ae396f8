// What a problem and a placement are checked for.

#include "compiler/solver/problem.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Each rule of Check broken once, and the whole message.
struct BrokenRule {
  std::function<void(Problem&)> edit;
  const char* message;
};

void ExpectBroken(const std::vector<BrokenRule>& rules) {
  ASSERT_TRUE(SmallProblem().Check().ok());
  for (const BrokenRule& rule : rules) {
    Problem problem = SmallProblem();
    rule.edit(problem);
    absl::Status status = problem.Check();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << rule.message;
    EXPECT_EQ(status.message(), rule.message);
  }
}

TEST(ProblemCheckTest, RefusesBadShapes) {
  ExpectBroken({
      {[](Problem& p) { p.ranks = 0; }, "ranks are 0: must be from 1 to 4096"},
      {[](Problem& p) { p.ranks = 4097; }, "ranks are 4097: must be from 1 to 4096"},
      {[](Problem& p) { p.heads.query = 0; }, "query heads are 0: must be from 1 to 1024"},
      {[](Problem& p) { p.heads.query = 1025; }, "query heads are 1025: must be from 1 to 1024"},
      {[](Problem& p) { p.heads.key_value = 0; },
       "query heads are 32, KV heads 0: query heads must be a positive multiple of KV heads"},
      {[](Problem& p) { p.heads.key_value = 5; },
       "query heads are 32, KV heads 5: query heads must be a positive multiple of KV heads"},
      {[](Problem& p) { p.heads.dim = 0; }, "head dim is 0: must be from 8 to 256 in steps of 8"},
      {[](Problem& p) { p.heads.dim = 100; },
       "head dim is 100: must be from 8 to 256 in steps of 8"},
      {[](Problem& p) { p.heads.dim = 264; },
       "head dim is 264: must be from 8 to 256 in steps of 8"},
      {[](Problem& p) { p.slack_percent = -1; }, "slack is -1 percent: must be from 0 to 100"},
      {[](Problem& p) { p.slack_percent = 101; }, "slack is 101 percent: must be from 0 to 100"},
      {[](Problem& p) { p.slack_percent = kNan; }, "slack is nan percent: must be from 0 to 100"},
  });
}

TEST(ProblemCheckTest, RefusesBadDocuments) {
  ExpectBroken({
      {[](Problem& p) { p.documents[1].length = -1; },
       "document 1: length is -1: must be 0 or above"},
      {[](Problem& p) {
         p.documents[0].mask = Mask({5, -3});
       },
       "document 0: mask is band:5:-3: must show pairs, with a lower limit of at most the upper "
       "one"},
      {[](Problem& p) { p.documents[1].length = kMaxTokens - 999; },
       "document 1: length 2147482649 after 1000 tokens: a batch holds at most 2147483648 tokens"},
      {[](Problem& p) { p.documents[1].length = std::numeric_limits<int64_t>::max(); },
       "document 1: length 9223372036854775807 after 1000 tokens: a batch holds at most "
       "2147483648 tokens"},
  });
}

TEST(ProblemCheckTest, RefusesBadClusters) {
  ExpectBroken({
      {[](Problem& p) { p.cluster.ranks_per_node = 0; },
       "cluster 'h100x8': ranks_per_node is 0: must be at least 1"},
      {[](Problem& p) { p.cluster.intra_node.bytes_per_us = 0; },
       "cluster 'h100x8': intra_node.bytes_per_us is 0: must be a finite number above 0"},
      {[](Problem& p) { p.cluster.inter_node.bytes_per_us = kInfinity; },
       "cluster 'h100x8': inter_node.bytes_per_us is inf: must be a finite number above 0"},
      {[](Problem& p) { p.cluster.inter_node.latency_us = -2; },
       "cluster 'h100x8': inter_node.latency_us is -2: must be a finite number, 0 or above"},
      {[](Problem& p) { p.cluster.tiles.block_rows = 0; },
       "cluster 'h100x8': tiles.block_rows is 0: must be from 1 to 65536"},
      {[](Problem& p) { p.cluster.tiles.block_columns = 65537; },
       "cluster 'h100x8': tiles.block_columns is 65537: must be from 1 to 65536"},
      {[](Problem& p) { p.cluster.tiles.columns = {128}; },
       "cluster 'h100x8': tiles.columns has 1 entries: must have at least 2"},
      {[](Problem& p) {
         p.cluster.tiles.columns = {256, 512};
       },
       "cluster 'h100x8': tiles.columns[0] is 256: must be block_columns, 128"},
      {[](Problem& p) {
         p.cluster.tiles.columns = {128, 300};
       },
       "cluster 'h100x8': tiles.columns[1] is 300: must be a multiple of block_columns, 128, above "
       "the entry before it, 128"},
      {[](Problem& p) {
         p.cluster.tiles.columns = {128, 128};
       },
       "cluster 'h100x8': tiles.columns[1] is 128: must be a multiple of block_columns, 128, above "
       "the entry before it, 128"},
      {[](Problem& p) { p.cluster.tiles.forward_us.pop_back(); },
       "cluster 'h100x8': tiles.forward_us has 1 entries: must have one for each of the 2 columns"},
      {[](Problem& p) { p.cluster.tiles.forward_us[0] = 0; },
       "cluster 'h100x8': tiles.forward_us[0] is 0: must be finite, above 0 and not below the "
       "entry before it"},
      {[](Problem& p) { p.cluster.tiles.backward_us[1] = kNan; },
       "cluster 'h100x8': tiles.backward_us[1] is nan: must be finite, above 0 and not below the "
       "entry before it"},
      {[](Problem& p) {
         p.cluster.tiles.backward_us = {2, 1};
       },
       "cluster 'h100x8': tiles.backward_us[1] is 1: must be finite, above 0 and not below the "
       "entry before it"},
      {[](Problem& p) { p.cluster.tiles.merge_us = kNan; },
       "cluster 'h100x8': tiles.merge_us is nan: must be a finite number, 0 or above"},
      {[](Problem& p) { p.cluster.memory_bytes = -1; },
       "cluster 'h100x8': memory_bytes is -1: must be 0, not known, or above"},
  });
}

TEST(ProblemCheckTest, AcceptsTheExtremes) {
  Problem problem = SmallProblem();
  problem.documents = {{kMaxTokens, Mask::Window(kMaxTokens)}, {0, {}}};
  problem.ranks = kMaxRanks;
  problem.heads = {kMaxHeads, 1, 256};
  problem.slack_percent = 100;
  EXPECT_TRUE(problem.Check().ok()) << problem.Check();
  problem.documents.clear();
  problem.heads = {1, 1, 8};
  EXPECT_TRUE(problem.Check().ok()) << problem.Check();
}

TEST(ProblemTest, CountsBytesOfKeyAndValueRows) {
  Problem problem = SmallProblem();
  EXPECT_EQ(problem.KeyValueBytesPerToken(), 4096);
  problem.dtype = DType::kF32;
  problem.heads = {6, 3, 64};
  EXPECT_EQ(problem.KeyValueBytesPerToken(), 2 * 3 * 64 * 4);
}

TEST(ProblemTest, TokenCapRoundsUp) {
  Problem problem = SmallProblem();
  EXPECT_EQ(problem.TokenCap(), 163);  // 1300 / 8 = 162.5
  problem.slack_percent = 10;
  EXPECT_EQ(problem.TokenCap(), 179);  // 178.75
  problem.ranks = 13;
  EXPECT_EQ(problem.TokenCap(), 110);  // exactly
  problem.slack_percent = 0.01;
  EXPECT_EQ(problem.TokenCap(), 101);  // 100.01
  problem.documents.clear();
  EXPECT_EQ(problem.TokenCap(), 0);
}

TEST(PlacementVerifyTest, EachRuleBrokenOnce) {
  Problem problem = SmallProblem();
  problem.documents = {{6, {}}, {3, {}}};
  problem.ranks = 2;
  const Placement good = {{{{0, 2, 0}, {2, 4, 1}, {4, 6, 0}}, {{0, 3, 1}}}};
  ASSERT_TRUE(good.Verify(problem).ok()) << good.Verify(problem);

  using Documents = std::vector<std::vector<Segment>>;
  const std::vector<std::pair<Documents, const char*>> broken = {
      {{{{0, 6, 0}}}, "placement of 1 documents: must place 2"},
      {{{{0, 2, 0}, {3, 6, 1}}, {{0, 3, 1}}},
       "placement of document 0: segment [3, 6) on rank 1: must begin at 2 and end behind that, at "
       "most at 6"},
      {{{{0, 4, 0}, {3, 6, 1}}, {{0, 3, 1}}},
       "placement of document 0: segment [3, 6) on rank 1: must begin at 4 and end behind that, at "
       "most at 6"},
      {{{{0, 4, 0}, {4, 4, 1}, {4, 6, 0}}, {{0, 3, 1}}},
       "placement of document 0: segment [4, 4) on rank 1: must begin at 4 and end behind that, at "
       "most at 6"},
      {{{{0, 6, 0}}, {{0, 4, 1}}},
       "placement of document 1: segment [0, 4) on rank 1: must begin at 0 and end behind that, at "
       "most at 3"},
      {{{{0, 4, 0}}, {{0, 3, 1}}},
       "placement of document 0: segments end at 4: must end at its length, 6"},
      {{{{0, 6, 2}}, {{0, 3, 1}}},
       "placement of document 0: segment [0, 6) on rank 2: there are 2 ranks"},
      {{{{0, 4, 0}, {4, 6, 0}}, {{0, 3, 1}}},
       "placement of document 0: segment [4, 6) on rank 0: must be one with the segment before it"},
      {{{{0, 6, 0}}, {{0, 3, 1}}}, "placement gives rank 0 6 tokens: must be from 4 to 5"},
      {{{{0, 3, 0}, {3, 6, 1}}, {{0, 3, 1}}},
       "placement gives rank 0 3 tokens: must be from 4 to 5"},
  };
  for (const auto& [documents, message] : broken) {
    absl::Status status = Placement{documents}.Verify(problem);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << message;
    EXPECT_EQ(status.message(), message);
  }
}

TEST(PlacementVerifyTest, SlackRaisesTheCapAndDropsTheFloor) {
  Problem problem = SmallProblem();
  problem.documents = {{6, {}}, {3, {}}};
  problem.ranks = 2;
  const Placement uneven = {{{{0, 6, 0}}, {{0, 3, 1}}}};
  problem.slack_percent = 12;  // 5.04
  EXPECT_TRUE(uneven.Verify(problem).ok()) << uneven.Verify(problem);
  problem.slack_percent = 11;  // 4.995
  EXPECT_EQ(uneven.Verify(problem).message(),
            "placement gives rank 0 6 tokens: must be from 0 to 5");
}

TEST(RandomPlacementTest, PassesVerify) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Problem problem = RandomProblem(seed, 300);
    ASSERT_TRUE(problem.Check().ok()) << problem.Check();
    std::mt19937_64 random(seed);
    absl::Status status = RandomPlacement(problem, random).Verify(problem);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status;
  }
}

}  // namespace
}  // namespace flashcp::solver
