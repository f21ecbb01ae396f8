// Where the ranks of a run are, threads of this process or the processes of an mpirun, and how the
// tensors of the batch reach them.

#ifndef FLASHCP_TOOLS_CLI_RANKS_H_
#define FLASHCP_TOOLS_CLI_RANKS_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/plan/plan.h"
#include "runtime/transport.h"
#include "tools/cli/tensors.h"

namespace flashcp::cli {

// The tensors of one rank, rows in the order of its layout.
struct RankTensors {
  std::vector<char> query, key, value, output, lse;
  std::vector<char> saved;  // from forward to backward
  // Empty without a backward pass.
  std::vector<char> output_gradient, query_gradient, key_gradient, value_gradient;

  // What the rank is given, and what it makes.
  std::vector<std::vector<char>*> Inputs() { return {&query, &key, &value, &output_gradient}; }
  std::vector<std::vector<char>*> Results() {
    return {&output, &lse, &query_gradient, &key_gradient, &value_gradient};
  }
};

// Room for the tensors of a rank; its rows out of a batch; its results back into one.
RankTensors MakeRankTensors(const Plan& plan, int rank, bool backward);
void ScatterBatch(const Plan& plan, int rank, const BatchTensors& batch, RankTensors* local);
void GatherBatch(const Plan& plan, int rank, const RankTensors& local, BatchTensors* batch);

// The ranks, as seen from this process. Every process that holds some of them makes the same calls.
class Ranks {
 public:
  virtual ~Ranks() = default;

  // Whether this process reads, prints and writes for all ranks.
  virtual bool leads() const = 0;

  // Whether a rank of the plan is in this process.
  virtual bool Holds(int rank) const = 0;

  // InvalidArgument where these are not as many as the plan has.
  virtual absl::Status CheckNumber(const Plan& plan) const = 0;

  // Calls run for each rank that this process holds. Inputs come from the batch of the leading
  // process, and results go there; with those of a backward pass, or without.
  virtual absl::Status Run(const Plan& plan, bool backward, BatchTensors* batch,
                           const std::function<absl::Status(Transport*, RankTensors*)>& run) = 0;

  // Makes the failure of one process that of all: OK where `status` is OK in all of them. An error
  // that another process reports has no message.
  virtual absl::Status Agree(const absl::Status& status) = 0;
};

std::unique_ptr<Ranks> MakeThreadRanks();

// Joins the processes that mpirun has started; InvalidArgument where it has not. Destroying it ends
// MPI for this process. `timeout` is that of every wait for another process, except in Agree.
absl::StatusOr<std::unique_ptr<Ranks>> MakeMpiRanks(absl::Duration timeout);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_RANKS_H_
