// Plays each rank by itself, and keeps the local work that it did before its waits.

#include "compiler/solver/pacing.h"

#include <cstddef>

#include "compiler/solver/schedule_time.h"

namespace flashcp::solver {
namespace {

std::vector<RankStage> Cut(const StageLoads& loads, int stages, const std::vector<bool>& saved) {
  return stages > 0 ? loads.CutRows(stages, saved) : std::vector<RankStage>();
}

// Calls play(base, first stage of the rank) for each rank.
template <typename Play>
std::vector<std::vector<double>> OfRanks(const StageLoads& loads, const Play& play) {
  std::vector<std::vector<double>> paces;
  for (size_t rank = 0; rank < loads.ranks().size(); ++rank) {
    paces.push_back(play(loads.ranks()[rank], rank).before);
  }
  return paces;
}

}  // namespace

std::vector<std::vector<double>> PaceForward(const StageLoads& loads, int head_groups,
                                             int row_stages) {
  std::vector<RankStage> stages = Cut(loads, row_stages, {});
  if (row_stages > 0) loads.AddCompute(row_stages, &stages);
  return OfRanks(loads, [&](const RankBase& base, size_t rank) {
    return PlayForward(loads, base, stages.data() + rank * row_stages, row_stages, head_groups);
  });
}

std::vector<std::vector<double>> PaceBackward(const StageLoads& loads,
                                              const std::vector<bool>& saved, int head_groups,
                                              int row_stages) {
  std::vector<RankStage> stages = Cut(loads, row_stages, {});
  if (row_stages > 0) loads.AddCompute(row_stages, &stages);
  const std::vector<RankStage> resent = Cut(loads, row_stages, saved);
  return OfRanks(loads, [&](const RankBase& base, size_t rank) {
    return PlayBackward(loads, base, stages.data() + rank * row_stages,
                        resent.data() + rank * row_stages, row_stages, head_groups);
  });
}

}  // namespace flashcp::solver
