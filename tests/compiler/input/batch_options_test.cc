// Texts of options become a request; those that are left out stand for the request's own defaults.

#include "compiler/input/batch_options.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/cluster.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

TEST(BatchOptionsTest, PresetsAreTheDefaultsOfARequest) {
  absl::StatusOr<BatchSettings> settings = ReadBatchOptions("--", PresetBatchTexts());
  ASSERT_TRUE(settings.ok()) << settings.status();
  const CompileRequest& request = settings->request;
  const CompileRequest defaults;
  EXPECT_EQ(request.strategy, defaults.strategy);
  EXPECT_EQ(request.time_budget_ms, defaults.time_budget_ms);
  EXPECT_EQ(request.memory_budget_bytes, defaults.memory_budget_bytes);
  EXPECT_EQ(request.scale, defaults.scale);
  EXPECT_EQ(MakeRequest(*settings, {})->problem.ranks, defaults.problem.ranks);
  EXPECT_EQ(request.problem.heads.query, defaults.problem.heads.query);
  EXPECT_EQ(request.problem.heads.key_value, defaults.problem.heads.key_value);
  EXPECT_EQ(request.problem.heads.dim, defaults.problem.heads.dim);
  EXPECT_EQ(request.problem.dtype, defaults.problem.dtype);
  EXPECT_EQ(request.problem.exchange, defaults.problem.exchange);
  EXPECT_EQ(request.problem.slack_percent, defaults.problem.slack_percent);
}

TEST(BatchOptionsTest, EachTextIsRead) {
  absl::StatusOr<BatchSettings> settings = ReadBatchOptions("", {{"ranks", "3"},
                                                                 {"heads", "6:2"},
                                                                 {"head-dim", "64"},
                                                                 {"scale", "0.1"},
                                                                 {"dtype", "f16"},
                                                                 {"mask", "window:9"},
                                                                 {"cluster", "cpu"},
                                                                 {"exchange", "all-gather"},
                                                                 {"slack", "2.5"},
                                                                 {"time-budget", "7"},
                                                                 {"strategy", "zigzag"},
                                                                 {"memory-budget", "0.5"}});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->mask, model::Mask::Window(9));
  const CompileRequest& request = settings->request;
  EXPECT_EQ(request.strategy, "zigzag");
  EXPECT_EQ(request.time_budget_ms, 7);
  EXPECT_EQ(request.memory_budget_bytes, 1 << 19);
  EXPECT_EQ(request.scale, 0.1f);
  EXPECT_EQ(request.problem.ranks, 3);
  EXPECT_EQ(request.problem.heads.query, 6);
  EXPECT_EQ(request.problem.heads.key_value, 2);
  EXPECT_EQ(request.problem.heads.dim, 64);
  EXPECT_EQ(request.problem.dtype, model::DType::kF16);
  EXPECT_EQ(request.problem.exchange, model::Exchange::kAllGather);
  EXPECT_EQ(request.problem.slack_percent, 2.5);
  EXPECT_EQ(request.problem.cluster.name, "cpu");
}

TEST(BatchOptionsTest, ErrorsNameTheOptionAsTheUserKnowsIt) {
  EXPECT_EQ(ReadBatchOptions("--", {{"slack", "101"}}).status(),
            absl::InvalidArgumentError("--slack: expected a percentage from 0 to 100, found "
                                       "'101'"));
  EXPECT_EQ(ReadBatchOptions("", {{"memory-budget", "-1"}}).status(),
            absl::InvalidArgumentError("memory-budget: expected MiB from 0 to 16777216, found "
                                       "'-1'"));
}

