// Stages against a count of every row and query, on small random placements.

#include "compiler/solver/stage_loads.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/compiler/solver/random_problem.h"

namespace flashcp::solver {
namespace {

// One row that ranks of a node receive.
struct Row {
  int document;
  int64_t position;
  std::vector<int> receivers;
};

// Counts row by row and query by query.
class Count {
 public:
  Count(const Problem& problem, const Placement& placement)
      : problem_(problem),
        placement_(placement),
        rotation_(problem.ranks, problem.cluster.ranks_per_node) {
    for (size_t d = 0; d < placement.documents.size(); ++d) {
      for (int64_t row = 0; row < problem.documents[d].length; ++row) AddRow(d, row);
    }
    for (const auto& [place, rows] : rows_) owner_rows_[place] = CountOwnerRows(place);
  }

  bool Sees(int d, int64_t query, int64_t key) const {
    return model::CountPairs(problem_.documents[d].mask.band(), {query, query + 1},
                             {key, key + 1}) > 0;
  }
  int Owner(int d, int64_t position) const {
    for (const Segment& segment : placement_.documents[d]) {
      if (position < segment.end) return segment.rank;
    }
    return -1;
  }

  std::vector<RankStage> Cut(int stages) const {
    std::map<RunKey, RelayRun> runs;
    for (const auto& [place, rows] : rows_) {
      if (rotation_.Node(place.second) == place.first) continue;  // nothing to relay
      for (size_t i = 0; i < rows.size(); ++i) {
        const RunKey key = RunOf(place, i, stages);
        const int receivers = rows[i].receivers.size();
        ++runs.try_emplace(key, RelayRun{0, receivers, place.second}).first->second.rows;
      }
    }
    std::vector<RankStage> cut(problem_.ranks * stages);
    std::map<RunKey, int64_t> relayed;
    for (const auto& [place, rows] : rows_) CutRows(place, rows, stages, runs, &relayed, &cut);
    return cut;
  }

