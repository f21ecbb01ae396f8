// The strategies of other systems, as the benchmarks place them.

#include "benchmarks/peer_strategies.h"

#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp::benchmarks {
namespace {

using solver::Placement;
using solver::Problem;
using solver::Segment;

Problem CausalProblem(const std::vector<int64_t>& lengths, int ranks) {
  Problem problem;
  for (int64_t length : lengths) problem.documents.push_back({length, {}});
  problem.ranks = ranks;
  return problem;
}

// "0-3:1 3-5:0 | 0-4:1": begin, end and rank of each segment, documents apart.
std::string Text(const Placement& placement) {
  std::string text;
  for (const std::vector<Segment>& segments : placement.documents) {
    if (&segments != &placement.documents.front()) text += "| ";
    for (const Segment& s : segments) {
      text += std::to_string(s.begin) + "-" + std::to_string(s.end) + ":" + std::to_string(s.rank);
      text += " ";
    }
  }
  if (!text.empty()) text.pop_back();
  return text;
}

// Areas of the chunks: 10, 26, 42 and 10. Falling order: chunk 2 to rank 0, chunk 1 to rank 1,
// chunk 0 to rank 1 (26 < 42), which is full then; chunk 3 to rank 0.
TEST(MagiMinHeapTest, FillsTheLeastLoadedRank) {
  EXPECT_EQ(Text(PlaceMagiMinHeap(CausalProblem({12, 4}, 2), 4)), "0-8:1 8-12:0 | 0-4:0");
}

// Chunk 1 holds the end of one document and the start of the next: areas 10, 5 + 1 + 2 + 3 and
// 4 + 5 + 6 + 7, so 22, 11, 10.
TEST(MagiMinHeapTest, ChunksSpanDocuments) {
  EXPECT_EQ(Text(PlaceMagiMinHeap(CausalProblem({5, 7}, 3), 4)), "0-4:2 4-5:1 | 0-3:1 3-7:0");
}

// Areas 10, 26, 4 and 4. With chunks 0 and 2 rank 1 is full, though chunk 3 would leave it with
// less than rank 0.
TEST(MagiMinHeapTest, RanksHoldEqualChunkCounts) {
  Placement placement = PlaceMagiMinHeap(CausalProblem({8, 1, 1, 1, 1, 1, 1, 1, 1}, 2), 4);
  EXPECT_EQ(Text(placement),
            "0-4:1 4-8:0 | 0-1:1 | 0-1:1 | 0-1:1 | 0-1:1 | 0-1:0 | 0-1:0 | 0-1:0 | 0-1:0");
}

// Key blocks: 1, 2, 3, 4 for the document; snake order 3, 2 | 1, 0 reads back as ranks 0 1 1 0.
TEST(PtrrTest, DealsInSnakeOrder) {
  EXPECT_EQ(Text(PlacePtrr(CausalProblem({16}, 2), 4)), "0-4:0 4-12:1 12-16:0");
}

// Document 0 ends in block 1, where document 1 begins. Block 1 sees key blocks 0 and 1, block 2
// sees 1 and 2 (document 1), block 0 sees 0: equal work keeps the order of the pack.
TEST(PtrrTest, CountsASharedKeyBlockOnce) {
  EXPECT_EQ(Text(PlacePtrr(CausalProblem({6, 6}, 3), 4)), "0-4:2 4-6:0 | 0-2:0 2-6:1");
}

TEST(PtrrTest, FollowsTheMask) {
  Problem problem = CausalProblem({16}, 2);
  problem.documents[0].mask = model::Mask::Window(1);  // one key block each: pack order
  EXPECT_EQ(Text(PlacePtrr(problem, 4)), "0-4:0 4-12:1 12-16:0");
  problem.documents[0].mask = model::Mask::Window(2);  // 1, 2, 2, 2: block 0 comes last
  EXPECT_EQ(Text(PlacePtrr(problem, 4)), "0-8:0 8-16:1");
}

// Owners of all tokens, each document's from 0 to its length without a gap, neighbours merged.
TEST(PeersTest, PlacementsPartitionEveryDocument) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 500; ++i) {
    std::vector<int64_t> lengths(1 + random() % 20);
    for (int64_t& length : lengths) length = random() % 50;
    int ranks = 1 + random() % 9;
    int64_t chunk = 1 + random() % 30;
    Problem problem = CausalProblem(lengths, ranks);
    problem.slack_percent = 1e6;  // any number of tokens: the rest of Verify() holds
    for (const Placement& placement :
         {PlaceMagiMinHeap(problem, chunk), PlacePtrr(problem, chunk)}) {
      EXPECT_TRUE(placement.Verify(problem).ok()) << placement.Verify(problem) << " at " << i;
    }
  }
}

// Where chunks divide evenly, so do tokens.
TEST(PeersTest, TokensAreEqualWhereChunksDivide) {
  Problem problem = CausalProblem({3000, 5192, 1, 8191}, 8);
  problem.slack_percent = 0;
  EXPECT_TRUE(PlaceMagiMinHeap(problem, 512).Verify(problem).ok());
  EXPECT_TRUE(PlacePtrr(problem, 128).Verify(problem).ok());
}

TEST(PeersTest, NoTokens) {
  EXPECT_EQ(Text(PlaceMagiMinHeap(CausalProblem({}, 4), 512)), "");
  EXPECT_EQ(PlacePtrr(CausalProblem({0, 0}, 4), 128).documents.size(), 2);
}

}  // namespace
}  // namespace flashcp::benchmarks
