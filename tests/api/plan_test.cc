// Plans in C: reading, facts, layouts, and the errors of each.

#include <cstdint>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "flashcp.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/api/compiled_plan.h"

namespace flashcp {
namespace {

using api::Plan;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::SmallPlan;

const void* const kNoBytes = nullptr;

TEST(PlanTest, BytesAndFilesGiveThePlanBack) {
  const Plan plan = SmallPlan();
  const std::string path = ::testing::TempDir() + "/a.plan";
  plan.Save(path);
  EXPECT_EQ(Plan::Load(path).Bytes(), plan.Bytes());
  EXPECT_EQ(Plan::FromBytes(plan.Bytes()).Info().hash, plan.Info().hash);
}

TEST(PlanTest, InfoIsThatOfTheRequest) {
  const flashcp_plan_info info = SmallPlan({{"dtype", "bf16"}, {"scale", "0.5"}}).Info();
  EXPECT_EQ(info.tokens, 294);
  EXPECT_EQ(info.documents, 4);
  EXPECT_EQ(info.ranks, 3);
  EXPECT_EQ(info.query_heads, 4);
  EXPECT_EQ(info.key_value_heads, 2);
  EXPECT_EQ(info.head_dim, 8);
  EXPECT_EQ(info.dtype, FLASHCP_BF16);
  EXPECT_EQ(info.scale, 0.5f);
  EXPECT_GE(info.head_groups, 1);
  EXPECT_GT(info.bound_us, 0);
  EXPECT_GE(info.forward_us + info.backward_us, info.bound_us * 0.999);
}

TEST(PlanTest, RowsOfRanksAreAllTokensOnce) {
  const Plan plan = SmallPlan();
  std::set<int64_t> tokens;
  const std::vector<int64_t> document_begin = {0, 60, 60, 260};
  for (int rank = 0; rank < 3; ++rank) {
    const std::vector<int64_t> indices = plan.TokenIndices(rank);
    const std::vector<int64_t> positions = plan.PositionIds(rank);
    const std::vector<int64_t> documents = plan.DocumentIds(rank);
    EXPECT_EQ(plan.RankInfo(rank).tokens, indices.size());
    for (size_t i = 0; i < indices.size(); ++i) {
      EXPECT_EQ(document_begin[documents[i]] + positions[i], indices[i]);
      tokens.insert(indices[i]);
    }
  }
  EXPECT_EQ(tokens.size(), 294);
  EXPECT_EQ(*tokens.begin(), 0);
  EXPECT_EQ(*tokens.rbegin(), 293);
}

TEST(PlanTest, ScatterTakesTheRowsThatTokenIndicesName) {
  const Plan plan = SmallPlan();
  std::vector<int16_t> global(294 * 3), back(294 * 3);
  std::iota(global.begin(), global.end(), 0);
  for (int rank = 0; rank < 3; ++rank) {
    const std::vector<int16_t> local = plan.Scatter(rank, 3, global);
    const std::vector<int64_t> indices = plan.TokenIndices(rank);
    for (size_t i = 0; i < indices.size(); ++i) EXPECT_EQ(local[3 * i + 2], 3 * indices[i] + 2);
    plan.Gather(rank, 3, local, &back);
  }
  EXPECT_EQ(back, global);
}

TEST(PlanTest, MemoryFollowsTheBudget) {
  const flashcp_rank_info none = SmallPlan().RankInfo(1);
  const flashcp_rank_info some = SmallPlan({{"memory-budget", "1"}}).RankInfo(1);
  EXPECT_EQ(none.saved_bytes, 0);
  EXPECT_GT(some.saved_bytes, 0);
  EXPECT_GT(none.workspace_bytes, 0);
  EXPECT_GT(none.backward_workspace_bytes, 0);
}

TEST(PlanTest, InspectIsJsonOfThePlan) {
  const std::string json = SmallPlan().Inspect();
  EXPECT_THAT(json, HasSubstr("\"tokens\": 294"));
  EXPECT_THAT(json, HasSubstr("\"planning_ms\": null"));
}

// The code and the text of a call that fails.
void ExpectError(flashcp_status found, flashcp_status expected, const std::string& text) {
  EXPECT_EQ(found, expected);
  EXPECT_THAT(flashcp_last_error(), HasSubstr(text));
}

TEST(PlanErrorTest, BytesThatAreNoPlan) {
  flashcp_plan* plan = reinterpret_cast<flashcp_plan*>(1);
  const std::string text = "these bytes are no plan at all";
  ExpectError(flashcp_plan_from_bytes(text.data(), text.size(), &plan), FLASHCP_INVALID_ARGUMENT,
              "plan");
  EXPECT_EQ(plan, nullptr);
  ExpectError(flashcp_plan_from_bytes(text.data(), 0, &plan), FLASHCP_INVALID_ARGUMENT, "plan");
  std::string damaged = SmallPlan().Bytes();
  damaged[damaged.size() / 2] ^= 1;
  ExpectError(flashcp_plan_from_bytes(damaged.data(), damaged.size(), &plan),
              FLASHCP_INVALID_ARGUMENT, "hash");
}

TEST(PlanErrorTest, FilesThatCannotBeReadOrWritten) {
  flashcp_plan* none;
  ExpectError(flashcp_plan_load("/no/such.plan", &none), FLASHCP_NOT_FOUND, "/no/such.plan");
  const Plan plan = SmallPlan();
  ExpectError(flashcp_plan_save(plan.get(), "/no/such.plan"), FLASHCP_NOT_FOUND, "/no/such.plan");
}

TEST(PlanErrorTest, RanksThatThePlanDoesNotHave) {
  const Plan plan = SmallPlan();
  flashcp_rank_info info;
  std::vector<int64_t> values(98);
  const void* rows;
  size_t count, row_bytes;
  for (int rank : {-1, 3}) {
    const std::string text = "rank " + std::to_string(rank) + ": the plan has ranks 0 to 2";
    ExpectError(flashcp_plan_get_rank_info(plan.get(), rank, &info), FLASHCP_INVALID_ARGUMENT,
                text);
    ExpectError(flashcp_plan_token_indices(plan.get(), rank, values.data(), 98),
                FLASHCP_INVALID_ARGUMENT, text);
    ExpectError(flashcp_plan_scatter(plan.get(), rank, 1, kNoBytes, 0, nullptr, 0),
                FLASHCP_INVALID_ARGUMENT, text);
    ExpectError(flashcp_plan_gather(plan.get(), rank, 1, kNoBytes, 0, nullptr, 0),
                FLASHCP_INVALID_ARGUMENT, text);
    ExpectError(flashcp_plan_table(plan.get(), rank, "tiles", &rows, &count, &row_bytes),
                FLASHCP_INVALID_ARGUMENT, text);
  }
}

TEST(PlanErrorTest, SizesThatDoNotFit) {
  const Plan plan = SmallPlan();
  std::vector<int64_t> values(97);
  ExpectError(flashcp_plan_position_ids(plan.get(), 0, values.data(), 97), FLASHCP_INVALID_ARGUMENT,
              "room for 97 values, rank 0 has 98 tokens");
  ExpectError(flashcp_plan_document_ids(plan.get(), 0, nullptr, 98), FLASHCP_INVALID_ARGUMENT,
              "values is null");
  std::vector<char> global(294), local(98);
  ExpectError(flashcp_plan_scatter(plan.get(), 0, 1, global.data(), 294, local.data(), 97),
              FLASHCP_INVALID_ARGUMENT,
              "tensor local: 97 bytes found, expected 98 rows of 1 bytes");
  ExpectError(flashcp_plan_gather(plan.get(), 0, 1, local.data(), 98, global.data(), 295),
              FLASHCP_INVALID_ARGUMENT, "tensor global: 295 bytes found");
}

TEST(PlanErrorTest, ArgumentsThatAreNull) {
  const Plan plan = SmallPlan();
  flashcp_plan* made;
  flashcp_plan_info info;
  char* text;
  const auto expect_null = [](flashcp_status status, const std::string& what) {
    ExpectError(status, FLASHCP_INVALID_ARGUMENT, what + " is null");
  };
  expect_null(flashcp_plan_from_bytes(nullptr, 0, &made), "flashcp_plan_from_bytes: bytes");
  expect_null(flashcp_plan_from_bytes("x", 1, nullptr), "flashcp_plan_from_bytes: plan");
  expect_null(flashcp_plan_load(nullptr, &made), "flashcp_plan_load: path");
  expect_null(flashcp_plan_load("x", nullptr), "flashcp_plan_load: plan");
  expect_null(flashcp_plan_save(nullptr, "x"), "flashcp_plan_save: plan");
  expect_null(flashcp_plan_save(plan.get(), nullptr), "flashcp_plan_save: path");
  expect_null(flashcp_plan_get_info(nullptr, &info), "flashcp_plan_get_info: plan");
  expect_null(flashcp_plan_get_info(plan.get(), nullptr), "flashcp_plan_get_info: info");
  expect_null(flashcp_plan_get_rank_info(nullptr, 0, nullptr), "flashcp_plan_get_rank_info: plan");
  expect_null(flashcp_plan_token_indices(nullptr, 0, nullptr, 0), "plan");
  expect_null(flashcp_plan_scatter(nullptr, 0, 1, kNoBytes, 0, nullptr, 0), "plan");
  expect_null(flashcp_plan_gather(nullptr, 0, 1, kNoBytes, 0, nullptr, 0), "plan");
  expect_null(flashcp_plan_inspect(nullptr, &text), "flashcp_plan_inspect: plan");
  expect_null(flashcp_plan_inspect(plan.get(), nullptr), "flashcp_plan_inspect: json");
  expect_null(flashcp_plan_table(plan.get(), 0, "tiles", nullptr, nullptr, nullptr), "rows");
  size_t size = 7;
  EXPECT_EQ(flashcp_plan_bytes(nullptr, &size), nullptr);
  EXPECT_EQ(size, 0);
  EXPECT_NE(flashcp_plan_bytes(plan.get(), nullptr), nullptr);
  flashcp_plan_destroy(nullptr);
  flashcp_text_destroy(nullptr);
}

TEST(PlanErrorTest, TextsBelongToThreads) {
  ExpectError(flashcp_plan_load("/no/such.plan", nullptr), FLASHCP_INVALID_ARGUMENT,
              "plan is null");
  std::string other = "unset";
  std::thread([&] { other = flashcp_last_error(); }).join();
  EXPECT_EQ(other, "");
  EXPECT_THAT(flashcp_last_error(), HasSubstr("plan is null"));
}

TEST(StatusTest, CodesHaveNames) {
  EXPECT_STREQ(flashcp_status_name(FLASHCP_OK), "OK");
  EXPECT_STREQ(flashcp_status_name(FLASHCP_DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED");
  EXPECT_STREQ(flashcp_status_name(static_cast<flashcp_status>(99)), "UNKNOWN");
}

TEST(TableTest, RowsLieInThePlan) {
  const Plan plan = SmallPlan();
  const auto documents = plan.Rows<flashcp_document_row>(-1, "documents");
  std::vector<int> lengths;
  for (const flashcp_document_row& row : documents) lengths.push_back(row.length);
  EXPECT_THAT(lengths, ElementsAre(60, 0, 200, 34));
  EXPECT_EQ(documents[2].band.lower, -22);
  EXPECT_EQ(documents[2].band.upper, 0);
  EXPECT_EQ(documents[3].band.lower, INT32_MIN);
  size_t size;
  const char* const bytes = static_cast<const char*>(flashcp_plan_bytes(plan.get(), &size));
  const char* const row = reinterpret_cast<const char*>(documents.begin());
  EXPECT_TRUE(row > bytes && row < bytes + size);
}

TEST(TableTest, EachNameHasItsRows) {
  const Plan plan = SmallPlan();
  int64_t tokens = 0;
  for (const auto& range : plan.Rows<flashcp_token_range>(0, "layout")) {
    tokens += range.end - range.begin;
  }
  EXPECT_EQ(tokens, plan.RankInfo(0).tokens);
  const auto buffers = plan.Rows<flashcp_buffer>(0, "buffers");
  EXPECT_EQ(buffers[0].kind, FLASHCP_BUFFER_QUERY);
  EXPECT_EQ(buffers[0].heads, 4);
  const auto tiles = plan.Rows<flashcp_tile>(0, "tiles");
  const auto messages = plan.Rows<flashcp_message>(0, "messages");
  const auto waits = plan.Rows<flashcp_wait>(0, "waits");
  for (const auto& instruction : plan.Rows<flashcp_instruction>(0, "instructions")) {
    EXPECT_LE(instruction.end,
              instruction.opcode == FLASHCP_ATTEND ? tiles.size() : messages.size());
    EXPECT_LE(instruction.wait_end, waits.size());
  }
  const auto parts = plan.Rows<flashcp_part>(0, "parts");
  const auto slices = plan.Rows<flashcp_slice>(0, "slices");
  for (const auto& message : messages) EXPECT_LE(message.part_end, parts.size());
  for (const auto& part : parts) EXPECT_LE(part.slice_end, slices.size());
  const auto backward = plan.Rows<flashcp_instruction>(0, "backward_instructions");
  EXPECT_EQ(backward[0].opcode, FLASHCP_CLEAR_GRADIENTS);
  EXPECT_GT(plan.Rows<flashcp_wait>(0, "backward_waits").size(), 0);
}

TEST(TableTest, ANameThatThereIsNotHasTheNearest) {
  const Plan plan = SmallPlan();
  const void* rows;
  size_t count, row_bytes;
  ExpectError(flashcp_plan_table(plan.get(), 0, "tile", &rows, &count, &row_bytes),
              FLASHCP_NOT_FOUND, "unknown table 'tile': did you mean 'tiles'?");
  EXPECT_THROW(plan.Rows<flashcp_tile>(0, "messages"), api::Error);
}

}  // namespace
}  // namespace flashcp
