// Holds the parts of the search to the cost model and to Verify().

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "compiler/solver/assignment.h"
#include "compiler/solver/bisection.h"
#include "compiler/solver/cost_model.h"
#include "compiler/solver/cutting.h"
#include "compiler/solver/incremental_cost.h"
#include "compiler/solver/local_search.h"
#include "compiler/solver/node_spread.h"
#include "compiler/solver/objective.h"
#include "compiler/solver/piece.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/random.h"
#include "compiler/solver/resplit.h"
#include "compiler/solver/save_rows.h"
#include "compiler/solver/search_state.h"
#include "compiler/solver/segments.h"
#include "compiler/solver/split.h"
#include "compiler/solver/work_curve.h"
#include "gtest/gtest.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

// The incremental leaves out the transfers of all-gather, which no move changes at slack 0.
Problem NeededProblem(uint64_t seed, int64_t max_tokens) {
  Problem problem = RandomProblem(seed, max_tokens);
  problem.exchange = Exchange::kNeeded;
  return problem;
}

TEST(IncrementalCostTest, FollowsTheCostModelThroughChanges) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Problem problem = NeededProblem(seed, 400);
    std::mt19937_64 random(seed);
    Placement now = RandomPlacement(problem, random);
    const Placement other = RandomPlacement(problem, random);
    IncrementalCost incremental(problem);
    for (size_t d = 0; d < now.documents.size(); ++d) {
      incremental.Replace(problem.documents[d], {}, now.documents[d]);
    }
    for (size_t change = 0; change < 2 * now.documents.size(); ++change) {
      size_t d = random() % now.documents.size();
      incremental.Replace(problem.documents[d], now.documents[d], other.documents[d]);
      now.documents[d] = other.documents[d];
    }
    PlacementCost cost = Evaluate(problem, now);
    ASSERT_NEAR(incremental.StepUs(), cost.StepUs(), 1e-3 + 1e-6 * cost.StepUs())
        << "seed " << seed;
    ASSERT_NEAR(incremental.ObjectiveUs(), Objective(problem).StepUs(cost),
                1e-3 + 1e-6 * cost.StepUs())
        << "seed " << seed;
    for (int rank = 0; rank < problem.ranks; ++rank) {
      ASSERT_EQ(incremental.tokens(rank), cost.ranks[rank].tokens) << "seed " << seed;
    }
  }
}

// Where two ranks change, only their messages are counted.
TEST(IncrementalCostTest, FollowsTheCostModelThroughTradesOfTwoRanks) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Problem problem = NeededProblem(seed, 400);
    std::mt19937_64 random(seed);
    Placement now = RandomPlacement(problem, random);
    IncrementalCost incremental(problem);
    for (size_t d = 0; d < now.documents.size(); ++d) {
      incremental.Replace(problem.documents[d], {}, now.documents[d]);
    }
    for (size_t trade = 0; trade < 4 * now.documents.size(); ++trade) {
      const int a = random() % problem.ranks;
      const int b = random() % problem.ranks;
      size_t d = random() % now.documents.size();
      std::vector<Segment> after = now.documents[d];
      for (Segment& segment : after) {
        if (segment.rank == a || segment.rank == b) segment.rank = random() % 2 == 0 ? a : b;
      }
      JoinSegments(after);
      incremental.Replace(problem.documents[d], now.documents[d], after);
      now.documents[d] = std::move(after);
    }
    PlacementCost cost = Evaluate(problem, now);
    ASSERT_NEAR(incremental.StepUs(), cost.StepUs(), 1e-3 + 1e-6 * cost.StepUs())
        << "seed " << seed;
    ASSERT_NEAR(incremental.ObjectiveUs(), Objective(problem).StepUs(cost),
                1e-3 + 1e-6 * cost.StepUs())
        << "seed " << seed;
  }
}

