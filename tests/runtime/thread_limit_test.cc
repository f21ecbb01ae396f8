// Where the host starts no more threads, who asked for them gets an error; nothing hangs or ends
// the process.

#include <pthread.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/threads/run_threads.h"

namespace flashcp {
namespace {

using ::testing::HasSubstr;

constexpr int kManyThreads = 512;

// Room for the stacks of some threads, while it lives.
class FewThreads {
 public:
  FewThreads() {
    getrlimit(RLIMIT_AS, &before_);
    rlimit few = before_;
    few.rlim_cur = UsedBytes() + 20 * StackBytes();
    setrlimit(RLIMIT_AS, &few);
  }
  ~FewThreads() { setrlimit(RLIMIT_AS, &before_); }

 private:
  static rlim_t UsedBytes() {
    long pages = 0;
    FILE* file = fopen("/proc/self/statm", "r");
    EXPECT_EQ(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages * 4096;
  }

  static rlim_t StackBytes() {
    pthread_attr_t attributes;
    EXPECT_EQ(pthread_getattr_default_np(&attributes), 0);
    size_t bytes = 0;
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
    return bytes;
  }

  rlimit before_;
};

TEST(ThreadLimitTest, APoolHasFewerWorkersAndTheyWork) {
  FewThreads limit;
  WorkerPool pool(kManyThreads);
  EXPECT_GE(pool.size(), 1);
  EXPECT_LT(pool.size(), kManyThreads);
  std::atomic<int> calls{0};
  pool.Run([&](int) { ++calls; });
  EXPECT_EQ(calls, pool.size());
}

TEST(ThreadLimitTest, ADeviceFindsNoKernels) {
  for (const char* kernels : {"generated", "reference"}) {
    CpuDeviceOptions options;
    options.kernels = kernels;
    options.threads = kManyThreads;
    FewThreads limit;
    const absl::Status status =
        CreateCpuDevice(options)->FindKernels({model::DType::kF32, 1, 1, 64, 64, 0.125f}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << kernels;
    EXPECT_THAT(std::string(status.message()), HasSubstr("of 512 threads that compute"));
  }
}

TEST(ThreadLimitTest, RanksThatRunGetTheReason) {
  FewThreads limit;
  const absl::Status status = RunThreads(kManyThreads, [](Transport* transport) {
    return transport->AllGather(1, absl::InfiniteDuration()).status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("of 512 threads, one for each rank"));
}

}  // namespace
}  // namespace flashcp
