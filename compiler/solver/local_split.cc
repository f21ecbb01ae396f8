// Shares a rank's modelled backward time among its stages, and tries splits of its local tiles.

#include "compiler/solver/local_split.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "compiler/solver/stages.h"

namespace flashcp::solver {
namespace {

// Splits are tried at about this fraction, 1/16, of the local work from each other.
constexpr int kParts = 16;

// Splits that differ by less are equal: the model is no better.
constexpr double kEqual = 0.005;

// The first local tiles: their number and their work.
struct LocalPart {
  int64_t tiles = 0;
  double pairs = 0;
};

// Returns parts of the local tiles at about equal distances, from none to all.
std::vector<LocalPart> PartsOf(const std::vector<double>& tiles, double local_pairs) {
  std::vector<LocalPart> parts = {{0, 0}};
  double pairs = 0;
  for (size_t i = 0; i < tiles.size(); ++i) {
    pairs += tiles[i];
    if (pairs - parts.back().pairs >= local_pairs / kParts || i + 1 == tiles.size()) {
      parts.push_back({static_cast<int64_t>(i + 1), pairs});
    }
  }
  return parts;
}

// Returns the remote stages: shares of the rank's work by pairs, and of its transfers by rows.
std::vector<BackwardStage> StagesOf(const std::vector<RemoteWork>& remote, double pair_us,
                                    double transfer_us) {
  double total = 0;
  for (const RemoteWork& stage : remote) total += stage.rows;
  std::vector<BackwardStage> stages;
  for (const RemoteWork& stage : remote) {
    const double share = total > 0 ? stage.rows / total : 1.0 / remote.size();
    const double resent = stage.rows > 0 ? 1 - stage.saved_rows / stage.rows : 1;
    stages.push_back({transfer_us * share * resent, pair_us * stage.pairs, transfer_us * share});
  }
  return stages;
}

}  // namespace

int64_t LocalTilesFirst(const BackwardWork& work, const RankCost& cost) {
  if (work.remote.empty()) return work.local_pairs.size();
  const double local_pairs = std::accumulate(work.local_pairs.begin(), work.local_pairs.end(), 0.0);
  double pairs = local_pairs;
  for (const RemoteWork& stage : work.remote) pairs += stage.pairs;
  const double pair_us = cost.compute_backward_us / std::max(1.0, pairs);
  const std::vector<BackwardStage> stages =
      StagesOf(work.remote, pair_us, cost.transfer_backward_us / 2);
  const std::vector<LocalPart> parts = PartsOf(work.local_pairs, local_pairs);
  auto us = [&](const LocalPart& part) {
    return BackwardUs(stages, pair_us * part.pairs, pair_us * (local_pairs - part.pairs));
  };
  double least_us = us(parts.front());
  for (const LocalPart& part : parts) least_us = std::min(least_us, us(part));
  const bool resends = std::any_of(stages.begin(), stages.end(),
                                   [](const BackwardStage& stage) { return stage.resend_us > 0; });
  const double wanted = resends ? local_pairs / 2 : 0;
  auto off = [&](const LocalPart& part) { return std::abs(part.pairs - wanted); };
  const LocalPart* best = nullptr;
  for (const LocalPart& part : parts) {
    if (us(part) > least_us * (1 + kEqual)) continue;
    if (best == nullptr || off(part) <= off(*best)) best = &part;
  }
  return best->tiles;
}

}  // namespace flashcp::solver