  // Returns the stage in which a rank receives a row.
  int StageOf(int rank, int owner, int d, int64_t position, int stages) const {
    const std::vector<Row>& rows = rows_.at({rotation_.Node(rank), owner});
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].document == d && rows[i].position == position) {
        return RowStage(OwnerRowsOf(rank, owner), i, stages);
      }
    }
    return -1;
  }

  int64_t SentRows(int rank) const {
    std::set<std::pair<int, int64_t>> sent;
    for (const auto& [place, rows] : rows_) {
      for (const Row& row : rows) {
        if (place.second == rank) sent.insert({row.document, row.position});
      }
    }
    return sent.size();
  }

 private:
  using Place = std::pair<int, int>;  // receiving node and owner
  // What is shared among relays: of one node, stage and list of receivers.
  using RunKey = std::tuple<int, int, std::vector<int>>;

  RunKey RunOf(const Place& place, size_t row, int stages) const {
    const int rank = place.first * problem_.cluster.ranks_per_node;
    return {place.first, RowStage(OwnerRowsOf(rank, place.second), row, stages),
            rows_.at(place)[row].receivers};
  }

  void AddRow(int d, int64_t position) {
    const int owner = Owner(d, position);
    std::map<int, std::vector<int>> receivers;  // by node
    for (int rank = 0; rank < problem_.ranks; ++rank) {
      if (rank == owner || !Receives(rank, d, position)) continue;
      receivers[rotation_.Node(rank)].push_back(rank);
      rotation_.Add(rank, owner);
    }
    for (const auto& [node, ranks] : receivers) {
      rows_[{node, owner}].push_back({d, position, ranks});
    }
  }

  bool Receives(int rank, int d, int64_t position) const {
    if (problem_.exchange == Exchange::kAllGather) return true;
    for (const Segment& segment : placement_.documents[d]) {
      if (segment.rank != rank) continue;
      for (int64_t query = segment.begin; query < segment.end; ++query) {
        if (Sees(d, query, position)) return true;
      }
    }
    return false;
  }

  OwnerRows OwnerRowsOf(int rank, int owner) const {
    return owner_rows_.at({rotation_.Node(rank), owner});
  }

  OwnerRows CountOwnerRows(const Place& place) const {
    const int receiver = place.first * problem_.cluster.ranks_per_node;
    const int distance = rotation_.Distance(receiver, place.second);
    OwnerRows counted = {static_cast<int64_t>(rows_.at(place).size())};
    for (const auto& [other, rows] : rows_) {
      if (other.first != place.first) continue;
      const int other_distance = rotation_.Distance(receiver, other.second);
      counted.all += rows.size();
      if (other_distance == distance) counted.of_node += rows.size();
      if (other_distance < distance) counted.before += rows.size();
    }
    return counted;
  }

  void CutRows(const Place& place, const std::vector<Row>& rows, int stages,
               const std::map<RunKey, RelayRun>& runs, std::map<RunKey, int64_t>* relayed,
               std::vector<RankStage>* cut) const {
    const auto& [node, owner] = place;
    const bool inside = rotation_.Node(owner) == node;
    for (size_t i = 0; i < rows.size();) {
      const RunKey key = RunOf(place, i, stages);
      const int stage = std::get<1>(key);
      size_t end = i + 1;  // of the stretch
      while (end < rows.size() && rows[end].document == rows[i].document &&
             rows[end].position == rows[i].position + static_cast<int64_t>(end - i) &&
             RunOf(place, end, stages) == key) {
        ++end;
      }
      const std::vector<int>& receivers = rows[i].receivers;
      const int64_t count = end - i;
      RankStage& from = (*cut)[owner * stages + stage];
      if (inside) {
        for (int rank : receivers) (*cut)[rank * stages + stage].in_node.rows_in += count;
        from.in_node.rows_out += count * receivers.size();
      } else {
        from.between_nodes.rows_out += count;
        int64_t& before = (*relayed)[key];
        ForEachRelayShare(runs.at(key), before, count, [&](const RelayShare& share) {
          for (size_t r = 0; r < receivers.size(); ++r) {
            RankStage& to = (*cut)[receivers[r] * stages + stage];
            const bool relay = static_cast<int>(r) == share.receiver;
            (relay ? to.between_nodes : to.relayed).rows_in += share.end - share.begin;
            if (relay) to.relayed.rows_out += (receivers.size() - 1) * (share.end - share.begin);
          }
        });
        before += count;
      }
      i = end;
    }
  }

  const Problem& problem_;
  const Placement& placement_;
  Rotation rotation_;
  std::map<Place, std::vector<Row>> rows_;
  std::map<Place, OwnerRows> owner_rows_;
};

void ExpectEqualRows(const Flow& flow, const Flow& counted) {
  EXPECT_EQ(flow.rows_in, counted.rows_in);
  EXPECT_EQ(flow.rows_out, counted.rows_out);
}

constexpr int kSeeds = 60;
constexpr int64_t kTokens = 150;
constexpr int64_t kManyTokens = 3000;

