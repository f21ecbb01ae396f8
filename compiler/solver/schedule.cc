// Tries divisions of heads and rows, fewest first, as far as more stages can still help.

#include "compiler/solver/schedule.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "compiler/solver/schedule_time.h"
#include "compiler/solver/workspace.h"
#include "support/mebibytes.h"

namespace flashcp::solver {
namespace {

// Steps that differ by less are equal: the model is no better.
constexpr double kEqual = 0.0005;

// Rows that the fullest stage of a rank brings, about, if no limit of stages binds: shorter stages
// cost more in blocks of queries than they save in buffers.
constexpr int64_t kLeastStageRows = 1024;
// The search ends after so many numbers of stages that help no more.
constexpr int kMostWithoutGain = 3;
constexpr int kFewStages = 8;  // up to so many are tried in any case
constexpr int kMostStages = 1024;

std::vector<int> Divisors(int number) {
  std::vector<int> divisors;
  for (int i = 1; i <= number; ++i) {
    if (number % i == 0) divisors.push_back(i);
  }
  return divisors;
}

// Returns the numbers of stages to try, rising: about equal factors apart, and such multiples of
// the turns.
std::vector<int> StageCounts(const StageLoads& loads) {
  const int turns = loads.turns();
  if (turns == 0) return {0};
  int64_t rows = 0;
  for (const RankBase& rank : loads.ranks()) rows = std::max(rows, rank.rows_in);
  const int most = std::clamp<int64_t>(rows / kLeastStageRows, kFewStages, kMostStages);
  std::vector<int> counts;
  for (int unit : {1, turns}) {
    for (int factor = 1; factor * unit <= most; factor *= 2) {
      counts.push_back(factor * unit);
      if (factor > 1 && factor / 2 * 3 * unit <= most) counts.push_back(factor / 2 * 3 * unit);
    }
  }
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

// The stages of all ranks for one number of stages. Compute is added once it is needed.
struct CutLoads {
  const StageLoads& loads;
  int stages;
  std::vector<RankStage> cut;

  CutLoads(const StageLoads& loads, int stages) : loads(loads), stages(stages) {
    if (stages > 0) cut = loads.CutRows(stages);
  }

  void AddCompute() {
    if (stages > 0) loads.AddCompute(stages, &cut);
  }

  const RankStage* OfRank(int rank) const {
    return cut.data() + static_cast<size_t>(rank) * stages;
  }

  // Sets what the schedule takes of the rank that takes most.
  void SetWorkspace(Schedule* schedule) const {
    for (size_t rank = 0; rank < loads.ranks().size(); ++rank) {
      const Workspace workspace =
          WorkspaceOf(loads, loads.ranks()[rank], OfRank(rank), stages, schedule->head_groups);
      schedule->workspace_bytes = std::max(schedule->workspace_bytes, workspace.forward_bytes);
      schedule->backward_workspace_bytes =
          std::max(schedule->backward_workspace_bytes, workspace.backward_bytes);
    }
  }

  // Sets the times of the slowest rank.
  void SetTimes(Schedule* schedule) const {
    for (size_t rank = 0; rank < loads.ranks().size(); ++rank) {
      const RankBase& base = loads.ranks()[rank];
      const int groups = schedule->head_groups;
      const PacedPass forward = PlayForward(loads, base, OfRank(rank), stages, groups);
      const PacedPass backward =
          PlayBackward(loads, base, OfRank(rank), OfRank(rank), stages, groups);
      schedule->forward_us = std::max(schedule->forward_us, forward.us);
      schedule->backward_us = std::max(schedule->backward_us, backward.us);
    }
  }

  // Returns a step that no number of groups undercuts: that of compute alone.
  double LeastStepUs() const {
    ComputeTime slowest;
    for (size_t rank = 0; rank < loads.ranks().size(); ++rank) {
      ComputeTime time = loads.ranks()[rank].local;
      for (int k = 0; k < stages; ++k) {
        time.forward_us += OfRank(rank)[k].compute.forward_us;
        time.backward_us += OfRank(rank)[k].compute.backward_us;
      }
      slowest.forward_us = std::max(slowest.forward_us, time.forward_us);
      slowest.backward_us = std::max(slowest.backward_us, time.backward_us);
    }
    return slowest.forward_us + slowest.backward_us;
  }
};

int64_t Bytes(const Schedule& schedule) {
  return std::max(schedule.workspace_bytes, schedule.backward_workspace_bytes);
}

// The schedules of a placement that meet a limit.
class Search {
 public:
  Search(const StageLoads& loads, int64_t limit_bytes)
      : loads_(loads),
        limit_bytes_(limit_bytes),
        groups_(Divisors(loads.problem().heads.key_value)) {}

  // Returns the best, or null if none meets the limit.
  const Schedule* Best() {
    int without_gain = 0;
    for (int stages : StageCounts(loads_)) {
      const double before_us = best_us_;
      if (!Try(stages)) break;
      if (fitting_.empty() || best_us_ < before_us) without_gain = 0;
      if (++without_gain > kMostWithoutGain && stages >= kFewStages) break;
    }
    const Schedule* best = nullptr;
    for (const Schedule& schedule : fitting_) {
      if (schedule.StepUs() > best_us_ * (1 + kEqual)) continue;
      if (best == nullptr || schedule.head_groups < best->head_groups) best = &schedule;
    }
    return best;
  }

  // Returns the least limit that some schedule meets.
  int64_t LeastBytes() const {
    int64_t least = std::numeric_limits<int64_t>::max();
    for (int stages : StageCounts(loads_)) {
      const CutLoads cut(loads_, stages);
      for (int groups : groups_) {
        Schedule schedule{groups, stages};
        cut.SetWorkspace(&schedule);
        least = std::min(least, Bytes(schedule));
      }
    }
    return least;
  }

 private:
  // Tries all groups with a number of stages; returns false if it, and more, compute too long.
  bool Try(int stages) {
    if (LeastWorkspaceBytes(loads_, stages, groups_.back()) > limit_bytes_) return true;
    CutLoads cut(loads_, stages);
    std::vector<Schedule> schedules;
    for (int groups : groups_) {
      Schedule schedule{groups, stages};
      cut.SetWorkspace(&schedule);
      if (Bytes(schedule) <= limit_bytes_) schedules.push_back(schedule);
    }
    if (schedules.empty()) return true;
    cut.AddCompute();
    const double least_us = cut.LeastStepUs();
    if (least_us > best_us_ * (1 + kEqual)) return false;
    for (Schedule& schedule : schedules) {
      const bool as_good =
          best_us_ <= least_us * (1 + kEqual) && best_groups_ <= schedule.head_groups;
      if (as_good) break;
      cut.SetTimes(&schedule);
      fitting_.push_back(schedule);
      if (schedule.StepUs() >= best_us_) continue;
      best_us_ = schedule.StepUs();
      best_groups_ = schedule.head_groups;
    }
    return true;
  }

  const StageLoads& loads_;
  const int64_t limit_bytes_;
  const std::vector<int> groups_;
  std::vector<Schedule> fitting_;  // by rising stages, then groups
  double best_us_ = std::numeric_limits<double>::infinity();
  int best_groups_ = 0;
};

constexpr int64_t kMiB = int64_t{1} << 20;

}  // namespace

absl::StatusOr<Schedule> ChooseSchedule(const StageLoads& loads, int64_t workspace_limit_bytes) {
  const int64_t limit =
      workspace_limit_bytes > 0 ? workspace_limit_bytes : std::numeric_limits<int64_t>::max();
  Search search(loads, limit);
  if (const Schedule* best = search.Best()) return *best;
  return absl::InvalidArgumentError(
      absl::StrCat(kWorkspaceLimitTooLow, "no schedule needs ", FormatBytes(workspace_limit_bytes),
                   " or less of workspace a rank: use more ranks, or a limit in MiB of at least ",
                   (search.LeastBytes() + kMiB - 1) / kMiB));
}

std::optional<int64_t> LeastLimitMib(const absl::Status& status) {
  const absl::string_view text = status.message();
  int64_t mib;
  if (!absl::StartsWith(text, kWorkspaceLimitTooLow)) return std::nullopt;
  if (!absl::SimpleAtoi(text.substr(text.rfind(' ') + 1), &mib)) return std::nullopt;
  return mib;
}

Schedule ModelSchedule(const StageLoads& loads, int head_groups, int row_stages) {
  CutLoads cut(loads, loads.turns() > 0 ? std::max(1, row_stages) : 0);
  cut.AddCompute();
  Schedule schedule{head_groups, cut.stages};
  cut.SetWorkspace(&schedule);
  cut.SetTimes(&schedule);
  return schedule;
}

}  // namespace flashcp::solver
