// Thread ranks hold all tensors twice: those of the batch, and the rows of each rank.

#include "session/ranks.h"

#include <utility>
#include <vector>

#include "runtime/threads/run_threads.h"
#include "support/status_macros.h"

namespace flashcp::session {

namespace {

class ThreadRanks : public Ranks {
 public:
  bool leads() const override { return true; }
  bool Holds(int) const override { return true; }
  absl::Status CheckNumber(const Plan&) const override { return absl::OkStatus(); }
  absl::Status Agree(const absl::Status& status) override { return status; }

  absl::Status Run(const Plan& plan, bool backward, BatchTensors* batch,
                   const std::function<absl::Status(Transport*, RankTensors*)>& run) override {
    std::vector<RankTensors> ranks;
    for (int rank = 0; rank < plan.num_ranks(); ++rank) {
      ASSIGN_OR_RETURN(RankTensors local, MakeRankTensors(plan, rank, backward));
      RETURN_IF_ERROR(ScatterBatch(plan, rank, *batch, &local));
      ranks.push_back(std::move(local));
    }
    RETURN_IF_ERROR(RunThreads(plan.num_ranks(), [&](Transport* transport) {
      return run(transport, &ranks[transport->rank()]);
    }));
    for (int rank = 0; rank < plan.num_ranks(); ++rank) {
      RETURN_IF_ERROR(GatherBatch(plan, rank, ranks[rank], batch));
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Ranks> MakeThreadRanks() { return std::make_unique<ThreadRanks>(); }

}  // namespace flashcp::session