TEST(BatchOptionsTest, HelpNamesTheRangesThatAreChecked) {
  int ranges = 0;
  for (const BatchOption& option : BatchOptions()) {
    const std::string bad = std::string(option.name) == "heads" ? "-1:1" : "-1";
    const absl::Status status = ReadBatchOptions("", {{option.name, bad}}).status();
    const std::string message(status.message());
    const size_t begin = message.find(" from ");
    if (begin == std::string::npos) continue;
    ++ranges;
    const size_t end = message.find(", found");
    EXPECT_THAT(option.help, ::testing::HasSubstr(message.substr(begin + 6, end - begin - 6)));
  }
  EXPECT_EQ(ranges, 7);
}

TEST(BatchOptionsTest, AScaleIsAFiniteFloatAboveZero) {
  EXPECT_EQ(ReadBatchOptions("", {{"scale", "1e-38"}})->request.scale, 1e-38f);
  for (const char* text : {"0", "-0.1", "nan", "inf", "1e-60", "1e39", "0.1x"}) {
    EXPECT_EQ(ReadBatchOptions("--", {{"scale", text}}).status().message(),
              absl::StrCat("--scale: expected a finite float32 above 0, found '", text, "'"));
  }
}

// A plan of 16 tokens on two ranks, in a file.
std::string WriteToyPlan() {
  testing::ToyProblem toy;
  toy.documents = {{10, {{0, 6, 0}, {6, 10, 1}}}, {6, {{0, 2, 0}, {2, 6, 1}}}};
  toy.ranks = 2;
  toy.slack_percent = 10;
  const std::string path = ::testing::TempDir() + "toy.plan";
  EXPECT_EQ(testing::MakeToyPlan(toy).Save(path), absl::OkStatus());
  return path;
}

TEST(BatchOptionsTest, ALayoutBringsItsRanksAndDocuments) {
  absl::StatusOr<BatchSettings> settings = ReadBatchOptions(
      "--", {{"layout-of", WriteToyPlan()}, {"mask", "window:3"}, {"cluster", "cpu"}});
  ASSERT_TRUE(settings.ok()) << settings.status();
  absl::StatusOr<CompileRequest> request = MakeRequest(*settings, DocumentsOfLayout(*settings));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->problem.ranks, 2);
  ASSERT_EQ(request->problem.documents.size(), 2);
  EXPECT_EQ(request->problem.documents[1].length, 6);
  EXPECT_EQ(request->problem.documents[1].mask, model::Mask::Window(3));
  EXPECT_EQ(request->layout->documents[1][1].begin, 2);
}

TEST(BatchOptionsTest, ErrorsOfALayoutNameOptionAndFile) {
  EXPECT_THAT(std::string(ReadBatchOptions("--", {{"layout-of", "none"}}).status().message()),
              ::testing::StartsWith("--layout-of: none: "));
  const std::string path = WriteToyPlan();
  absl::StatusOr<BatchSettings> settings =
      ReadBatchOptions("--", {{"layout-of", path}, {"ranks", "4"}, {"cluster", "cpu"}});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(MakeRequest(*settings, DocumentsOfLayout(*settings)).status(),
            absl::InvalidArgumentError(absl::StrCat(
                "--layout-of: ", path, ": ranks: expected 2 as in the plan, found 4")));
}

TEST(CompileRequestTest, ChecksWhatNoTextGuards) {
  CompileRequest request;
  request.problem.cluster = *model::ClusterPreset("cpu");
  EXPECT_EQ(request.Check(), absl::OkStatus());
  request.scale = 0;
  EXPECT_EQ(request.Check().message(), "scale is 0: must be finite and above 0");
  request.memory_budget_bytes = -1;
  EXPECT_EQ(request.Check().message(),
            "memory budget is -1 bytes: must be from 0 to 17592186044416");
  request.time_budget_ms = -1;
  EXPECT_EQ(request.Check().message(), "time budget is -1 ms: must be from 0 to 3600000");
  request.strategy = "zigzg";
  EXPECT_THAT(std::string(request.Check().message()),
              ::testing::StartsWith("unknown strategy 'zigzg': did you mean 'zigzag'?"));
}

}  // namespace
}  // namespace flashcp
