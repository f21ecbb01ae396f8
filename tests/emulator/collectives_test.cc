// Instructions of a warp: shuffles against a table by hand, votes, reductions, masks, and
// divergence.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/emulator/evaluate.h"

namespace flashcp::emulator {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

std::vector<uint64_t> Lanes(int count = 32) {
  std::vector<uint64_t> lanes(count);
  for (int i = 0; i < count; ++i) lanes[i] = i;
  return lanes;
}

std::vector<uint64_t> RunLanes(const std::string& code, int lanes = 32) {
  const auto results = Evaluate(code, {Lanes(lanes)});
  EXPECT_TRUE(results.ok()) << code << results.status();
  return results.ok() ? *results : std::vector<uint64_t>(lanes);
}

std::string ErrorOf(const std::string& code) {
  return std::string(Evaluate(code, {Lanes()}).status().message());
}

TEST(ShuffleTest, Butterfly) {
  const auto results = RunLanes("shfl.sync.bfly.b32 %d, %a, 5, 31, -1;");
  for (int i = 0; i < 32; ++i) EXPECT_EQ(results[i], i ^ 5);
}

// The predicate says whether the source lane is in range; if not, the lane keeps its own value.
TEST(ShuffleTest, DownStopsAtTheClamp) {
  const auto results = RunLanes(
      "shfl.sync.down.b32 %x|%p, %a, 3, 31, -1; selp.u32 %y, 100, 0, %p; add.u32 %d, %x, %y;");
  for (int i = 0; i < 29; ++i) EXPECT_EQ(results[i], i + 3 + 100);
  for (int i = 29; i < 32; ++i) EXPECT_EQ(results[i], i);
}

TEST(ShuffleTest, UpStopsAtLaneZero) {
  const auto results = RunLanes("shfl.sync.up.b32 %d, %a, 3, 0, -1;");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(results[i], i);
  for (int i = 3; i < 32; ++i) EXPECT_EQ(results[i], i - 3);
}

// Width 8, as CUDA's __shfl_sync: segment mask 24 above a clamp of 31 & 7.
TEST(ShuffleTest, IndexWithinSegments) {
  const auto results = RunLanes("shfl.sync.idx.b32 %d, %a, 2, 6151, -1;");
  for (int i = 0; i < 32; ++i) EXPECT_EQ(results[i], i / 8 * 8 + 2);
  const auto down = RunLanes("shfl.sync.down.b32 %d, %a, 6, 6175, -1;");
  for (int i = 0; i < 32; ++i) EXPECT_EQ(down[i], i % 8 + 6 < 8 ? i + 6 : i);
}

TEST(ShuffleTest, MasksOfSubsetsMeetApart) {
  const auto results = RunLanes(
      "setp.lt.u32 %p, %a, 16; @%p shfl.sync.bfly.b32 %d, %a, 1, 31, 0xffff; "
      "@!%p shfl.sync.bfly.b32 %d, %a, 2, 31, 0xffff0000;");
  for (int i = 0; i < 32; ++i) EXPECT_EQ(results[i], i < 16 ? i ^ 1 : i ^ 2);
}

TEST(ShuffleTest, PartialWarpsMeetWithTheLanesThatExist) {
  const auto results = RunLanes("shfl.sync.bfly.b32 %d, %a, 1, 31, -1;", 8);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(results[i], i ^ 1);
}

TEST(ShuffleTest, ReadingALaneOutsideTheMaskIsAnError) {
  EXPECT_THAT(ErrorOf("setp.lt.u32 %p, %a, 16; @%p shfl.sync.bfly.b32 %d, %a, 16, 31, 0xffff;"),
              HasSubstr("reads a lane that is not in the mask"));
}

TEST(ShuffleTest, OneInstructionForAllLanesOfTheMask) {
  // The same shuffle twice in the text, in the two ways of a branch.
  EXPECT_THAT(ErrorOf("setp.lt.u32 %p, %a, 16; @%p bra A; shfl.sync.bfly.b32 %d, %a, 1, 31, -1; "
                      "bra B; A: shfl.sync.bfly.b32 %d, %a, 1, 31, -1; B:"),
              HasSubstr("lanes 16-31 do not come"));
}

TEST(VoteTest, Modes) {
  const std::string predicate = "setp.lt.u32 %p, %a, 4; ";
  EXPECT_THAT(RunLanes(predicate + "vote.sync.ballot.b32 %d, %p, -1;"), Each(15));
  EXPECT_THAT(RunLanes(predicate + "vote.sync.ballot.b32 %d, !%p, -1;"), Each(0xfffffff0));
  const std::string select = " selp.u32 %d, 1, 0, %q;";
  EXPECT_THAT(RunLanes(predicate + "vote.sync.any.pred %q, %p, -1;" + select), Each(1));
  EXPECT_THAT(RunLanes(predicate + "vote.sync.all.pred %q, %p, -1;" + select), Each(0));
  EXPECT_THAT(RunLanes(predicate + "vote.sync.uni.pred %q, %p, -1;" + select), Each(0));
  EXPECT_THAT(RunLanes("setp.gt.u32 %p, %a, 99; vote.sync.uni.pred %q, %p, -1;" + select), Each(1));
}

TEST(ReductionTest, Modes) {
  EXPECT_THAT(RunLanes("redux.sync.add.u32 %d, %a, -1;"), Each(496));
  EXPECT_THAT(RunLanes("sub.s32 %x, %a, 3; redux.sync.min.s32 %d, %x, -1;"), Each(0xfffffffd));
  EXPECT_THAT(RunLanes("sub.s32 %x, %a, 3; redux.sync.max.u32 %d, %x, -1;"), Each(0xffffffff));
  EXPECT_THAT(RunLanes("redux.sync.or.b32 %d, %a, -1;"), Each(31));
}

TEST(ElectTest, TheLowestLane) {
  const auto results = RunLanes(
      "setp.ge.u32 %p, %a, 5; @!%p bra END; elect.sync %x|%q, 0xffffffe0; selp.u32 %y, 100, 0, %q; "
      "add.u32 %d, %x, %y; END:");
  EXPECT_EQ(results[5], 105);
  EXPECT_EQ(results[6], 5);
}

TEST(WarpBarrierTest, OrdersLanes) {
  const auto results = RunLanes(
      "mov.u32 %x, tile; shl.b32 %y, %a, 2; add.u32 %y, %x, %y; st.shared.b32 [%y], %a; "
      "bar.warp.sync -1; sub.u32 %y, 31, %a; shl.b32 %y, %y, 2; add.u32 %y, %x, %y; "
      "ld.shared.b32 %d, [%y];");
  for (int i = 0; i < 32; ++i) EXPECT_EQ(results[i], 31 - i);
}

TEST(NamedBarrierTest, ArriveDoesNotWait) {
  // Warp 0 stores and arrives; warp 1 waits and loads, whichever runs first.
  const std::string code =
      "mov.u32 %x, tile; setp.lt.u32 %p, %a, 32; @!%p bra CONSUMER; "
      "st.shared.b32 [%x], 7; bar.arrive 3, 64; mov.u32 %d, 0; bra END; "
      "CONSUMER: bar.sync 3, 64; ld.shared.b32 %d, [%x]; END:";
  for (const auto order : {Schedule::Order::kForward, Schedule::Order::kReverse}) {
    Schedule schedule;
    schedule.warps = order;
    const auto results = Evaluate(code, {Lanes(64)}, schedule);
    ASSERT_TRUE(results.ok()) << results.status();
    EXPECT_EQ((*results)[40], 7);
  }
}

}  // namespace
}  // namespace flashcp::emulator
