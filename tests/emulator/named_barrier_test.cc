#include "tests/emulator/named_barrier.h"

#include <string>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::emulator {
namespace {

using ::testing::HasSubstr;

std::string MessageOf(const absl::StatusOr<NamedBarriers::Arrival>& arrival) {
  return std::string(arrival.status().message());
}

TEST(NamedBarriers, CompleteWithTheLastWarp) {
  NamedBarriers barriers(384);
  const NamedBarriers::Arrival first = barriers.Arrive(1, 64, 32).value();
  EXPECT_FALSE(first.completed);
  EXPECT_FALSE(barriers.Passed(1, first.generation));
  EXPECT_EQ(barriers.Describe(1), "barrier 1 has 32 of 64 threads");
  EXPECT_TRUE(barriers.Arrive(1, 64, 32).value().completed);
  EXPECT_TRUE(barriers.Passed(1, first.generation));
  EXPECT_EQ(barriers.Describe(1), "barrier 1 has no threads");
}

TEST(NamedBarriers, AreReadyAgainWithAnotherCount) {
  NamedBarriers barriers(128);
  ASSERT_TRUE(barriers.Arrive(3, 32, 32).value().completed);
  const NamedBarriers::Arrival second = barriers.Arrive(3, 96, 32).value();
  EXPECT_FALSE(second.completed);
  EXPECT_FALSE(barriers.Passed(3, second.generation));
  // A warp may arrive twice: bar.arrive does not wait.
  EXPECT_FALSE(barriers.Arrive(3, 96, 32).value().completed);
  EXPECT_TRUE(barriers.Arrive(3, 96, 32).value().completed);
}

TEST(NamedBarriers, AreIndependent) {
  NamedBarriers barriers(64);
  const NamedBarriers::Arrival first = barriers.Arrive(0, 64, 32).value();
  ASSERT_FALSE(barriers.Arrive(15, 64, 32).value().completed);
  EXPECT_FALSE(barriers.Passed(0, first.generation));
}

// Without a count all threads of the CTA take part, also if the last warp is not full.
TEST(NamedBarriers, WithoutACountTheWholeCtaMeets) {
  NamedBarriers barriers(80);
  EXPECT_FALSE(barriers.Arrive(0, 0, 32).value().completed);
  EXPECT_FALSE(barriers.Arrive(0, 0, 32).value().completed);
  EXPECT_TRUE(barriers.Arrive(0, 0, 16).value().completed);
}

TEST(NamedBarriers, MisuseIsAnError) {
  NamedBarriers barriers(128);
  EXPECT_THAT(MessageOf(barriers.Arrive(16, 64, 32)), HasSubstr("barrier 16 does not exist"));
  EXPECT_THAT(MessageOf(barriers.Arrive(1, 40, 32)), HasSubstr("multiple of 32"));
  EXPECT_THAT(MessageOf(barriers.Arrive(1, 160, 32)), HasSubstr("at most 128"));
  ASSERT_TRUE(barriers.Arrive(1, 96, 32).ok());
  EXPECT_THAT(MessageOf(barriers.Arrive(1, 64, 32)),
              HasSubstr("a warp counts 64 threads, one that arrived before 96"));
  ASSERT_TRUE(barriers.Arrive(1, 96, 32).ok());
  EXPECT_THAT(MessageOf(barriers.Arrive(1, 96, 64)), HasSubstr("128 threads arrived, of 96"));
}

}  // namespace
}  // namespace flashcp::emulator
