// Weighs compute and transfers of a rank, no lower than perfect balance.

#include "compiler/solver/objective.h"

#include <algorithm>

namespace flashcp::solver {
namespace {

constexpr double kExposedShare = 0.0005;  // of the shorter of compute and transfers
constexpr double kBelowShare = 0.001;     // of the time of the whole rank

double PhaseUs(double compute_us, double transfer_us) {
  return std::max(compute_us, transfer_us) + kExposedShare * std::min(compute_us, transfer_us);
}

}  // namespace

Objective::Objective(const Problem& problem) {
  for (const Document& document : problem.documents) {
    const ComputeTime least = LeastTime(problem, document);
    even_.forward_us += least.forward_us / problem.ranks;
    even_.backward_us += least.backward_us / problem.ranks;
  }
}

double Objective::RankUs(const ComputeTime& compute, const TransferTime& transfer) const {
  const double forward_us = PhaseUs(compute.forward_us, transfer.forward_us);
  const double backward_us = PhaseUs(compute.backward_us, transfer.backward_us);
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
