#include "runtime/run_threads.h"

#include <memory>
#include <thread>
#include <vector>

namespace flashcp {

absl::Status RunThreads(int num_ranks, const std::function<absl::Status(Transport*)>& run) {
  ThreadsGroup group(num_ranks);
  return RunThreadsOf(&group, run);
}

absl::Status RunThreadsOf(ThreadsGroup* group, const std::function<absl::Status(Transport*)>& run) {
  const int num_ranks = group->size();
  std::vector<absl::Status> results(num_ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < num_ranks; ++rank) {
    threads.emplace_back([group, &run, &result = results[rank], rank] {
      std::unique_ptr<Transport> transport = group->MakeTransport(rank);
      result = run(transport.get());
      if (!result.ok()) transport->Abort(result);
    });
  }
  for (std::thread& thread : threads) thread.join();
  absl::Status first;
  for (const absl::Status& result : results) {
    if (result.ok()) continue;
    if (!absl::IsAborted(result)) return result;
    if (first.ok()) first = result;
  }
  return first;
}

}  // namespace flashcp