TEST(StageLoadsTest, RowsAreThoseOfACount) {
  int relayed = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    // Several relays share a run if it is long.
    const Problem problem = RandomProblem(seed, seed % 20 == 0 ? kManyTokens : kTokens);
    std::mt19937_64 random(seed);
    const Placement placement = RandomPlacement(problem, random);
    const Count count(problem, placement);
    const StageLoads loads(problem, placement);
    relayed += loads.relays();
    for (int rank = 0; rank < problem.ranks; ++rank) {
      EXPECT_EQ(loads.ranks()[rank].sent_rows, count.SentRows(rank));
    }
    for (int stages : {1, 2, 3, 7}) {
      const std::vector<RankStage> cut = loads.CutRows(stages);
      const std::vector<RankStage> counted = count.Cut(stages);
      for (int rank = 0; rank < problem.ranks; ++rank) {
        int64_t rows_in = 0;
        for (int k = 0; k < stages; ++k) {
          const RankStage& stage = cut[rank * stages + k];
          ExpectEqualRows(stage.in_node, counted[rank * stages + k].in_node);
          ExpectEqualRows(stage.between_nodes, counted[rank * stages + k].between_nodes);
          ExpectEqualRows(stage.relayed, counted[rank * stages + k].relayed);
          rows_in += stage.RowsIn();
        }
        EXPECT_EQ(rows_in, loads.ranks()[rank].rows_in);
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(relayed, 0);
}

// A prologue that is only a prologue: what stages add to compute is then a count of blocks.
TEST(StageLoadsTest, StagesAddAPrologueAndAMergeForEachBlockTheyTouch) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    Problem problem = RandomProblem(seed, kTokens);
    problem.exchange = Exchange::kNeeded;
    std::mt19937_64 random(seed);
    const Placement placement = RandomPlacement(problem, random);
    TileTable& tiles = problem.cluster.tiles;
    const int block = tiles.block_columns;
    tiles.columns = {block, 2 * block};
    tiles.forward_us = {3, 4};     // a prologue of 2
    tiles.backward_us = {10, 15};  // of 5
    tiles.merge_us = 0.5;
    const double scale = problem.heads.query * problem.heads.dim / 128.0;
    const Count count(problem, placement);
    const StageLoads loads(problem, placement);
    for (int stages : {1, 3}) {
      std::vector<double> blocks(problem.ranks);
      std::vector<ComputeTime> tiles_us(problem.ranks);
      for (size_t d = 0; d < placement.documents.size(); ++d) {
        for (const Segment& segment : placement.documents[d]) {
          const ComputeTime tile =
              TileTime(problem, problem.documents[d], segment.begin, segment.end);
          tiles_us[segment.rank].forward_us += tile.forward_us;
          tiles_us[segment.rank].backward_us += tile.backward_us;
          std::vector<std::set<int64_t>> touched(stages);
          const TokenRange keys = KeysNeeded(problem.documents[d], segment.begin, segment.end);
          for (int64_t key = keys.begin; key < keys.end; ++key) {
            const int owner = count.Owner(d, key);
            if (owner == segment.rank) continue;
            const int stage = count.StageOf(segment.rank, owner, d, key, stages);
            for (int64_t query = segment.begin; query < segment.end; ++query) {
              if (count.Sees(d, query, key)) touched[stage].insert(query);
            }
          }
          for (const std::set<int64_t>& queries : touched) {
            blocks[segment.rank] += (queries.size() + tiles.block_rows - 1) / tiles.block_rows;
          }
        }
      }
      std::vector<RankStage> cut = loads.CutRows(stages);
      loads.AddCompute(stages, &cut);
      for (int rank = 0; rank < problem.ranks; ++rank) {
        ComputeTime time = loads.ranks()[rank].local;
        for (int k = 0; k < stages; ++k) {
          time.forward_us += cut[rank * stages + k].compute.forward_us;
          time.backward_us += cut[rank * stages + k].compute.backward_us;
        }
        EXPECT_NEAR(time.forward_us - tiles_us[rank].forward_us, blocks[rank] * scale * 2.5,
                    1e-6 * time.forward_us + 1e-9);
        EXPECT_NEAR(time.backward_us - tiles_us[rank].backward_us, blocks[rank] * scale * 5,
                    1e-6 * time.backward_us + 1e-9);
      }
      if (HasFailure()) return;
    }
  }
}

TEST(StageLoadsTest, NothingTravelsIfDocumentsAreWhole) {
  Problem problem = SmallProblem();
  problem.ranks = 2;
  problem.slack_percent = 100;
  const StageLoads loads(problem, {{{{0, 1000, 0}}, {{0, 300, 1}}}});
  EXPECT_EQ(loads.turns(), 0);
  EXPECT_EQ(loads.ranks()[0].shared_rows, 0);
}

// Rows of a rank that sees keys of others, or its own in two pieces, meet more than one tile.
TEST(StageLoadsTest, SharedRowsAreThoseOfSeveralTiles) {
  Problem problem = SmallProblem();
  problem.ranks = 2;
  problem.slack_percent = 100;
  const StageLoads loads(problem, {{{{0, 200, 0}, {200, 700, 1}, {700, 1000, 0}}, {{0, 300, 1}}}});
  EXPECT_EQ(loads.ranks()[0].shared_rows, 300);
  EXPECT_EQ(loads.ranks()[1].shared_rows, 500);
}

}  // namespace
}  // namespace flashcp::solver
