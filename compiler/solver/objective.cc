// Weighs compute and transfers of a rank, no lower than perfect balance.

#include "compiler/solver/objective.h"

#include <algorithm>

namespace flashcp::solver {
namespace {

constexpr double kExposedInside = 0.0005;
constexpr double kExposedBetweenNodes = 0.1;
constexpr double kBelowShare = 0.001;  // of the time of the whole rank

}  // namespace

Objective::Objective(const Problem& problem)
    : exposed_share_(problem.ranks > problem.cluster.ranks_per_node ? kExposedBetweenNodes
                                                                    : kExposedInside) {
  const int64_t cap = problem.TokenCap();
  for (const Document& document : problem.documents) {
    const ComputeTime least = LeastTime(problem, document, cap);
    even_.forward_us += least.forward_us / problem.ranks;
    even_.backward_us += least.backward_us / problem.ranks;
  }
}

double Objective::RankUs(const ComputeTime& compute, const TransferTime& transfer) const {
  auto phase_us = [this](double compute_us, double transfer_us) {
    return std::max(compute_us, transfer_us) + exposed_share_ * std::min(compute_us, transfer_us);
  };
  const double forward_us = phase_us(compute.forward_us, transfer.forward_us);
  const double backward_us = phase_us(compute.backward_us, transfer.backward_us);
  return std::max(forward_us, even_.forward_us) + std::max(backward_us, even_.backward_us) +
         kBelowShare * (forward_us + backward_us);
}

double Objective::StepUs(const PlacementCost& cost) const {
  double slowest = 0;
  for (const RankCost& rank : cost.ranks) {
    slowest = std::max(slowest, RankUs({rank.compute_forward_us, rank.compute_backward_us},
                                       {rank.transfer_forward_us, rank.transfer_backward_us}));
  }
  return slowest;
}

}  // namespace flashcp::solver