TEST(IncrementalCostTest, RollsBackExactly) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Problem problem = NeededProblem(seed, 400);
    std::mt19937_64 random(seed);
    const Placement now = RandomPlacement(problem, random);
    const Placement other = RandomPlacement(problem, random);
    IncrementalCost incremental(problem);
    std::vector<int> ranks;
    for (int rank = 0; rank < problem.ranks; ++rank) ranks.push_back(rank);
    auto replace = [&](const Placement& before, const Placement& after) {
      for (size_t d = 0; d < now.documents.size(); ++d) {
        incremental.Replace(problem.documents[d], before.documents[d], after.documents[d]);
      }
    };
    replace(Placement{std::vector<std::vector<Segment>>(now.documents.size())}, now);
    std::vector<double> before_us;
    for (int rank : ranks) before_us.push_back(incremental.RankUs(rank));
    incremental.Mark(ranks);
    replace(now, other);
    incremental.Rollback();
    for (int rank : ranks) ASSERT_EQ(incremental.RankUs(rank), before_us[rank]) << "seed " << seed;
    // Messages too: the same change for good counts them right.
    replace(now, other);
    const double step_us = Evaluate(problem, other).StepUs();
    ASSERT_NEAR(incremental.StepUs(), step_us, 1e-3 + 1e-6 * step_us) << "seed " << seed;
  }
}

TEST(BisectTest, SolvesRandomProblems) {
  for (uint64_t seed = 0; seed < 8000; ++seed) {
    Problem problem = RandomProblem(seed, seed % 2 == 0 ? 200 : 5000);
    if (seed % 8 == 1) {  // enough nodes for heavy documents to be spread
      problem.cluster.ranks_per_node = 1 + seed / 8 % 8;
      problem.ranks = 9 * problem.cluster.ranks_per_node + seed / 64 % 50;
    }
    BisectionStart start;
    start.transfer_weight = seed % 3;
    Budget budget(1);
    const PieceModel model(problem);
    const NodeSpread spread =
        seed % 3 == 0 ? SpreadNothing(problem) : SpreadOverNodes(model, budget);
    Placement placement = Bisect(model, start, spread, budget);
    absl::Status status = placement.Verify(problem);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status;
  }
}

// Two ranks share a heavy piece and one that is too large for either: both must be cut, however
// light the others are.
TEST(CutterTest, CutsAPieceThatFitsNowhereBesideTheHeaviest) {
  Problem problem;
  problem.ranks = 2;
  problem.cluster = model::ClusterPreset("h100x8").value();
  for (int64_t length : {2750, 2160, 128, 587, 45, 484210, 39386}) {
    problem.documents.push_back({length, {}});
  }
  const PieceModel model(problem);
  std::vector<Piece> pieces;
  SplitGoal goal;
  double work_us = 0;
  for (int d = 0; d < 7; ++d) {
    Piece piece;
    piece.document = d;
    piece.Append(d == 5   ? 447488
                 : d == 6 ? 16000
                          : 0,
                 d == 5 ? 451200 : problem.documents[d].length);
    model.Weigh(piece);
    work_us += piece.work_us;
    goal.tokens_left += piece.tokens;
    pieces.push_back(piece);
  }
  goal.tokens_left /= 2;
  goal.least_left = goal.most_left = goal.tokens_left;
  Assignments assignments(pieces, goal);
  Cutter cutter(model, assignments, goal);
  for (int light : assignments.Lightest(3)) {
    if (light == 5) continue;
    const int sides = assignments.AddGreedy(5, light, 1);
    if (sides >= 0) cutter.AddTwoCuts(sides, 5, light);
  }
  double slower_us = work_us;
  for (const Split& split : cutter.splits()) slower_us = std::min(slower_us, split.slower_us);
  EXPECT_LT(slower_us, 1.02 * work_us / 2);
}

// The rows of a long document's head go to every node behind it.
TEST(PieceModelTest, RowsSentFollowTheWorkBehind) {
  Problem problem;
  problem.ranks = 64;
  problem.cluster = model::ClusterPreset("h100x64").value();
  problem.documents = {{1 << 20, {}}, {1000, {}}, {1 << 16, Mask::Window(128)}};
  const PieceModel model(problem);
  auto rows_sent = [&](int document, int64_t begin, int64_t end) {
    Piece piece;
    piece.document = document;
    piece.Append(begin, end);
    return model.RowsSent(piece);
  };
  EXPECT_NEAR(rows_sent(0, 0, 1000) / 1000, 8, 0.1);  // nearly all work is in document 0
  EXPECT_NEAR(rows_sent(0, 1 << 19, (1 << 19) + 1000) / 1000, 6, 0.1);
  EXPECT_LT(rows_sent(0, (1 << 20) - 1000, 1 << 20), 10);
  EXPECT_EQ(rows_sent(1, 0, 1000), 0);
  EXPECT_EQ(rows_sent(2, 0, 1000), 0);
}

