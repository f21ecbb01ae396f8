// cp.async under each schedule, and ldmatrix, stmatrix and mma.sync from PTX. What their lanes hold
// is tested in mma_test.cc; here they are multiplied with matrices whose product is known.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/emulator/evaluate.h"

namespace flashcp::emulator {
namespace {

using ::testing::HasSubstr;

// 32 lanes; lane i has 16 bytes of `tile` at %x, and holds i + 1 in its 24 bytes of operands.
constexpr char kAddresses[] =
    "mov.u32 %x, tile; mov.u32 %y, %tid.x; shl.b32 %y, %y, 4; add.u32 %x, %x, %y; ";

absl::StatusOr<std::vector<uint64_t>> RunLanes(const std::string& code, Schedule::Copies copies) {
  std::vector<uint64_t> lanes(32);
  for (int i = 0; i < 32; ++i) lanes[i] = i + 1;
  Schedule schedule;
  schedule.copies = copies;
  return Evaluate(absl::StrCat(kAddresses, code), {lanes, lanes, lanes}, schedule);
}

constexpr Schedule::Copies kAll[] = {Schedule::Copies::kEarly, Schedule::Copies::kLate,
                                     Schedule::Copies::kAny};

TEST(AsyncCopyTest, LandsByItsWait) {
  for (const auto copies : kAll) {
    const auto results = RunLanes(
        "cp.async.ca.shared.global [%x], [%from], 8; cp.async.commit_group; "
        "cp.async.wait_group 0; ld.shared.b32 %d, [%x];",
        copies);
    ASSERT_TRUE(results.ok()) << results.status();
    for (int i = 0; i < 32; ++i) EXPECT_EQ((*results)[i], i + 1);
  }
}

TEST(AsyncCopyTest, GroupsCompleteInOrder) {
  const std::string code =
      "cp.async.ca.shared.global [%x], [%from], 4; cp.async.commit_group; "
      "cp.async.ca.shared.global [%x+8], [%from], 4; cp.async.commit_group; "
      "cp.async.wait_group 1; ld.shared.b32 %a, [%x]; ld.shared.b32 %b, [%x+8]; "
      "mov.b64 %D, {%a, %b};";
  const auto late = RunLanes(code, Schedule::Copies::kLate);
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_EQ((*late)[4], 0x7fff7fff00000005);
  const auto early = RunLanes(code, Schedule::Copies::kEarly);
  ASSERT_TRUE(early.ok()) << early.status();
  EXPECT_EQ((*early)[4], 0x500000005);
}

TEST(AsyncCopyTest, WaitAllCoversCopiesWithoutAGroup) {
  const auto results = RunLanes(
      "cp.async.ca.shared.global [%x], [%from], 4; cp.async.wait_all; ld.shared.b32 %d, [%x];",
      Schedule::Copies::kLate);
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ((*results)[4], 5);
}

TEST(AsyncCopyTest, ShortSourcesAreFilledWithZeros) {
  const std::string end = " cp.async.wait_all; ld.shared.b64 %D, [%x];";
  const auto some =
      RunLanes("cp.async.ca.shared.global [%x], [%from], 8, 1;" + end, Schedule::Copies::kLate);
  ASSERT_TRUE(some.ok()) << some.status();
  EXPECT_EQ((*some)[31], 32);
  // Without bytes of the source its address is not looked at.
  const auto none = RunLanes("mov.u64 %X, 0; cp.async.cg.shared.global [%x], [%X], 16, 0;" + end,
                             Schedule::Copies::kLate);
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ((*none)[31], 0);
  const auto ignored = RunLanes(
      "setp.eq.u32 %p, 0, 0; mov.u64 %X, 0; "
      "cp.async.cg.shared.global [%x], [%X], 16, %p;" +
          end,
      Schedule::Copies::kLate);
  ASSERT_TRUE(ignored.ok()) << ignored.status();
  EXPECT_EQ((*ignored)[31], 0);
}

TEST(AsyncCopyTest, Errors) {
  const auto error = [](const std::string& code) {
    return std::string(RunLanes(code, Schedule::Copies::kLate).status().message());
  };
  EXPECT_THAT(error("cp.async.ca.shared.global [%x+4], [%from], 8;"),
              HasSubstr("is not a multiple of 8"));
  EXPECT_THAT(error("add.s64 %X, %from, 4; cp.async.ca.shared.global [%x], [%X], 8;"),
              HasSubstr("the global address is not a multiple of the copied bytes"));
  EXPECT_THAT(error("cp.async.ca.shared.global [%x], [%to], 8, 9;"),
              HasSubstr("the source has more bytes than the copy"));
  EXPECT_THAT(error("cp.async.cg.shared.global [%x], [%from], 8;"),
              HasSubstr("expected 16 bytes, or 4 or 8 with .ca"));
  EXPECT_THAT(error("mov.u64 %X, 4096; cp.async.ca.shared.global [%x], [%X], 8;"),
              HasSubstr("out of bounds"));
}

// Element (row, column) of matrix m is 64 m + 8 row + column, as 16-bit integers.
constexpr char kFillMatrices[] =
    "mov.u32 %y, %tid.x; shl.b32 %y, %y, 3; mad.lo.u32 %b, %y, 0x10001, 0x10000; "
    "st.shared.b32 [%x], %b; add.u32 %b, %b, 0x20002; st.shared.b32 [%x+4], %b; "
    "add.u32 %b, %b, 0x20002; st.shared.b32 [%x+8], %b; add.u32 %b, %b, 0x20002; "
    "st.shared.b32 [%x+12], %b; bar.warp.sync -1; ";

TEST(LoadMatrixTest, LaneHoldsTwoElementsOfARow) {
  const auto results =
      RunLanes(absl::StrCat(kFillMatrices,
                            ".reg .b32 %m<4>; ldmatrix.sync.aligned.m8n8.x4.shared.b16 "
                            "{%m0, %m1, %m2, %m3}, [%x]; mov.b64 %D, {%m0, %m3};"),
               Schedule::Copies::kLate);
  ASSERT_TRUE(results.ok()) << results.status();
  for (int i = 0; i < 32; ++i) {
    const uint64_t first = 8 * (i / 4) + 2 * (i % 4);
    const uint64_t fourth = first + 192;
    EXPECT_EQ((*results)[i], first | (first + 1) << 16 | fourth << 32 | (fourth + 1) << 48);
  }
}

TEST(LoadMatrixTest, TransposedLaneHoldsTwoElementsOfAColumn) {
  const auto results = RunLanes(
      absl::StrCat(kFillMatrices, "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%d}, [%x];"),
      Schedule::Copies::kLate);
  ASSERT_TRUE(results.ok()) << results.status();
  for (int i = 0; i < 32; ++i) {
    const uint64_t first = 8 * (2 * (i % 4)) + i / 4;
    EXPECT_EQ((*results)[i], first | (first + 8) << 16);
  }
}

// Lanes meet for a load later than it stands, but see memory and registers as they were there.
TEST(LoadMatrixTest, ComesBeforeWhatFollows) {
  const auto results = RunLanes(
      absl::StrCat(kFillMatrices,
                   ".reg .b32 %m<4>; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%m0}, [%x]; "
                   "add.u32 %x, %x, 16; sub.u32 %x, %x, 16; st.shared.b32 [%x], 0; "
                   "st.shared.b32 [%x+4], 0; bar.warp.sync -1; "
                   "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%m1}, [%x]; "
                   "mov.b32 %m2, %m1; mov.u32 %m1, 9; mov.b64 %D, {%m0, %m2};"),
      Schedule::Copies::kLate);
  ASSERT_TRUE(results.ok()) << results.status();
  for (int i = 0; i < 32; ++i) {
    const uint64_t first = 8 * (i / 4) + 2 * (i % 4);
    const uint64_t value = first | (first + 1) << 16;
    EXPECT_EQ((*results)[i], value | (i % 4 < 2 ? 0 : value) << 32);
  }
}

TEST(StoreMatrixTest, WritesWhatLoadMatrixReads) {
  const auto results = RunLanes(
      "mov.u32 %y, %tid.x; stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%x], {%y}; "
      "bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%d}, [%x];",
      Schedule::Copies::kLate);
  ASSERT_TRUE(results.ok()) << results.status();
  for (int i = 0; i < 32; ++i) EXPECT_EQ((*results)[i], i);
}

TEST(LoadMatrixTest, Errors) {
  const auto error = [](const std::string& code) {
    return std::string(RunLanes(code, Schedule::Copies::kLate).status().message());
  };
  EXPECT_THAT(error("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%d}, [%x+8];"),
              HasSubstr("is not a multiple of 16"));
  EXPECT_THAT(error("mov.u32 %y, %tid.x; setp.eq.u32 %p, %y, 3; @%p bra END; "
                    "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%d}, [%x]; END:"),
              HasSubstr("all 32 lanes of the warp must execute it"));
}

// a = 2 everywhere, b = 3 everywhere: each element of the product is 6 k, plus c.
TEST(MmaTest, ProductOfConstants) {
  const std::string registers = ".reg .b32 %m<16>; ";
  const auto bf16 =
      RunLanes(registers +
                   "mov.b32 %m0, 0x40004000; mov.b32 %m4, 0x40404040; mov.f32 %m6, 1.5; "
                   "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                   "{%m8, %m9, %m10, %m11}, {%m0, %m0, %m0, %m0}, {%m4, %m4}, "
                   "{%m6, %m6, %m6, %m6}; mov.b32 %d, %m10;",
               Schedule::Copies::kLate);
  ASSERT_TRUE(bf16.ok()) << bf16.status();
  EXPECT_EQ(FloatOf((*bf16)[17]), 97.5f);
  const auto f16 =
      RunLanes(registers +
                   "mov.b32 %m0, 0x40004000; mov.b32 %m4, 0x42004200; mov.f32 %m6, 1.5; "
                   "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
                   "{%m8, %m9, %m10, %m11}, {%m0, %m0}, {%m4}, {%m6, %m6, %m6, %m6}; "
                   "mov.b32 %d, %m11;",
               Schedule::Copies::kLate);
  ASSERT_TRUE(f16.ok()) << f16.status();
  EXPECT_EQ(FloatOf((*f16)[17]), 49.5f);
}

}  // namespace
}  // namespace flashcp::emulator
