// Tries the other strategies that could be shorter: no schedule is shorter than its placement's
// step.

#include "compiler/solver/place_for_schedule.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/schedule.h"
#include "compiler/solver/strategies.h"
#include "support/status_macros.h"

namespace flashcp::solver {
namespace {

// More than the alignment of all places of a rank: three of keys, of values, and two of each sum.
constexpr int64_t kAlignmentBytes = 1024;

// The placement with the shortest schedule so far.
class Shortest {
 public:
  Shortest(const Problem& problem, int64_t workspace_limit_bytes, Placement first)
      : problem_(problem), limit_bytes_(workspace_limit_bytes), best_(std::move(first)) {
    us_ = ScheduledUs(best_);
  }

  double us() const { return us_; }

  void Consider(Placement placement) {
    if (Evaluate(problem_, placement).StepUs() >= us_) return;
    const double us = ScheduledUs(placement);
    if (us >= us_) return;
    us_ = us;
    best_ = std::move(placement);
  }

  Placement Take() { return std::move(best_); }

 private:
  // Without a schedule that meets the limit, infinite.
  double ScheduledUs(const Placement& placement) const {
    const absl::StatusOr<Schedule> schedule =
        ChooseSchedule(StageLoads(problem_, placement), limit_bytes_);
    return schedule.ok() ? schedule->StepUs() : std::numeric_limits<double>::infinity();
  }

  const Problem& problem_;
  const int64_t limit_bytes_;
  Placement best_;
  double us_;
};

}  // namespace

int64_t LimitWithSavedRows(int64_t workspace_limit_bytes, int64_t memory_budget_bytes) {
  if (workspace_limit_bytes == 0 || memory_budget_bytes == 0) return workspace_limit_bytes;
  return std::max<int64_t>(1, workspace_limit_bytes - kAlignmentBytes);
}

absl::StatusOr<Placement> PlaceForSchedule(absl::string_view strategy, const Problem& problem,
                                           double budget_ms, int64_t workspace_limit_bytes) {
  ASSIGN_OR_RETURN(Placement placement, Place(strategy, problem, budget_ms));
  if (strategy != "auto") return placement;
  Shortest shortest(problem, workspace_limit_bytes, std::move(placement));
  for (Placement (*place)(const Problem&) : {PlaceContiguous, PlaceZigzag, PlaceWholeDoc}) {
    shortest.Consider(place(problem));
  }
  if (LeastPaperStepUs(problem) >= shortest.us()) return shortest.Take();
  if (std::optional<Placement> paper = PlaceFlashcpPaperBelow(problem, shortest.us())) {
    shortest.Consider(*std::move(paper));
    shortest.Consider(PlacePerDoc(problem));
  }
  return shortest.Take();
}

}  // namespace flashcp::solver
