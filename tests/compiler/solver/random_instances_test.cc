// A hundred thousand small random instances through Check and Verify, each placement recounted
// token by token: owners, tokens per rank, rows that ranks receive.

#include <algorithm>
#include <bitset>
#include <string>
#include <vector>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

constexpr int kInstances = 100'000;
constexpr int kParts = 4;  // run side by side
constexpr int64_t kMaxTokens = 40;
constexpr double kShortMs = 0.02;

using RankSet = std::bitset<256>;

bool Sees(const Mask& mask, int64_t query, int64_t key) {
  return mask.band().lower <= key - query && key - query <= mask.band().upper;
}

// The owner of each token of a document; fails the test where a token has none or two.
std::vector<int> OwnersOf(const Document& document, const std::vector<Segment>& segments) {
  std::vector<int> owners(document.length, -1);
  for (const Segment& segment : segments) {
    for (int64_t token = segment.begin; token < segment.end; ++token) {
      EXPECT_EQ(owners.at(token), -1) << "token " << token << " has two owners";
      owners.at(token) = segment.rank;
    }
  }
  EXPECT_EQ(std::count(owners.begin(), owners.end(), -1), 0) << "tokens without owner";
  return owners;
}

// Rows of a document that each rank receives, added to `received`.
void CountReceived(const Problem& problem, const Document& document, const std::vector<int>& owners,
                   std::vector<int64_t>& received) {
  for (int64_t key = 0; key < document.length; ++key) {
    RankSet needing;
    for (int64_t query = 0; query < document.length; ++query) {
      if (Sees(document.mask, query, key)) needing.set(owners[query]);
    }
    for (int rank = 0; rank < problem.ranks; ++rank) {
      bool gets = problem.exchange == Exchange::kAllGather || needing.test(rank);
      received[rank] += gets && rank != owners[key];
    }
  }
}

void CheckInstance(uint64_t seed) {
  Problem problem = RandomProblem(seed, kMaxTokens);
  ASSERT_TRUE(problem.Check().ok());
  const std::vector<std::string> names = StrategyNames();
  // `auto` on every second instance, the others in turn.
  const std::string& strategy = seed % 2 == 0 ? names.back() : names[seed / 2 % names.size()];
  absl::StatusOr<Placement> placement = Place(strategy, problem, kShortMs);
  ASSERT_TRUE(placement.ok()) << placement.status();

  std::vector<int64_t> tokens(problem.ranks);
  std::vector<int64_t> received(problem.ranks);
  for (size_t d = 0; d < problem.documents.size(); ++d) {
    std::vector<int> owners = OwnersOf(problem.documents[d], placement->documents[d]);
    for (int owner : owners) ++tokens.at(owner);
    CountReceived(problem, problem.documents[d], owners, received);
  }
  PlacementCost cost = Evaluate(problem, *placement);
  for (int rank = 0; rank < problem.ranks; ++rank) {
    ASSERT_LE(tokens[rank], problem.TokenCap());
    if (problem.slack_percent == 0) {
      ASSERT_GE(tokens[rank], problem.TotalTokens() / problem.ranks);
    }
    ASSERT_EQ(cost.ranks[rank].tokens, tokens[rank]);
    ASSERT_EQ(cost.ranks[rank].receive_bytes_forward,
              received[rank] * problem.KeyValueBytesPerToken());
  }
}

class RandomInstancesTest : public ::testing::TestWithParam<int> {};

TEST_P(RandomInstancesTest, AgreeWithARecount) {
  for (uint64_t seed = GetParam(); seed < kInstances; seed += kParts) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    CheckInstance(seed);
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, RandomInstancesTest, ::testing::Range(0, kParts));

}  // namespace
}  // namespace flashcp::solver