TEST(LocalSearchTest, NeverMakesAPlacementLonger) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Problem problem = NeededProblem(seed, 2000);
    std::mt19937_64 random(seed);
    Placement start = RandomPlacement(problem, random);
    LocalSearchOptions options;
    options.seed = seed;
    Budget budget(0.2);
    Placement placement = LocalSearch(PieceModel(problem), start, options, budget);
    absl::Status status = placement.Verify(problem);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status;
    double before_us = Objective(problem).StepUs(Evaluate(problem, start));
    ASSERT_LE(Objective(problem).StepUs(Evaluate(problem, placement)), before_us * (1 + 1e-6))
        << "seed " << seed;
  }
}

double RowsReceived(const Problem& problem, const Placement& placement) {
  double bytes = 0;
  for (const RankCost& rank : Evaluate(problem, placement).ranks) {
    bytes += rank.receive_bytes_forward;
  }
  return bytes / problem.KeyValueBytesPerToken();
}

// What a split says of two ranks is what all ranks receive less after it.
TEST(ResplitTest, SplitsTellTheRowsThatTwoRanksReceive) {
  int splits = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Problem problem = NeededProblem(seed, 400);
    if (problem.ranks < 2) continue;
    std::mt19937_64 random(seed);
    SearchState state(problem, RandomPlacement(problem, random));
    Random draws(seed);
    const PieceModel model(problem);
    const Resplit resplit(model, state, 0, 1, 0.3, 1e300, draws);
    const double before = state.cost().RowsReceived(0) + state.cost().RowsReceived(1);
    const double all_before = RowsReceived(problem, state.placement());
    for (const Split& split : resplit.splits()) {
      Placement after = state.placement();
      for (const DocumentChange& change : resplit.Changes(split)) {
        after.documents[change.document] = change.segments;
      }
      ASSERT_NEAR(RowsReceived(problem, after) - all_before, split.received - before, 1e-3)
          << "seed " << seed;
      ++splits;
    }
  }
  EXPECT_GT(splits, 1000);
}

TEST(SaveRowsTest, NeverMakesRowsMoreOrAPlacementLonger) {
  int fewer = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Problem problem = NeededProblem(seed, 2000);
    std::mt19937_64 random(seed);
    const Placement start = RandomPlacement(problem, random);
    const double rows = RowsReceived(problem, start);
    Budget budget(0.1);
    const double enough_rows = seed % 2 == 0 ? 0 : rows;
    const Placement placement = SaveRows(PieceModel(problem), start, enough_rows, 1 + 1e-9, budget);
    absl::Status status = placement.Verify(problem);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status;
    const double step_us = Evaluate(problem, start).StepUs();
    ASSERT_LE(Evaluate(problem, placement).StepUs(), step_us * (1 + 1e-6)) << "seed " << seed;
    ASSERT_LE(RowsReceived(problem, placement), rows * (1 + 1e-9)) << "seed " << seed;
    fewer += RowsReceived(problem, placement) < rows;
  }
  EXPECT_GT(fewer, 300);
}

// Four documents that four ranks share for nothing.
TEST(SaveRowsTest, FindsPlacementsWithoutTraffic) {
  Problem problem;
  problem.ranks = 4;
  problem.cluster = model::ClusterPreset("h100x8").value();
  Placement placement;
  for (int d = 0; d < 4; ++d) {
    problem.documents.push_back({1024, {}});
    placement.documents.push_back({{0, 512, d}, {512, 1024, (d + 1) % 4}});
  }
  ASSERT_EQ(RowsReceived(problem, placement), 4 * 512);
  Budget budget(10);
  placement = SaveRows(PieceModel(problem), placement, 0, 1 + 1e-9, budget);
  EXPECT_EQ(RowsReceived(problem, placement), 0);
  EXPECT_FALSE(budget.Empty());
}

// Token by token.
int64_t SlowRowsNeeded(const Document& document, const Piece& piece, const Piece& other) {
  int64_t rows = 0;
  for (int j = 0; j < other.count; ++j) {
    for (int64_t key = other.intervals[j].begin; key < other.intervals[j].end; ++key) {
      bool needed = false;
      for (int i = 0; i < piece.count; ++i) {
        TokenRange keys = KeysNeeded(document, piece.intervals[i].begin, piece.intervals[i].end);
        needed |= key >= keys.begin && key < keys.end;
      }
      rows += needed;
    }
  }
  return rows;
}

