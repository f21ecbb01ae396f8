// Runs of messages: bytes that follow each other are one, and a slice of rows is one run however
// many heads of it travel.

#include <vector>

#include "gtest/gtest.h"
#include "runtime/plan/conversion.h"
#include "runtime/program/bound_program.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

void ExpectRuns(const Message& message, const std::vector<MessageRun>& expected) {
  ASSERT_EQ(message.runs.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(message.runs[i].buffer, expected[i].buffer) << i;
    EXPECT_EQ(message.runs[i].offset, expected[i].offset) << i;
    EXPECT_EQ(message.runs[i].size, expected[i].size) << i;
    EXPECT_EQ(message.runs[i].count, expected[i].count) << i;
    if (expected[i].count > 1) {
      EXPECT_EQ(message.runs[i].stride, expected[i].stride) << i;
    }
  }
}

TEST(BoundMessagesTest, NeighboursAreJoined) {
  Message message;
  AddRun({3, 100, 20}, &message);
  AddRun({3, 120, 8, 4, 8}, &message);  // blocks side by side
  AddRun({3, 152, 6, 1, 12}, &message);
  ExpectRuns(message, {{3, 100, 58}});
}

TEST(BoundMessagesTest, OthersAreNot) {
  Message message;
  AddRun({3, 100, 20}, &message);
  AddRun({4, 120, 20}, &message);
  AddRun({4, 141, 20}, &message);
  AddRun({4, 161, 4, 5, 8}, &message);  // begins where the one before it ends
  AddRun({4, 201, 4}, &message);
  ExpectRuns(message, {{3, 100, 20}, {4, 120, 20}, {4, 141, 20}, {4, 161, 4, 5, 8}, {4, 201, 4}});
}

// The first send of rank 0 carries two slices of K.
TEST(BoundMessagesTest, ASliceIsOneRun) {
  const Plan plan = testing::MakeToyPlan(testing::SmallToyProblem());
  const fbs::RankPlan& rank = *plan->ranks()->Get(0);
  const fbs::Part& keys = Items(rank.forward()->parts())[0];
  const auto slices = Items(rank.forward()->slices());
  ASSERT_EQ(keys.slice_end() - keys.slice_begin(), 2u);
  const RankBuffers buffers(plan, 0);
  const uint64_t head_bytes = buffers.HeadBytes(keys.buffer());
  const uint64_t row_bytes = buffers.RowBytes(keys.buffer());
  ASSERT_EQ(row_bytes, 2 * head_bytes);
  const fbs::Part one_head(keys.buffer(), 1, 2, keys.slice_begin(), keys.slice_end(), false);
  Message message;
  AddPart(buffers, *rank.forward(), one_head, &message);
  std::vector<MessageRun> expected;
  for (uint32_t s = keys.slice_begin(); s < keys.slice_end(); ++s) {
    expected.push_back({keys.buffer(), slices[s].begin() * row_bytes + head_bytes, head_bytes,
                        slices[s].count(), row_bytes});
  }
  ExpectRuns(message, expected);
  EXPECT_FALSE(IsOneBlock(message));
}

}  // namespace
}  // namespace flashcp
