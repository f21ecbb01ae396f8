// Every strategy on small and on random problems.

#include "compiler/solver/strategies.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "compiler/solver/bounds.h"
#include "compiler/solver/cost_model.h"
#include "gtest/gtest.h"
#include "tests/compiler/solver/random_problem.h"
#include "tests/testing/random_lengths.h"

namespace flashcp::solver {
namespace {

// A budget that ends the search of `auto` early, so that thousands of instances take seconds.
constexpr double kShortMs = 0.1;

// "0-3:1 3-5:0": begin, end and rank of each segment.
std::string Text(const std::vector<Segment>& segments) {
  std::string text;
  for (const Segment& s : segments) {
    if (!text.empty()) text += " ";
    text += std::to_string(s.begin) + "-" + std::to_string(s.end) + ":" + std::to_string(s.rank);
  }
  return text;
}

Problem CausalProblem(const std::vector<int64_t>& lengths, int ranks) {
  Problem problem = SmallProblem();
  problem.documents.clear();
  for (int64_t length : lengths) problem.documents.push_back({length, {}});
  problem.ranks = ranks;
  return problem;
}

// Place() verifies what it returns: partition, merged neighbours, token cap, floor and ceiling.
TEST(PlaceTest, EveryStrategySolvesRandomProblems) {
  for (uint64_t seed = 0; seed < 6000; ++seed) {
    Problem problem = RandomProblem(seed, seed % 2 == 0 ? 200 : 5000);
    double known_us = 0;
    for (const std::string& strategy : StrategyNames()) {
      absl::StatusOr<Placement> placement = Place(strategy, problem, kShortMs);
      ASSERT_TRUE(placement.ok()) << "seed " << seed << ": " << placement.status();
      double step_us = Evaluate(problem, *placement).StepUs();
      ASSERT_GE(step_us * (1 + 1e-9), LowerBoundUs(problem)) << "seed " << seed << ", " << strategy;
      if (strategy == "auto") {
        ASSERT_LE(step_us, known_us * (1 + 1e-9)) << "seed " << seed;
      }
      known_us = strategy == "contiguous" ? step_us : std::min(known_us, step_us);
    }
  }
}

TEST(PlaceTest, EveryStrategySolvesLargeRankCounts) {
  for (int ranks : {64, 255, 1024, kMaxRanks}) {
    for (testing::LengthKind kind : testing::AllLengthKinds()) {
      Problem problem = CausalProblem(testing::RandomLengths(kind, ranks, 20000), ranks);
      for (const std::string& strategy : StrategyNames()) {
        absl::StatusOr<Placement> placement = Place(strategy, problem, kShortMs);
        ASSERT_TRUE(placement.ok())
            << ranks << " ranks, " << testing::LengthKindName(kind) << ": " << placement.status();
      }
    }
  }
}

TEST(PlaceTest, IsTheSameEachTime) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Problem problem = RandomProblem(seed, 3000);
    Placement first = *Place("auto", problem, 10 * kShortMs);
    Placement second = *Place("auto", problem, 10 * kShortMs);
    for (size_t d = 0; d < first.documents.size(); ++d) {
      ASSERT_EQ(Text(first.documents[d]), Text(second.documents[d])) << "seed " << seed;
    }
  }
}

TEST(PlaceTest, SuggestsTheNearestStrategy) {
  absl::Status status = Place("zigzg", SmallProblem()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "unknown strategy 'zigzg': did you mean 'zigzag'? (one of contiguous, zigzag, per-doc, "
            "whole-doc, flashcp-paper, auto)");
}

TEST(PlaceTest, RefusesABadProblem) {
  Problem problem = SmallProblem();
  problem.ranks = 0;
  EXPECT_EQ(Place("zigzag", problem).status().message(), "ranks are 0: must be from 1 to 4096");
}

TEST(PlaceContiguousTest, CutsThePackEvenly) {
  Placement placement = PlaceContiguous(CausalProblem({5, 0, 6}, 3));
  EXPECT_EQ(Text(placement.documents[0]), "0-3:0 3-5:1");
  EXPECT_EQ(Text(placement.documents[1]), "");
  EXPECT_EQ(Text(placement.documents[2]), "0-2:1 2-6:2");
}

TEST(PlaceZigzagTest, GivesEachRankAnEarlyAndALateChunkOfThePack) {
  Placement placement = PlaceZigzag(CausalProblem({8, 4}, 2));
  EXPECT_EQ(Text(placement.documents[0]), "0-3:0 3-8:1");
  EXPECT_EQ(Text(placement.documents[1]), "0-1:1 1-4:0");
}

TEST(PlaceZigzagTest, ChunksDifferByOneAtMost) {
  for (int ranks = 2; ranks < 10; ++ranks) {
    for (int64_t length = 0; length < 100; ++length) {
      int64_t chunk = length / (2 * ranks);
      Placement placement = PlaceZigzag(CausalProblem({length}, ranks));
      for (const Segment& segment : placement.documents[0]) {
        // The last rank's two chunks lie side by side.
        int64_t chunks = segment.rank == ranks - 1 ? 2 : 1;
        EXPECT_GE(segment.end - segment.begin, chunks * chunk);
        EXPECT_LE(segment.end - segment.begin, chunks * (chunk + 1));
      }
    }
  }
}