TEST(PieceModelTest, CutsPartitionAndRowsMatchARecount) {
  for (uint64_t seed = 0; seed < 5000; ++seed) {
    Problem problem = RandomProblem(seed, 300);
    std::mt19937_64 random(seed);
    PieceModel model(problem);
    Piece piece;
    piece.document = static_cast<int>(random() % std::max<size_t>(1, problem.documents.size()));
    if (problem.documents.empty()) continue;
    const Document& document = problem.documents[piece.document];
    for (int64_t begin = 0; begin < document.length && piece.count < 3;) {
      int64_t end = Draw(random, begin, document.length);
      piece.Append(begin, end);
      begin = end + Draw(random, 1, 20);
    }
    int64_t first = Draw(random, 0, piece.tokens);
    int64_t last = Draw(random, 0, piece.tokens - first);
    Piece outer;
    Piece middle;
    ASSERT_TRUE(model.Cut(piece, first, last, outer, middle)) << "seed " << seed;
    ASSERT_EQ(outer.tokens, first + last) << "seed " << seed;
    ASSERT_EQ(middle.tokens, piece.tokens - first - last) << "seed " << seed;
    ASSERT_EQ(model.RowsNeeded(outer, middle), SlowRowsNeeded(document, outer, middle))
        << "seed " << seed;
    ASSERT_EQ(model.RowsNeeded(middle, outer), SlowRowsNeeded(document, middle, outer))
        << "seed " << seed;
    Piece all;
    all.Append(0, document.length);
    ASSERT_EQ(outer.received,
              SlowRowsNeeded(document, outer, all) - SlowRowsNeeded(document, outer, outer))
        << "seed " << seed;
  }
}

// Blocks of one row and one key: the curve is off by a key for each row at most, and by two rows
// where what they see begins or ends to grow.
TEST(WorkCurveTest, RowsAreAboutTheSumOfTheirTimes) {
  constexpr double kRowUs = 3;
  constexpr double kKeyUs = 0.5;
  std::mt19937_64 random(1);
  for (int instance = 0; instance < 20000; ++instance) {
    Problem problem = SmallProblem();
    TileTable& tiles = problem.cluster.tiles;
    tiles.block_rows = tiles.block_columns = 1;
    tiles.columns = {1, 101};
    tiles.forward_us = {kRowUs + kKeyUs, kRowUs + 101 * kKeyUs};
    tiles.backward_us = tiles.forward_us;
    const Document document = {Draw(random, 1, 400), RandomMask(random, 450)};
    const int64_t begin = Draw(random, 0, document.length);
    const int64_t end = Draw(random, begin, document.length);
    const double us = WorkCurve(problem, 1, 0).Rows(document, begin, end);
    const double exact_us = TileTime(problem, document, begin, end).forward_us;
    const double scale = problem.heads.query * problem.heads.dim / 128.0;
    ASSERT_NEAR(us, exact_us, scale * (kKeyUs * (end - begin + 1) + 2 * (kRowUs + kKeyUs)))
        << instance << ": " << model::MaskText(document.mask) << " [" << begin << ", " << end
        << ") of " << document.length;
  }
}

TEST(WorkCurveTest, LeastBeginIsNeverTooLate) {
  // However rows [x, length) are cut, they cost at least what LeastBegin says.
  std::mt19937_64 random(1);
  for (int instance = 0; instance < 20000; ++instance) {
    Problem problem = SmallProblem();
    problem.cluster = RandomCluster(random);
    Document document;
    document.length = Draw(random, 1, 400);
    int64_t begin = Draw(random, 0, document.length - 1);
    double work_us = 0;
    for (int64_t cut = begin; cut < document.length;) {
      int64_t end = Draw(random, cut + 1, document.length);
      work_us += SegmentTime(problem, document, cut, end).forward_us;
      cut = end;
    }
    WorkCurve curve(problem, 1, 0);
    ASSERT_LE(curve.LeastBegin(document.length, work_us), begin + 1e-6) << instance;
  }
}

}  // namespace
}  // namespace flashcp::solver
