// Holds `auto` to the optimum of small instances, to itself, and to extreme inputs.

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "compiler/solver/bounds.h"
#include "compiler/solver/cost_model.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

// A budget that ends the search early, so that many instances take seconds.
constexpr double kShortMs = 0.3;

Problem CausalProblem(const std::vector<int64_t>& lengths, int ranks) {
  Problem problem = SmallProblem();
  problem.documents.clear();
  for (int64_t length : lengths) problem.documents.push_back({length, {}});
  problem.ranks = ranks;
  return problem;
}

// The shortest step of all assignments of single tokens to ranks.
class Exhaustive {
 public:
  explicit Exhaustive(const Problem& problem)
      : problem_(problem), room_(problem.ranks), spare_(problem.TotalTokens() % problem.ranks) {
    std::fill(room_.begin(), room_.end(), problem.TotalTokens() / problem.ranks);
    placement_.documents.resize(problem.documents.size());
  }

  double BestUs() {
    Assign(0, 0);
    return best_us_;
  }

 private:
  void Assign(size_t d, int64_t position) {
    while (d < problem_.documents.size() && position == problem_.documents[d].length) {
      ++d;
      position = 0;
    }
    if (d == problem_.documents.size()) {
      best_us_ = std::min(best_us_, Evaluate(problem_, placement_).StepUs());
      return;
    }
    std::vector<Segment>& segments = placement_.documents[d];
    for (int rank = 0; rank < problem_.ranks; ++rank) {
      // One of the ranks that may go one above the mean.
      bool above = room_[rank] == 0 && spare_ > 0;
      if (room_[rank] < 0 || (room_[rank] == 0 && !above)) continue;
      std::vector<Segment> saved = segments;
      if (!segments.empty() && segments.back().rank == rank) {
        segments.back().end = position + 1;
      } else {
        segments.push_back({position, position + 1, rank});
      }
      spare_ -= above;
      room_[rank] -= 1;
      Assign(d, position + 1);
      room_[rank] += 1;
      spare_ += above;
      segments = std::move(saved);
    }
  }

  const Problem& problem_;
  std::vector<int64_t> room_;
  int64_t spare_;
  Placement placement_;
  double best_us_ = 1e300;
};

TEST(AutoTest, IsCloseToTheOptimumOfSmallInstances) {
  double sum = 0;
  double worst = 0;
  constexpr int kInstances = 150;
  for (uint64_t seed = 0; seed < kInstances; ++seed) {
    std::mt19937_64 random(seed);
    const int ranks = seed % 3 == 0 ? 3 : 2;
    Problem problem = CausalProblem({}, ranks);
    problem.cluster = RandomCluster(random);
    for (int64_t tokens = ranks == 2 ? 12 : 8; tokens > 0;) {
      Document document;
      document.length = Draw(random, 1, tokens);
      document.mask = RandomMask(random, 6);
      tokens -= document.length;
      problem.documents.push_back(document);
    }
    double best_us = Exhaustive(problem).BestUs();
    double auto_us = Evaluate(problem, PlaceAuto(problem, kShortMs)).StepUs();
    ASSERT_GE(auto_us * (1 + 1e-9), best_us) << "seed " << seed;
    ASSERT_LE(LowerBoundUs(problem), best_us * (1 + 1e-9)) << "seed " << seed;
    sum += auto_us / best_us;
    worst = std::max(worst, auto_us / best_us);
  }
  EXPECT_LE(sum / kInstances, 1.02);
  EXPECT_LE(worst, 1.5);
}

void ExpectSame(const Placement& a, const Placement& b, const std::string& what) {
  ASSERT_EQ(a.documents.size(), b.documents.size()) << what;
  for (size_t d = 0; d < a.documents.size(); ++d) {
    ASSERT_EQ(a.documents[d].size(), b.documents[d].size()) << what;
    for (size_t i = 0; i < a.documents[d].size(); ++i) {
      ASSERT_EQ(a.documents[d][i].begin, b.documents[d][i].begin) << what;
      ASSERT_EQ(a.documents[d][i].end, b.documents[d][i].end) << what;
      ASSERT_EQ(a.documents[d][i].rank, b.documents[d][i].rank) << what;
    }
  }
}

TEST(AutoTest, DependsOnTheProblemAlone) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Problem problem = RandomProblem(seed, 3000);
    Placement first = PlaceAuto(problem, kShortMs);
    // Neither what was planned before nor a name matters, nor where the problem lies in memory.
    PlaceAuto(RandomProblem(seed + 1, 1000), kShortMs);
    Problem copy = problem;
    copy.cluster.name = "other";
    ExpectSame(first, PlaceAuto(copy, kShortMs), "seed " + std::to_string(seed));
  }
}

double BytesReceived(const PlacementCost& cost) {
  double bytes = 0;
  for (const RankCost& rank : cost.ranks) bytes += rank.receive_bytes_forward;
  return bytes;
}

