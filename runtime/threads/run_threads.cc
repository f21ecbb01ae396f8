// Starts a thread a rank and returns the first error in the order of ranks.

#include "runtime/threads/run_threads.h"

#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "support/catch_exceptions.h"
#include "support/start_threads.h"

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
  std::vector<std::thread> threads = StartThreads(num_ranks, [&](int rank) {
    std::unique_ptr<Transport> transport = group->MakeTransport(rank);
    results[rank] = RunRank(run, transport.get());
    if (!results[rank].ok()) transport->Abort(results[rank]);
  });
  if (const int started = static_cast<int>(threads.size()); started < num_ranks) {
    results[started] = absl::ResourceExhaustedError(absl::StrCat(
        "the host started ", started, " of ", num_ranks, " threads, one for each rank"));
    group->MakeTransport(started)->Abort(results[started]);
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
