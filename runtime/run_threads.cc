#include "runtime/run_threads.h"

#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "support/catch_exceptions.h"

namespace flashcp {
namespace {

using RankFunction = std::function<absl::Status(Transport*)>;

// What is caught here has freed the memory of the rank already, so nothing may be under way: passes
// turn what a device or a transport throws into an error themselves.
absl::Status RunRank(const RankFunction& run, Transport* transport) {
  return CatchExceptions(absl::StrCat("rank ", transport->rank()), [&] { return run(transport); });
}

}  // namespace

absl::Status RunThreads(int num_ranks, const RankFunction& run) {
  ThreadsGroup group(num_ranks);
  return RunThreadsOf(&group, run);
}

absl::Status RunThreadsOf(ThreadsGroup* group, const RankFunction& run) {
  const int num_ranks = group->size();
  std::vector<absl::Status> results(num_ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < num_ranks; ++rank) {
    threads.emplace_back([group, &run, &result = results[rank], rank] {
      std::unique_ptr<Transport> transport = group->MakeTransport(rank);
      result = RunRank(run, transport.get());
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
