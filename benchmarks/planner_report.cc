// Decides how figures of many sequences become one row, and how rows are printed.

#include "benchmarks/planner_report.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/cluster.h"

namespace flashcp::benchmarks {
namespace {

struct NamedFigure {
  const char* name;
  double Figures::*value;
};

constexpr NamedFigure kFigures[] = {
    {"work_imbalance", &Figures::work_imbalance},
    {"token_imbalance", &Figures::token_imbalance},
    {"kv_forward_max_bytes", &Figures::kv_forward_max_bytes},
    {"kv_forward_total_bytes", &Figures::kv_forward_total_bytes},
    {"kv_backward_max_bytes", &Figures::kv_backward_max_bytes},
    {"kv_backward_total_bytes", &Figures::kv_backward_total_bytes},
    {"messages", &Figures::messages},
    {"segments_max", &Figures::segments_max},
    {"modelled_step_ms", &Figures::modelled_step_ms},
    {"modelled_serial_step_ms", &Figures::modelled_serial_step_ms},
};

double MeanOf(const std::vector<SequenceResult>& results, size_t candidate,
              double Figures::*value) {
  double sum = 0;
  for (const SequenceResult& result : results) sum += result.figures[candidate].*value;
  return sum / results.size();
}

double MeanBoundMs(const std::vector<SequenceResult>& results) {
  double sum = 0;
  for (const SequenceResult& result : results) sum += result.modelled_lower_bound_ms;
  return sum / results.size();
}

double MedianPlanningMs(const std::vector<SequenceResult>& results, size_t candidate) {
  std::vector<double> times;
  for (const SequenceResult& result : results) {
    times.push_back(result.figures[candidate].measured_planning_ms);
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

Summary SummaryOf(const std::string& name, const std::vector<SequenceResult>& results,
                  size_t candidate) {
  Summary summary;
  summary.name = name;
  for (const NamedFigure& figure : kFigures) {
    summary.mean.*figure.value = MeanOf(results, candidate, figure.value);
  }
  summary.mean.measured_planning_ms = MedianPlanningMs(results, candidate);
  for (const SequenceResult& result : results) {
    double ratio = result.figures[candidate].modelled_step_ms / result.modelled_lower_bound_ms;
    summary.step_over_bound_mean += ratio / results.size();
    summary.step_over_bound_max = std::max(summary.step_over_bound_max, ratio);
  }
  return summary;
}

double GeometricMeanSpeedup(const std::vector<SequenceResult>& results, size_t candidate,
                            size_t reference) {
  double logarithms = 0;
  for (const SequenceResult& result : results) {
    logarithms += std::log(result.figures[reference].modelled_step_ms /
                           result.figures[candidate].modelled_step_ms);
  }
  return std::exp(logarithms / results.size());
}

double LargestKvRatio(const std::vector<SequenceResult>& results, size_t candidate,
                      size_t reference) {
  double largest = 0;
  for (const SequenceResult& result : results) {
    const double bytes = result.figures[candidate].kv_forward_total_bytes;
    if (bytes > 0) {
      largest = std::max(largest, bytes / result.figures[reference].kv_forward_total_bytes);
    }
  }
  return largest;
}

size_t IndexOf(const std::vector<Candidate>& candidates, const std::string& name) {
  return std::find_if(candidates.begin(), candidates.end(),
                      [&](const Candidate& candidate) { return candidate.name == name; }) -
         candidates.begin();
}

// A ratio, or a dash if there is none.
std::string RatioCell(double ratio) { return ratio > 0 ? absl::StrFormat("%.3f", ratio) : "-"; }

std::string TableRow(const Summary& summary) {
  const Figures& mean = summary.mean;
  return absl::StrFormat(
      "%-15s %6.3f %6.3f %7.1f %8.1f %7.1f %8.1f %6.0f %5.0f %8.3f %8.3f %7.2f %7.2f %7s %7s "
      "%7s %7s %8.2f\n",
      summary.name, mean.work_imbalance, mean.token_imbalance, mean.kv_forward_max_bytes / 1e6,
      mean.kv_forward_total_bytes / 1e6, mean.kv_backward_max_bytes / 1e6,
      mean.kv_backward_total_bytes / 1e6, mean.messages, mean.segments_max, mean.modelled_step_ms,
      mean.modelled_serial_step_ms, 100 * (summary.step_over_bound_mean - 1),
      100 * (summary.step_over_bound_max - 1), RatioCell(summary.speedup_over_flashcp_paper),
      RatioCell(summary.speedup_over_zigzag), RatioCell(summary.kv_over_flashcp_paper),
      RatioCell(summary.kv_over_flashcp_paper_max), mean.measured_planning_ms);
}

// Two lines over the columns of TableRow.
std::string TableHeading() {
  return absl::StrFormat(
      "%-15s %6s %6s %16s %16s %6s %5s %17s %15s %7s %7s %15s %8s\n"
      "%-15s %6s %6s %7s %8s %7s %8s %6s %5s %8s %8s %7s %7s %7s %7s %7s %7s %8s\n",
      "", "work", "token", "K/V fwd, MB", "K/V bwd, MB", "mes-", "seg-", "modelled step, ms",
      "% over bound", "speedup", "speedup", "K/V /paper", "planning", "", "imbal.", "imbal.", "max",
      "total", "max", "total", "sages", "ments", "overlap", "serial", "mean", "max", "/paper",
      "/zigzag", "mean", "max", "ms");
}

nlohmann::ordered_json LinkJson(const model::LinkClass& link) {
  return {{"bytes_per_us", link.bytes_per_us}, {"latency_us", link.latency_us}};
}

}  // namespace

std::vector<Summary> Summarize(const std::vector<Candidate>& candidates,
                               const std::vector<SequenceResult>& results) {
  std::vector<Summary> summaries;
  for (size_t i = 0; i < candidates.size(); ++i) {
    summaries.push_back(SummaryOf(candidates[i].name, results, i));
  }
  size_t paper = IndexOf(candidates, "flashcp-paper");
  size_t zigzag = IndexOf(candidates, "zigzag");
  for (size_t i = 0; i < candidates.size(); ++i) {
    Summary& summary = summaries[i];
    if (paper < candidates.size()) {
      double paper_bytes = summaries[paper].mean.kv_forward_total_bytes;
      summary.speedup_over_flashcp_paper = GeometricMeanSpeedup(results, i, paper);
      if (paper_bytes > 0) {
        summary.kv_over_flashcp_paper = summary.mean.kv_forward_total_bytes / paper_bytes;
      }
      summary.kv_over_flashcp_paper_max = LargestKvRatio(results, i, paper);
    }
    if (zigzag < candidates.size()) {
      summary.speedup_over_zigzag =
          summaries[zigzag].mean.modelled_step_ms / summary.mean.modelled_step_ms;
    }
  }
  return summaries;
}

std::string CaseTable(const Case& benchmark_case, const std::vector<SequenceResult>& results,
                      const std::vector<Summary>& summaries) {
  double documents = 0;
  for (const SequenceResult& result : results) documents += result.lengths.size();
  std::string text = absl::StrFormat(
      "%s, %d ranks of %s, %d tokens, slack %g%%: %d sequences of %.0f documents, lower bound "
      "%.3f ms (modelled)\n%s",
      benchmark_case.distribution.name, benchmark_case.problem.ranks,
      benchmark_case.problem.cluster.name, benchmark_case.tokens,
      benchmark_case.problem.slack_percent, results.size(), documents / results.size(),
      MeanBoundMs(results), TableHeading());
  for (const Summary& summary : summaries) absl::StrAppend(&text, TableRow(summary));
  return text;
}

nlohmann::ordered_json CaseJson(const Case& benchmark_case,
                                const std::vector<SequenceResult>& results,
                                const std::vector<Summary>& summaries) {
  nlohmann::ordered_json json;
  json["distribution"] = benchmark_case.distribution.name;
  const model::Cluster& cluster = benchmark_case.problem.cluster;
  json["cluster"] = cluster.name;
  json["ranks_per_node"] = cluster.ranks_per_node;
  json["intra_node"] = LinkJson(cluster.intra_node);
  json["inter_node"] = LinkJson(cluster.inter_node);
  json["ranks"] = benchmark_case.problem.ranks;
  json["tokens"] = benchmark_case.tokens;
  json["slack_percent"] = benchmark_case.problem.slack_percent;
  json["modelled_lower_bound_ms"] = MeanBoundMs(results);
  for (const Summary& summary : summaries) {
    nlohmann::ordered_json& row = json["candidates"][summary.name];
    for (const NamedFigure& figure : kFigures) row[figure.name] = summary.mean.*figure.value;
    row["modelled_step_over_bound_mean"] = summary.step_over_bound_mean;
    row["modelled_step_over_bound_max"] = summary.step_over_bound_max;
    row["modelled_speedup_over_flashcp_paper"] = summary.speedup_over_flashcp_paper;
    row["modelled_speedup_over_zigzag"] = summary.speedup_over_zigzag;
    row["kv_over_flashcp_paper"] = summary.kv_over_flashcp_paper;
    row["kv_over_flashcp_paper_max"] = summary.kv_over_flashcp_paper_max;
    row["measured_planning_ms_median"] = summary.mean.measured_planning_ms;
  }
  for (const SequenceResult& result : results) {
    nlohmann::ordered_json sequence;
    sequence["lengths"] = result.lengths;
    sequence["modelled_lower_bound_ms"] = result.modelled_lower_bound_ms;
    for (size_t i = 0; i < summaries.size(); ++i) {
      const std::string& name = summaries[i].name;
      const Figures& figures = result.figures[i];
      sequence["modelled_step_ms"][name] = figures.modelled_step_ms;
      sequence["kv_forward_total_bytes"][name] = figures.kv_forward_total_bytes;
      sequence["messages"][name] = figures.messages;
      sequence["measured_planning_ms"][name] = figures.measured_planning_ms;
    }
    json["sequences"].push_back(sequence);
  }
  return json;
}

}  // namespace flashcp::benchmarks
