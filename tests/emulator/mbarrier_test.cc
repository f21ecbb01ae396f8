#include "tests/emulator/mbarrier.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::emulator {
namespace {

using ::testing::HasSubstr;

class MbarrierTest : public ::testing::Test {
 protected:
  bool Passed(uint32_t parity) { return barrier_.TestParity(parity).value(); }
  static std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

  uint64_t object_ = ~uint64_t{0};  // As poison leaves it.
  Mbarrier barrier_{&object_};
};

// PTX ISA: after init the current phase is 0 and counts are as given; a wait for the phase before,
// parity 1, passes at once.
TEST_F(MbarrierTest, AFreshBarrierIsInPhaseZero) {
  ASSERT_TRUE(barrier_.Init(3).ok());
  EXPECT_FALSE(Passed(0));
  EXPECT_TRUE(Passed(1));
}

TEST_F(MbarrierTest, PhasesCompleteWithTheLastArrival) {
  ASSERT_TRUE(barrier_.Init(3).ok());
  EXPECT_FALSE(barrier_.Arrive().value());
  EXPECT_FALSE(barrier_.Arrive().value());
  EXPECT_FALSE(Passed(0));
  EXPECT_TRUE(barrier_.Arrive().value());
  EXPECT_TRUE(Passed(0));
  EXPECT_FALSE(Passed(1));
  // The next phase counts from the start.
  EXPECT_FALSE(barrier_.Arrive(2).value());
  EXPECT_TRUE(barrier_.Arrive().value());
  EXPECT_FALSE(Passed(0));
  EXPECT_TRUE(Passed(1));
}

TEST_F(MbarrierTest, BytesHoldUpAPhase) {
  ASSERT_TRUE(barrier_.Init(1).ok());
  EXPECT_FALSE(barrier_.ArriveExpectTx(4096).value());
  EXPECT_FALSE(barrier_.CompleteTx(4000).value());
  EXPECT_FALSE(Passed(0));
  EXPECT_TRUE(barrier_.CompleteTx(96).value());
  EXPECT_TRUE(Passed(0));
}

// Bytes may land before the phase expects them, as long as an arrival is pending.
TEST_F(MbarrierTest, BytesMayComeBeforeTheyAreExpected) {
  ASSERT_TRUE(barrier_.Init(2).ok());
  EXPECT_FALSE(barrier_.CompleteTx(128).value());
  EXPECT_FALSE(barrier_.Arrive().value());
  EXPECT_FALSE(barrier_.ExpectTx(64).value());
  EXPECT_TRUE(barrier_.ArriveExpectTx(64).value());
}

// The largest counts of the ISA fit, of both signs.
TEST_F(MbarrierTest, CountsReachTheirLimits) {
  ASSERT_TRUE(barrier_.Init(Mbarrier::kMaxCount).ok());
  EXPECT_FALSE(barrier_.ExpectTx(Mbarrier::kMaxCount).value());
  EXPECT_FALSE(barrier_.CompleteTx(Mbarrier::kMaxCount).value());
  EXPECT_FALSE(barrier_.CompleteTx(Mbarrier::kMaxCount).value());
  EXPECT_FALSE(barrier_.Arrive(Mbarrier::kMaxCount).value());
  EXPECT_TRUE(barrier_.ExpectTx(Mbarrier::kMaxCount).value());
}

TEST_F(MbarrierTest, AStateStandsForItsPhase) {
  ASSERT_TRUE(barrier_.Init(2).ok());
  const uint64_t first = barrier_.State().value();
  ASSERT_TRUE(barrier_.Arrive().ok());
  EXPECT_FALSE(barrier_.Test(first).value());
  ASSERT_TRUE(barrier_.Arrive().ok());
  EXPECT_TRUE(barrier_.Test(first).value());
  EXPECT_FALSE(barrier_.Test(barrier_.State().value()).value());
}

TEST_F(MbarrierTest, TooManyArrivalsAreAnError) {
  ASSERT_TRUE(barrier_.Init(2).ok());
  EXPECT_THAT(MessageOf(barrier_.Arrive(3).status()),
              HasSubstr("3 arrivals, but the phase waits for 2"));
  ASSERT_TRUE(barrier_.ExpectTx(16).ok());
  ASSERT_TRUE(barrier_.Arrive(2).ok());
  EXPECT_THAT(MessageOf(barrier_.Arrive().status()), HasSubstr("waits for 0 of 2 only"));
}

TEST_F(MbarrierTest, CountsOutOfRangeAreErrors) {
  EXPECT_THAT(MessageOf(barrier_.Init(0)), HasSubstr("count 0"));
  EXPECT_THAT(MessageOf(barrier_.Init(1 << 20)), HasSubstr("[1, 1048575]"));
  ASSERT_TRUE(barrier_.Init(1).ok());
  EXPECT_THAT(MessageOf(barrier_.ExpectTx(1 << 20).status()), HasSubstr("1048576 bytes"));
  EXPECT_THAT(MessageOf(barrier_.TestParity(2).status()), HasSubstr("parity 2"));
}

TEST_F(MbarrierTest, MemoryThatIsNoBarrierIsAnError) {
  for (const uint64_t memory : {~uint64_t{0}, uint64_t{0}, uint64_t{0x3f803f803f803f80}}) {
    object_ = memory;
    EXPECT_THAT(MessageOf(barrier_.Arrive().status()), HasSubstr("not initialised"));
    EXPECT_THAT(MessageOf(barrier_.TestParity(0).status()), HasSubstr("not initialised"));
    EXPECT_THAT(MessageOf(barrier_.Test(memory).status()),
                HasSubstr("not one that an arrive gave"));
  }
  ASSERT_TRUE(barrier_.Init(1).ok());
  ASSERT_TRUE(barrier_.Invalidate().ok());
  EXPECT_FALSE(barrier_.Arrive().ok());
  EXPECT_FALSE(barrier_.Invalidate().ok());
}

TEST_F(MbarrierTest, DescribesWhatIsMissing) {
  EXPECT_EQ(barrier_.Describe(), "no mbarrier");
  ASSERT_TRUE(barrier_.Init(4).ok());
  ASSERT_TRUE(barrier_.Arrive(2).ok());
  EXPECT_EQ(barrier_.Describe(), "its phase of parity 0 lacks 2 of 4 arrivals");
  ASSERT_TRUE(barrier_.ExpectTx(16384).ok());
  EXPECT_EQ(barrier_.Describe(), "its phase of parity 0 lacks 2 of 4 arrivals and 16384 bytes");
}

}  // namespace
}  // namespace flashcp::emulator
