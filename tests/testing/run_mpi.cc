// Runs the tests of each process and gathers their results.

#include "tests/testing/run_mpi.h"

#include <mpi.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "runtime/mpi/mpi_transport.h"

namespace flashcp::testing {
namespace {

struct Result {
  int32_t code = 0;
  std::array<char, 2048> text = {};
};

// The results of all processes. Unlike MPI's own, this wait leaves the cores to the others.
std::vector<Result> GatherResults(const absl::Status& status) {
  Result mine;
  mine.code = static_cast<int32_t>(status.code());
  status.message().substr(0, mine.text.size() - 1).copy(mine.text.data(), mine.text.size() - 1);
  int size;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  std::vector<Result> results(size);
  MPI_Request request;
  MPI_Iallgather(&mine, sizeof(Result), MPI_BYTE, results.data(), sizeof(Result), MPI_BYTE,
                 MPI_COMM_WORLD, &request);
  for (int done = 0; true;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done) return results;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

absl::Status RunRank(MPI_Comm ranks, const std::function<absl::Status(Transport*)>& run) {
  absl::StatusOr<std::unique_ptr<Transport>> transport = MakeMpiTransport(ranks);
  if (!transport.ok()) return transport.status();
  absl::Status result = run(transport->get());
  if (!result.ok()) (*transport)->Abort(result);
  return result;
}

}  // namespace

absl::Status RunMpi(int num_ranks, const std::function<absl::Status(Transport*)>& run) {
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size < num_ranks) {
    return absl::InvalidArgumentError(
        absl::StrCat("the test needs ", num_ranks, " processes, mpirun started ", size));
  }
  MPI_Comm ranks;
  MPI_Comm_split(MPI_COMM_WORLD, rank < num_ranks ? 0 : MPI_UNDEFINED, rank, &ranks);
  absl::Status mine;
  if (ranks != MPI_COMM_NULL) {
    mine = RunRank(ranks, run);
    MPI_Comm_free(&ranks);
  }
  absl::Status first;
  for (const Result& result : GatherResults(mine)) {
    absl::Status status(static_cast<absl::StatusCode>(result.code), result.text.data());
    if (status.ok()) continue;
    if (!absl::IsAborted(status)) return status;
    if (first.ok()) first = status;
  }
  return first;
}

}  // namespace flashcp::testing
