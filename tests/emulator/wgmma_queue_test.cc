#include "tests/emulator/wgmma_queue.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::emulator {
namespace {

using ::testing::HasSubstr;

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

// A warp whose frame holds twelve registers: accumulators 0 to 3 and 4 to 7 of two products of n =
// 8, A in 8 to 11. A is 1 everywhere, B the element of shared memory that a test sets.
class WgmmaQueueTest : public ::testing::TestWithParam<WgmmaQueue::Timing> {
 protected:
  static constexpr int kRegisters = 12;
  static constexpr uint32_t kOnes = 0x3f803f80;

  WgmmaQueueTest() : frame_(kRegisters), window_(1024) {
    queue_ = std::make_unique<WgmmaQueue>(0, absl::MakeSpan(frame_), absl::MakeConstSpan(window_),
                                          GetParam());
    for (int r = 8; r < 12; ++r) Fill(r, kOnes);
    first_.shape.a_in_registers = true;
    first_.accumulators = {0, 1, 2, 3};
    first_.a = {8, 9, 10, 11};
    first_.line = 100;
    second_ = first_;
    second_.accumulators = {4, 5, 6, 7};
    second_.line = 200;
    SetB(1);
  }

  void Fill(int index, uint32_t value) { frame_[index].fill(value); }
  void FillFloat(int index, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    Fill(index, bits);
  }
  float At(int index, int lane = 5) const {
    float value;
    std::memcpy(&value, &frame_[index][lane], sizeof(value));
    return value;
  }
  bool IsPoison(int index) const { return frame_[index][3] == WgmmaQueue::kPoison; }
  // All of B: the product of ones is then 16 times it.
  void SetB(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    const uint16_t element = bits >> 16;
    for (size_t i = 0; i < window_.size(); i += 2) std::memcpy(&window_[i], &element, 2);
  }
  absl::Status Issue(const WgmmaInstruction& instruction, bool accumulate) {
    return queue_->Issue(instruction, 0, uint64_t{8} << 16 | uint64_t{8} << 32, accumulate);
  }
  bool late() const { return GetParam() == WgmmaQueue::Timing::kAtWait; }

