// The tables that planner_benchmark prints.

#include "benchmarks/planner_report.h"

#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::benchmarks {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<Candidate> Candidates(const std::vector<std::string>& names) {
  std::vector<Candidate> candidates;
  for (const std::string& name : names) {
    candidates.emplace_back();
    candidates.back().name = name;
  }
  return candidates;
}

Figures FiguresOf(double step_ms, double kv_bytes, double planning_ms) {
  Figures figures;
  figures.modelled_step_ms = step_ms;
  figures.kv_forward_total_bytes = kv_bytes;
  figures.measured_planning_ms = planning_ms;
  return figures;
}

// Three sequences with the bound 1 ms, of zigzag, flashcp-paper and auto.
std::vector<SequenceResult> ThreeSequences() {
  std::vector<SequenceResult> results(3);
  double paper_ms[] = {2, 4, 8};
  for (int i = 0; i < 3; ++i) {
    results[i].lengths = {1000, 24};
    results[i].modelled_lower_bound_ms = 1;
    results[i].figures = {FiguresOf(6, 300, 0.5), FiguresOf(paper_ms[i], 200, 1),
                          FiguresOf(i == 2 ? 4 : 1, i == 0 ? 50 : 100, i * i)};
  }
  return results;
}

TEST(SummarizeTest, AveragesSequences) {
  std::vector<Summary> summaries =
      Summarize(Candidates({"zigzag", "flashcp-paper", "auto"}), ThreeSequences());
  ASSERT_EQ(summaries.size(), 3);
  const Summary& ours = summaries[2];
  EXPECT_EQ(ours.name, "auto");
  EXPECT_DOUBLE_EQ(ours.mean.modelled_step_ms, 2);  // 1, 1, 4
  EXPECT_DOUBLE_EQ(ours.mean.kv_forward_total_bytes, 250 / 3.0);
  EXPECT_DOUBLE_EQ(ours.mean.measured_planning_ms, 1);  // the median of 0, 1, 4
  EXPECT_DOUBLE_EQ(ours.step_over_bound_mean, 2);
  EXPECT_DOUBLE_EQ(ours.step_over_bound_max, 4);
}

TEST(SummarizeTest, ComparesWithPaperAndZigzag) {
  std::vector<Summary> summaries =
      Summarize(Candidates({"zigzag", "flashcp-paper", "auto"}), ThreeSequences());
  EXPECT_NEAR(summaries[2].speedup_over_flashcp_paper, 2.5198421, 1e-6);  // cube root of 2 * 4 * 2
  EXPECT_DOUBLE_EQ(summaries[2].speedup_over_zigzag, 3);
  EXPECT_DOUBLE_EQ(summaries[2].kv_over_flashcp_paper, 250.0 / 600);
  EXPECT_DOUBLE_EQ(summaries[2].kv_over_flashcp_paper_max, 0.5);
  EXPECT_DOUBLE_EQ(summaries[1].speedup_over_flashcp_paper, 1);
}

TEST(SummarizeTest, NoBytesAreNeverMoreBytes) {
  std::vector<SequenceResult> results = ThreeSequences();
  results[0].figures[1].kv_forward_total_bytes = 0;
  auto ratio_of_auto = [&] {
    return Summarize(Candidates({"zigzag", "flashcp-paper", "auto"}), results)[2]
        .kv_over_flashcp_paper_max;
  };
  EXPECT_EQ(ratio_of_auto(), std::numeric_limits<double>::infinity());
  results[0].figures[2].kv_forward_total_bytes = 0;
  EXPECT_DOUBLE_EQ(ratio_of_auto(), 0.5);
}

TEST(SummarizeTest, NoReferenceNoComparison) {
  std::vector<Summary> summaries = Summarize(Candidates({"a", "b", "c"}), ThreeSequences());
  EXPECT_EQ(summaries[2].speedup_over_flashcp_paper, 0);
  EXPECT_EQ(summaries[2].speedup_over_zigzag, 0);
  EXPECT_EQ(summaries[2].kv_over_flashcp_paper, 0);
}

TEST(CaseTableTest, HasALineForEachCandidate) {
  Case benchmark_case;
  benchmark_case.distribution.name = "three";
  benchmark_case.tokens = 1024;
  std::vector<SequenceResult> results = ThreeSequences();
  std::string table =
      CaseTable(benchmark_case, results, Summarize(Candidates({"a", "b"}), results));
  EXPECT_THAT(table, HasSubstr("three, 8 ranks of"));
  EXPECT_THAT(table, HasSubstr("3 sequences of 2 documents, lower bound 1.000 ms (modelled)"));
  EXPECT_THAT(table, HasSubstr("\na  "));
  EXPECT_THAT(table, HasSubstr("\nb  "));
  EXPECT_THAT(table, Not(HasSubstr("nan")));
}

TEST(CaseJsonTest, CarriesSummariesAndSequences) {
  Case benchmark_case;
  benchmark_case.distribution.name = "three";
  std::vector<SequenceResult> results = ThreeSequences();
  nlohmann::ordered_json json = CaseJson(
      benchmark_case, results, Summarize(Candidates({"zigzag", "flashcp-paper", "auto"}), results));
  EXPECT_EQ(json["candidates"]["auto"]["modelled_step_ms"], 2);
  EXPECT_EQ(json["candidates"]["auto"]["measured_planning_ms_median"], 1);
  ASSERT_EQ(json["sequences"].size(), 3);
  EXPECT_EQ(json["sequences"][2]["modelled_step_ms"]["auto"], 4);
  EXPECT_EQ(json["sequences"][0]["kv_forward_total_bytes"]["auto"], 50);
  EXPECT_EQ(json["sequences"][0]["lengths"], (std::vector<int64_t>{1000, 24}));
}

}  // namespace
}  // namespace flashcp::benchmarks
