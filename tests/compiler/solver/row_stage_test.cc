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
  rotation.Add(/*receiver=*/9, /*owner=*/2);
  rotation.Add(/*receiver=*/3, /*owner=*/2);
  EXPECT_EQ(rotation.Turns(), 2);
  EXPECT_EQ(rotation.TurnOf(/*receiver=*/4, /*owner=*/5), 0);
  EXPECT_EQ(rotation.TurnOf(/*receiver=*/8, /*owner=*/3), 1);  // two nodes on, around the end
}

TEST(RowStageTest, NodesReceiveFromDifferentNodesIfStagesAreTurns) {
  constexpr int kNodes = 5;
  Rotation rotation(kNodes, /*ranks_per_node=*/1);
  for (int receiver = 0; receiver < kNodes; ++receiver) {
    for (int owner = 0; owner < kNodes; ++owner) {
      if (owner != receiver) rotation.Add(receiver, owner);
    }
  }
  ASSERT_EQ(rotation.Turns(), kNodes - 1);
  for (int stage = 0; stage < kNodes - 1; ++stage) {
    std::set<int> owners;
    for (int receiver = 0; receiver < kNodes; ++receiver) {
      for (int owner = 0; owner < kNodes; ++owner) {
        if (owner == receiver) continue;
        const OwnerRows rows = {rotation.TurnOf(receiver, owner), rotation.Turns(), 1000};
        if (RowStage(rows, 0, kNodes - 1) == stage) owners.insert(owner);
        EXPECT_EQ(RowStage(rows, 0, kNodes - 1), RowStage(rows, 999, kNodes - 1));
      }
    }
    EXPECT_EQ(owners.size(), kNodes);
  }
}

// Whatever the numbers, cuts and stages are two ways to say one thing, and short stages are exact.
TEST(RowStageTest, CutsAndStagesAgree) {
  for (int turns : {1, 2, 3, 7}) {
    for (int turn = 0; turn < turns; ++turn) {
      for (int stages : {1, 2, 3, 4, 7, 12, 100}) {
        for (int64_t rows : {1, 5, 130, 1000}) {
          const OwnerRows owner = {turn, turns, rows};
          for (int64_t row = 0; row < rows; ++row) {
            const int stage = RowStage(owner, row, stages);
            ASSERT_LE(FirstRowOfStage(owner, stage, stages), row);
            if (stage + 1 < stages) {
              ASSERT_GT(FirstRowOfStage(owner, stage + 1, stages), row);
            }
            if (turns * rows < 128 * stages) {
              ASSERT_EQ(stage, (turn * rows + row) * stages / (turns * rows));
            }
          }
          ASSERT_EQ(FirstRowOfStage(owner, 0, stages), 0);
          ASSERT_EQ(FirstRowOfStage(owner, stages, stages), rows);
        }
      }
    }
  }
}

TEST(RowStageTest, LongStagesBeginAtWholeBlocks) {
  const OwnerRows owner = {/*turn=*/0, /*turns=*/1, /*rows=*/1000};
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