  std::vector<WarpRegister> frame_;
  std::vector<std::byte> window_;
  std::unique_ptr<WgmmaQueue> queue_;
  WgmmaInstruction first_, second_;
};
INSTANTIATE_TEST_SUITE_P(Timings, WgmmaQueueTest,
                         ::testing::Values(WgmmaQueue::Timing::kAtIssue,
                                           WgmmaQueue::Timing::kAtWait));

TEST_P(WgmmaQueueTest, SumsArePoisonUntilTheWait) {
  FillFloat(2, 3);
  queue_->Fence();
  ASSERT_TRUE(Issue(first_, true).ok());
  EXPECT_TRUE(IsPoison(0) && IsPoison(2));
  EXPECT_EQ(queue_->Commit(), 0);
  EXPECT_EQ(queue_->Wait(1).value(), 0);  // One group may be pending.
  EXPECT_TRUE(IsPoison(2));
  EXPECT_EQ(queue_->Wait(0).value(), 1);
  EXPECT_EQ(At(0), 16);
  EXPECT_EQ(At(2), 19);
  EXPECT_TRUE(queue_->Finish().ok());
}

TEST_P(WgmmaQueueTest, SharedMemoryIsReadAtOneOfTheExtremes) {
  queue_->Fence();
  ASSERT_TRUE(Issue(first_, false).ok());
  queue_->Commit();
  SetB(2);
  ASSERT_TRUE(queue_->Wait(0).ok());
  EXPECT_EQ(At(0), late() ? 32 : 16);
}

TEST_P(WgmmaQueueTest, ProductsOfOneShapeChain) {
  queue_->Fence();
  ASSERT_TRUE(Issue(first_, false).ok());
  ASSERT_TRUE(Issue(first_, true).ok());
  queue_->Commit();
  ASSERT_TRUE(Issue(first_, true).ok());
  queue_->Commit();
  ASSERT_TRUE(queue_->Wait(1).ok());
  EXPECT_TRUE(IsPoison(1)) << "a later product still adds to the sums";
  ASSERT_TRUE(queue_->Wait(0).ok());
  EXPECT_EQ(At(1), 48);
}

TEST_P(WgmmaQueueTest, GroupsCompleteInOrder) {
  queue_->Fence();
  ASSERT_TRUE(Issue(first_, false).ok());
  queue_->Commit();
  ASSERT_TRUE(Issue(second_, false).ok());
  queue_->Commit();
  EXPECT_EQ(queue_->Wait(1).value(), 1);
  EXPECT_EQ(At(0), 16);
  EXPECT_TRUE(IsPoison(4));
  EXPECT_EQ(queue_->Wait(0).value(), 2);
  EXPECT_EQ(At(4), 16);
}

// A wait does not cover products that are not committed.
TEST_P(WgmmaQueueTest, WithoutCommitNothingIsWaitedFor) {
  queue_->Fence();
  ASSERT_TRUE(Issue(first_, false).ok());
  EXPECT_EQ(queue_->Wait(0).value(), 0);
  EXPECT_TRUE(IsPoison(0));
  EXPECT_THAT(MessageOf(queue_->Finish()), HasSubstr("wgmma.mma_async of line 100 in flight"));
}

TEST_P(WgmmaQueueTest, TheFirstProductNeedsAFence) {
  EXPECT_THAT(MessageOf(Issue(first_, false)), HasSubstr("before the first wgmma.fence"));
}

TEST_P(WgmmaQueueTest, WritesAfterTheFenceAreErrors) {
  queue_->Fence();
  FillFloat(3, 1);
  EXPECT_THAT(MessageOf(Issue(first_, true)),
              HasSubstr("line 100: accumulator 3 was written after the last wgmma.fence"));
  FillFloat(3, 0);
  FillFloat(9, 2);
  EXPECT_THAT(MessageOf(Issue(first_, true)), HasSubstr("register 1 of A was written after"));
  queue_->Fence();
  EXPECT_TRUE(Issue(first_, true).ok());
}

TEST_P(WgmmaQueueTest, SumsNeedNoFenceIfNoThreadWritesThem) {
  queue_->Fence();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Issue(first_, i > 0).ok());
    queue_->Commit();
    ASSERT_TRUE(queue_->Wait(0).ok());
  }
  EXPECT_EQ(At(0), 32);
}

TEST_P(WgmmaQueueTest, WritingASumInFlightIsAnError) {
  queue_->Fence();
  ASSERT_TRUE(Issue(first_, false).ok());
  queue_->Commit();
  FillFloat(1, 5);
  EXPECT_THAT(MessageOf(Issue(first_, true)), HasSubstr("accumulator 1 was written while"));
  EXPECT_THAT(MessageOf(queue_->Wait(0).status()),
              HasSubstr("line 100: accumulator 1 was written while the product is in flight"));
}

TEST_P(WgmmaQueueTest, WritingAInFlightIsAnError) {
  queue_->Fence();
  ASSERT_TRUE(Issue(first_, false).ok());
  queue_->Commit();
  FillFloat(11, 5);
  EXPECT_THAT(MessageOf(queue_->Wait(0).status()), HasSubstr("register 3 of A was written while"));
}

TEST_P(WgmmaQueueTest, RegistersInFlightBelongToOneProduct) {
  queue_->Fence();
  ASSERT_TRUE(Issue(first_, false).ok());
  WgmmaInstruction wider = first_;
  wider.shape.n = 16;
  wider.accumulators = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_THAT(MessageOf(Issue(wider, true)), HasSubstr("product of another shape in flight"));
  WgmmaInstruction sums_as_a = second_;
  sums_as_a.a = {0, 1, 2, 3};
  EXPECT_THAT(MessageOf(Issue(sums_as_a, false)), HasSubstr("accumulator in flight"));
  WgmmaInstruction a_as_sums = second_;
  a_as_sums.accumulators = {8, 9, 10, 11};
  EXPECT_THAT(MessageOf(Issue(a_as_sums, false)), HasSubstr("accumulator 0 belongs to a product"));
}

TEST_P(WgmmaQueueTest, BadDescriptorsAreErrors) {
  queue_->Fence();
  EXPECT_THAT(MessageOf(queue_->Issue(first_, 0, uint64_t{1} << 14, false)),
              HasSubstr("must be zero"));
}

}  // namespace
}  // namespace flashcp::emulator