TEST(PlacePerDocTest, ShardsEveryDocumentAndDealsRemainders) {
  Placement placement = PlacePerDoc(CausalProblem({9, 11, 2}, 2));
  // Remainders 1, 3 and 2 are dealt in turns: 0; 1 0 1; 0 1. So rank 1 owns the first chunk of the
  // second document.
  EXPECT_EQ(Text(placement.documents[0]), "0-3:0 3-7:1 7-9:0");
  EXPECT_EQ(Text(placement.documents[1]), "0-3:1 3-8:0 8-11:1");
  EXPECT_EQ(Text(placement.documents[2]), "0-1:0 1-2:1");
}

TEST(PlaceWholeDocTest, KeepsDocumentsWholeWhileTheyFit) {
  // 20 tokens a rank: 12 and 10 go first, to empty ranks; 9 to the rank with less work and room;
  // 8 to the other; the last document does not fit any more.
  Placement placement = PlaceWholeDoc(CausalProblem({12, 10, 9, 8, 1}, 2));
  EXPECT_EQ(Text(placement.documents[0]), "0-12:0");
  EXPECT_EQ(Text(placement.documents[1]), "0-10:1");
  EXPECT_EQ(Text(placement.documents[2]), "0-9:1");
  EXPECT_EQ(Text(placement.documents[3]), "0-8:0");
  EXPECT_EQ(Text(placement.documents[4]), "0-1:1");
  // 7 tokens a rank: no room for 4 behind 6 and 4.
  placement = PlaceWholeDoc(CausalProblem({6, 4, 4}, 2));
  EXPECT_EQ(Text(placement.documents[0]), "0-6:0");
  EXPECT_EQ(Text(placement.documents[1]), "0-4:1");
  EXPECT_EQ(Text(placement.documents[2]), "0-3:1 3-4:0");
}

TEST(PlaceFlashcpPaperTest, KeepsEqualDocumentsWhole) {
  Placement placement = PlaceFlashcpPaper(CausalProblem(std::vector<int64_t>(16, 512), 8));
  PlacementCost cost = Evaluate(CausalProblem(std::vector<int64_t>(16, 512), 8), placement);
  EXPECT_EQ(cost.WorkImbalance(), 1);
  for (const RankCost& rank : cost.ranks) EXPECT_EQ(rank.receive_bytes_forward, 0);
}

TEST(PlaceFlashcpPaperTest, ShardsTheLongDocumentsOnly) {
  // One document is half of all tokens: it cannot stay whole, the 64 short ones can.
  std::vector<int64_t> lengths(64, 1024);
  lengths.insert(lengths.begin(), 65536);
  Placement placement = PlaceFlashcpPaper(CausalProblem(lengths, 8));
  EXPECT_EQ(placement.documents[0].size(), 15);
  for (size_t d = 1; d < lengths.size(); ++d) EXPECT_EQ(placement.documents[d].size(), 1);
}

TEST(PlaceFlashcpPaperTest, IsNeverLongerThanPerDoc) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Problem problem = RandomProblem(seed, 5000);
    EXPECT_LE(Evaluate(problem, PlaceFlashcpPaper(problem)).StepUs(),
              Evaluate(problem, PlacePerDoc(problem)).StepUs())
        << "seed " << seed;
  }
}

TEST(LeastPaperStepTest, BoundsPerDocAndFlashcpPaper) {
  int close = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Problem problem = RandomProblem(seed, seed % 2 == 0 ? 500 : 50000);
    const double least_us = LeastPaperStepUs(problem);
    const double per_doc_us = Evaluate(problem, PlacePerDoc(problem)).StepUs();
    EXPECT_LE(least_us, per_doc_us * (1 + 1e-9)) << "seed " << seed;
    const double paper_us = Evaluate(problem, PlaceFlashcpPaper(problem)).StepUs();
    EXPECT_LE(least_us, paper_us * (1 + 1e-9)) << "seed " << seed;
    close += least_us > 0.9 * paper_us;
  }
  EXPECT_GT(close, 100);
}

TEST(PlaceFlashcpPaperTest, IsTheSameBelowALimitAndNothingAtIt) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Problem problem = RandomProblem(seed, 5000);
    Placement paper = PlaceFlashcpPaper(problem);
    PlacementCost cost = Evaluate(problem, paper);
    EXPECT_LE(ComputeStepUs(problem, paper), cost.StepUs()) << "seed " << seed;
    EXPECT_FALSE(PlaceFlashcpPaperBelow(problem, cost.StepUs()).has_value()) << "seed " << seed;
    std::optional<Placement> below = PlaceFlashcpPaperBelow(problem, cost.StepUs() + 1);
    ASSERT_TRUE(below.has_value()) << "seed " << seed;
    EXPECT_EQ(Evaluate(problem, *below).StepUs(), cost.StepUs()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace flashcp::solver
