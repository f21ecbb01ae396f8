// Tests of the rules that cut stages.

#include "compiler/solver/row_stage.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp::solver {
namespace {

TEST(RowStageTest, TurnsAreTheDistancesThatCarryRows) {
  Rotation rotation(/*ranks=*/10, /*ranks_per_node=*/2);
  EXPECT_EQ(rotation.Turns(), 0);
  rotation.Add(/*receiver=*/0, /*owner=*/5);
  rotation.Add(/*receiver=*/9, /*owner=*/2);  // two nodes on too, around the end
  rotation.Add(/*receiver=*/3, /*owner=*/2);
  EXPECT_EQ(rotation.Turns(), 2);
}

TEST(RowStageTest, OwnersComeByDistanceOfTheirNodes) {
  const Rotation rotation(/*ranks=*/6, /*ranks_per_node=*/2);
  const std::vector<OwnerRows> owners =
      RotateOwners(rotation, /*receiver=*/2, {10, 20, 3, 0, 5, 6});
  ASSERT_EQ(owners.size(), 6);
  // Of the own node 3 rows, of the next one 11, then those of the first.
  for (int owner : {0, 1}) {
    EXPECT_EQ(owners[owner].before, 3 + 11);
    EXPECT_EQ(owners[owner].of_node, 30);
    EXPECT_EQ(owners[owner].all, 44);
  }
  EXPECT_EQ(owners[1].rows, 20);
  EXPECT_EQ(owners[2].before, 0);
  EXPECT_EQ(owners[2].of_node, 3);
  EXPECT_EQ(owners[5].before, 3);
}

TEST(RowStageTest, NodesReceiveFromDifferentNodesIfRowsAreEven) {
  constexpr int kNodes = 5;
  const Rotation rotation(kNodes, /*ranks_per_node=*/1);
  std::vector<std::set<int>> owners(kNodes - 1);  // by stage
  for (int receiver = 0; receiver < kNodes; ++receiver) {
    std::vector<int64_t> rows(kNodes, 1000);
    rows[receiver] = 0;
    const std::vector<OwnerRows> received = RotateOwners(rotation, receiver, rows);
    for (int owner = 0; owner < kNodes; ++owner) {
      if (owner == receiver) continue;
      const int stage = RowStage(received[owner], 0, kNodes - 1);
      EXPECT_EQ(RowStage(received[owner], 999, kNodes - 1), stage);
      EXPECT_TRUE(owners[stage].insert(owner).second) << receiver << " " << owner;
    }
  }
}

// Three nodes of eight send a lot, little and nothing: each stage brings as many rows all the same.
TEST(RowStageTest, StagesBringANodeEqualRows) {
  const Rotation rotation(/*ranks=*/8, /*ranks_per_node=*/1);
  const std::vector<int64_t> rows = {0, 12800, 0, 0, 1280, 0, 0, 5120};
  const std::vector<OwnerRows> received = RotateOwners(rotation, /*receiver=*/5, rows);
  constexpr int kStages = 6;
  std::vector<int64_t> of_stage(kStages);
  for (size_t owner = 0; owner < rows.size(); ++owner) {
    for (int64_t row = 0; row < rows[owner]; ++row) {
      ++of_stage[RowStage(received[owner], row, kStages)];
    }
  }
  for (int64_t of : of_stage) EXPECT_NEAR(of, 19200 / kStages, 128);
}

// Whatever the numbers, cuts and stages are two ways to say one thing, and short stages are exact.
TEST(RowStageTest, CutsAndStagesAgree) {
  for (const OwnerRows& owner : std::vector<OwnerRows>{{1, 0, 1, 1},
                                                       {1, 2, 4, 6},
                                                       {5, 0, 5, 5},
                                                       {5, 3, 12, 200},
                                                       {130, 130, 260, 1000},
                                                       {1000, 0, 1000, 1000},
                                                       {1000, 4000, 1500, 9000}}) {
    for (int stages : {1, 2, 3, 4, 7, 12, 100}) {
      for (int64_t row = 0; row < owner.rows; ++row) {
        const int stage = RowStage(owner, row, stages);
        ASSERT_LE(FirstRowOfStage(owner, stage, stages), row);
        if (stage + 1 < stages) {
          ASSERT_GT(FirstRowOfStage(owner, stage + 1, stages), row);
        }
        if (owner.all < 128 * stages) {
          const int64_t place = owner.before * owner.rows + row * owner.of_node;
          ASSERT_EQ(stage, place * stages / (owner.all * owner.rows));
        }
      }
      ASSERT_EQ(FirstRowOfStage(owner, 0, stages), 0);
      ASSERT_EQ(FirstRowOfStage(owner, stages, stages), owner.rows);
    }
  }
}

TEST(RowStageTest, LongStagesBeginAtWholeBlocks) {
  const OwnerRows owner = {/*rows=*/1000, /*before=*/0, /*of_node=*/1000, /*all=*/1000};
  EXPECT_EQ(FirstRowOfStage(owner, 1, 3), 256);  // not 334
  EXPECT_EQ(FirstRowOfStage(owner, 2, 3), 640);  // not 667
  EXPECT_EQ(FirstRowOfStage(owner, 1, 8), 125);  // stages shorter than a block
}

// Returns the shares of a run of parts with so many rows each; shares count from the first row.
std::vector<RelayShare> SharesOf(const std::vector<int64_t>& parts, int receivers, int owner) {
  const RelayRun run = {std::accumulate(parts.begin(), parts.end(), int64_t{0}), receivers, owner};
  std::vector<RelayShare> shares;
  int64_t first = 0;
  for (int64_t rows : parts) {
    ForEachRelayShare(run, first, rows, [&](const RelayShare& share) {
      shares.push_back({first + share.begin, first + share.end, share.receiver});
    });
    first += rows;
  }
  return shares;
}

TEST(RowStageTest, RelaySharesCoverTheRowsEvenly) {
  for (int receivers : {1, 2, 5, 8}) {
    for (const std::vector<int64_t>& parts : std::vector<std::vector<int64_t>>{
             {1}, {255}, {600}, {5000}, {1, 1, 1}, {3, 2000, 70, 900}, {511, 513}}) {
      const int64_t rows = std::accumulate(parts.begin(), parts.end(), int64_t{0});
      const int64_t count = std::clamp<int64_t>(rows / 256, 1, receivers);
      std::map<int, int64_t> of_relays;
      int64_t position = 0;
      for (const RelayShare& share : SharesOf(parts, receivers, /*owner=*/13)) {
        EXPECT_EQ(share.begin, position);
        EXPECT_GT(share.end, share.begin);
        EXPECT_LT(share.receiver, receivers);
        of_relays[share.receiver] += share.end - share.begin;
        position = share.end;
      }
      EXPECT_EQ(position, rows);
      EXPECT_LE(of_relays.size(), count);
      for (const auto& [relay, relayed] : of_relays) EXPECT_LE(relayed, rows / count + 64);
    }
  }
}

TEST(RowStageTest, OfEqualOwnersEachRelayTakesOne) {
  const std::vector<RelayShare> shares = SharesOf({300, 300, 300}, /*receivers=*/3, /*owner=*/24);
  ASSERT_EQ(shares.size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(shares[i].begin, 300 * i);
    EXPECT_EQ(shares[i].receiver, i);
  }
}

TEST(RowStageTest, SharesOfShortRunsBeginWithDifferentRelays) {
  ASSERT_EQ(SharesOf({100}, 8, /*owner=*/13).size(), 1);
  EXPECT_EQ(SharesOf({100}, 8, /*owner=*/13)[0].receiver, 5);
  EXPECT_EQ(SharesOf({100}, 8, /*owner=*/14)[0].receiver, 6);
}

}  // namespace
}  // namespace flashcp::solver
