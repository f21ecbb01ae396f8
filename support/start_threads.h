// A start of threads on a host that may have no more of them.

#ifndef FLASHCP_SUPPORT_START_THREADS_H_
#define FLASHCP_SUPPORT_START_THREADS_H_

#include <system_error>
#include <thread>
#include <vector>

namespace flashcp {

// Starts threads that call run(0), run(1), ... up to run(count - 1); fewer of them if the host
// starts no more. The caller joins them.
template <typename Run>
std::vector<std::thread> StartThreads(int count, const Run& run) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  try {
    for (int i = 0; i < count; ++i) threads.emplace_back(run, i);
  } catch (const std::system_error&) {
  }
  return threads;
}

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_START_THREADS_H_