// flashcp-paper keeps all but one of nine equal documents whole: what it sends is hard to undercut.
TEST(AutoTest, SendsNoMoreThanThePaperIfThatIsAboutAsShort) {
  for (const char* cluster : {"h100x8", "h100-ib8"}) {
    Problem problem = CausalProblem(std::vector<int64_t>(9, 14563), 8);
    problem.documents.front().length = 131072 - 8 * 14563;
    problem.cluster = model::ClusterPreset(cluster).value();
    const PlacementCost ours = Evaluate(problem, PlaceAuto(problem));
    const PlacementCost paper = Evaluate(problem, PlaceFlashcpPaper(problem));
    EXPECT_LE(ours.StepUs(), paper.StepUs() * (1 + 1e-9)) << cluster;
    EXPECT_LE(ours.StepUs(), LowerBoundUs(problem) * 1.025) << cluster;
    EXPECT_LE(BytesReceived(ours), BytesReceived(paper)) << cluster;
  }
}

// Where all mixes of flashcp-paper take long to decide: they are only where they may be shorter.
TEST(AutoTest, IsNeverWorseWithManyRanksAndDocuments) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> lengths(6, 1.3);
  for (int ranks : {64, 256}) {
    Problem problem = CausalProblem({}, ranks);
    problem.cluster = model::ClusterPreset("h100x64").value();
    while (problem.documents.size() < 9000) {
      problem.documents.push_back({static_cast<int64_t>(lengths(random)), {}});
    }
    const double auto_us = Evaluate(problem, PlaceAuto(problem, kShortMs)).StepUs();
    EXPECT_LE(auto_us, Evaluate(problem, PlaceFlashcpPaper(problem)).StepUs() * (1 + 1e-9));
    EXPECT_LE(auto_us, Evaluate(problem, PlacePerDoc(problem)).StepUs() * (1 + 1e-9));
  }
}

TEST(AutoTest, IsNeverWorseThanKnownStrategies) {
  for (double budget_ms : {0.0, 0.1, 3.0}) {
    for (uint64_t seed = 0; seed < 100; ++seed) {
      Problem problem = RandomProblem(seed, 3000);
      double auto_us = Evaluate(problem, PlaceAuto(problem, budget_ms)).StepUs();
      for (const std::string& strategy : StrategyNames()) {
        if (strategy == "auto") continue;
        ASSERT_LE(auto_us, Evaluate(problem, *Place(strategy, problem)).StepUs())
            << "seed " << seed << ", " << strategy;
      }
    }
  }
}

TEST(AutoTest, ReachesTheBoundOnAMixOfLengths) {
  Problem problem = CausalProblem(
      {52311, 20000, 9000, 4096, 4096, 3000, 2500, 1200, 900, 700, 600, 500, 400, 333, 222, 111},
      8);
  EXPECT_LE(Evaluate(problem, PlaceAuto(problem)).StepUs(), LowerBoundUs(problem) * 1.008);
}

TEST(AutoTest, UsesSlack) {
  std::vector<int64_t> lengths = {9000, 8000, 7000, 6000, 5000, 4000, 3000, 2000};
  Problem problem = CausalProblem(lengths, 4);
  problem.slack_percent = 10;
  Placement placement = PlaceAuto(problem, 5);
  ASSERT_TRUE(placement.Verify(problem).ok());
  PlacementCost cost = Evaluate(problem, placement);
  EXPECT_GT(cost.TokenImbalance(), 1.001);
  EXPECT_LE(cost.TokenImbalance(), 1.1 + 1e-3);
}

TEST(AutoTest, AWindowNeedsOnlyAHalo) {
  Problem problem = CausalProblem({100 * 1024}, 8);
  problem.documents[0].mask = Mask::Window(1024);
  PlacementCost cost = Evaluate(problem, PlaceAuto(problem));
  for (const RankCost& rank : cost.ranks) {
    EXPECT_LE(rank.receive_bytes_forward, 4 * 1024 * problem.KeyValueBytesPerToken());
  }
  EXPECT_LE(cost.StepUs(), LowerBoundUs(problem) * 1.03);
}

TEST(AutoTest, SolvesExtremeInputs) {
  const std::vector<Problem> problems = {
      CausalProblem({1}, 8),
      CausalProblem(std::vector<int64_t>(100'000, 1), 8),
      CausalProblem({kMaxTokens}, 8),
      CausalProblem({kMaxTokens - 3, 1, 1, 1}, 1024),
      CausalProblem(std::vector<int64_t>(3000, 700), 1024),
      CausalProblem({5, 4, 3}, 1024),
      CausalProblem({0, 0}, 3),
      CausalProblem({}, kMaxRanks),
  };
  for (size_t i = 0; i < problems.size(); ++i) {
    absl::StatusOr<Placement> placement = Place("auto", problems[i], kShortMs);
    EXPECT_TRUE(placement.ok()) << "problem " << i << ": " << placement.status();
  }
}

}  // namespace
}  // namespace flashcp::solver
