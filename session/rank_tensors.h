// The tensors of one rank, rows in the order of its layout, and their way out of a batch and back.

#ifndef FLASHCP_SESSION_RANK_TENSORS_H_
#define FLASHCP_SESSION_RANK_TENSORS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/plan/plan.h"
#include "session/tensors.h"

namespace flashcp::session {

struct RankTensors {
  std::vector<char> query, key, value, output, lse;
  std::vector<char> saved;  // from forward to backward
  // Empty without a backward pass.
  std::vector<char> output_gradient, query_gradient, key_gradient, value_gradient;

  // Return the tensors that the rank is given, and those that it makes.
  std::vector<std::vector<char>*> Inputs() { return {&query, &key, &value, &output_gradient}; }
  std::vector<std::vector<char>*> Results() {
    return {&output, &lse, &query_gradient, &key_gradient, &value_gradient};
  }
};

// Makes room for the tensors of a rank. InvalidArgument for a rank that the plan does not have,
// here and below.
absl::StatusOr<RankTensors> MakeRankTensors(const Plan& plan, int rank, bool backward);
// Copies the rank's rows of the inputs out of a batch.
absl::Status ScatterBatch(const Plan& plan, int rank, const BatchTensors& batch,
                          RankTensors* local);
// Copies the rank's results into a batch.
absl::Status GatherBatch(const Plan& plan, int rank, const RankTensors& local, BatchTensors* batch);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_RANK_TENSORS_H_
