// The ranks of a run, as threads of this process or as processes of which this is one, and the way
// of the batch's tensors to them and back.

#ifndef FLASHCP_SESSION_RANKS_H_
#define FLASHCP_SESSION_RANKS_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "runtime/plan/plan.h"
#include "runtime/transport.h"
#include "session/rank_tensors.h"
#include "session/tensors.h"

namespace flashcp::session {

// The ranks, as seen from this process. Every process that holds some of them makes the same calls.
class Ranks {
 public:
  virtual ~Ranks() = default;

  // Returns whether this process reads, prints and writes for all ranks.
  virtual bool leads() const = 0;

  // Returns whether a rank of the plan is in this process.
  virtual bool Holds(int rank) const = 0;

  // InvalidArgument if the plan is for another number of ranks.
  virtual absl::Status CheckNumber(const Plan& plan) const = 0;

  // Calls `run` for each rank that this process holds. Inputs come from the batch of the leading
  // process, and results go there; with the tensors of a backward pass, or without.
  virtual absl::Status Run(const Plan& plan, bool backward, BatchTensors* batch,
                           const std::function<absl::Status(Transport*, RankTensors*)>& run) = 0;

  // Makes the failure of one process the failure of all: OK if `status` is OK in all of them. An
  // error that another process reports has no message.
  virtual absl::Status Agree(const absl::Status& status) = 0;
};

// Makes ranks that are threads of this process; any number.
std::unique_ptr<Ranks> MakeThreadRanks();

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_RANKS_H_
