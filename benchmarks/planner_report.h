// The planner benchmark's results as a table for people and as JSON for programs. Modelled and
// measured figures say which they are.

#ifndef FLASHCP_BENCHMARKS_PLANNER_REPORT_H_
#define FLASHCP_BENCHMARKS_PLANNER_REPORT_H_

#include <string>
#include <vector>

#include "benchmarks/planner_case.h"
#include "nlohmann/json.hpp"

namespace flashcp::benchmarks {

// One candidate over all sequences of a case.
struct Summary {
  std::string name;
  Figures mean;                     // measured_planning_ms is the median
  double step_over_bound_mean = 0;  // modelled step / lower bound
  double step_over_bound_max = 0;
  // Against the candidates flashcp-paper and zigzag, or 0 if they did not run.
  double speedup_over_flashcp_paper = 0;  // geometric mean of the ratios of modelled steps
  double speedup_over_zigzag = 0;         // ratio of the mean modelled steps
  double kv_over_flashcp_paper = 0;       // ratio of the forward K/V bytes of all ranks
  double kv_over_flashcp_paper_max = 0;   // of a single sequence; infinite if only the paper has 0
};

// One for each candidate. `results` holds at least one sequence.
std::vector<Summary> Summarize(const std::vector<Candidate>& candidates,
                               const std::vector<SequenceResult>& results);

// A heading that describes the case, then one line for each summary.
std::string CaseTable(const Case& benchmark_case, const std::vector<SequenceResult>& results,
                      const std::vector<Summary>& summaries);

// The case, its summaries under "candidates", and its sequences with their lengths.
nlohmann::ordered_json CaseJson(const Case& benchmark_case,
                                const std::vector<SequenceResult>& results,
                                const std::vector<Summary>& summaries);

}  // namespace flashcp::benchmarks

#endif  // FLASHCP_BENCHMARKS_PLANNER_REPORT_H_
