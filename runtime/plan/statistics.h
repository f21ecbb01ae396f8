// What a plan holds, in numbers: per rank tokens, work, traffic and memory, of all groups of heads.
// Counted from the plan alone; times are the cost model's, in the plan's own `modelled` field.

#ifndef FLASHCP_RUNTIME_PLAN_STATISTICS_H_
#define FLASHCP_RUNTIME_PLAN_STATISTICS_H_

#include <cstdint>
#include <vector>

#include "runtime/plan/plan.h"

namespace flashcp {

struct RankStatistics {
  uint64_t tokens = 0;
  // (query, key) pairs that the masks allow among the rank's tiles, for one head: where tiles have
  // some of the heads only, they count by their share of the query heads.
  uint64_t pairs = 0;
  uint64_t receive_bytes_forward = 0;  // payload of K and V
  uint64_t send_bytes_forward = 0;
  // Payload of K and V that are not saved, which are sent again, and of all dK and dV, which come
  // home to the owner: each row of the former crosses the same pair of ranks as in forward, in the
  // same direction, each row of the latter in the other one.
  uint64_t receive_bytes_backward = 0;
  uint64_t send_bytes_backward = 0;
  uint64_t messages = 0;          // sends and receives of the forward program
  uint64_t receive_messages = 0;  // its receives: over all ranks, each message once
  uint64_t segments = 0;          // contiguous query ranges
  // Scratch memory besides the caller's tensors: the larger of both passes, which may share it.
  uint64_t workspace_bytes = 0;
  uint64_t saved_bytes = 0;         // memory that forward fills and backward reads
  uint64_t forward_peak_bytes = 0;  // Q, K, V, O, LSE, saved memory and the forward workspace
  // Both passes: workspace, saved memory, Q, K, V, O, LSE and the gradients of the first four.
  uint64_t peak_bytes = 0;
};

struct PlanStatistics {
  uint64_t tokens = 0;
  std::vector<RankStatistics> ranks;
  double work_imbalance = 1;         // most pairs of a rank / mean; 1 if there are none
  double token_imbalance = 1;        // most tokens of a rank / mean; 1 if there are none
  uint64_t receive_bytes_max = 0;    // forward, of the rank that receives most
  uint64_t receive_bytes_total = 0;  // forward, of all ranks
};

// Time in proportion to the tables. Safe on any plan that loads; the numbers mean
// something for one that passes VerifyPlan.
PlanStatistics ComputeStatistics(const Plan& plan);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PLAN_STATISTICS_H_
