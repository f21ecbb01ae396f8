// Measures what the C interface adds to a pass: the same tiny plan by flashcp_forward of
// libflashcp.so and by the C++ executor, in turn, so that a busy host slows both.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "flashcp.hpp"
#include "runtime/cpu/cpu_device.h"
#include "runtime/executor.h"
#include "runtime/plan/plan.h"
#include "runtime/threads/threads_transport.h"
#include "support/status_macros.h"

namespace flashcp::benchmarks {
namespace {

constexpr int kBatches = 200;
constexpr int kCalls = 500;  // of a batch

// One document of one token and one head of 8: as little work as a pass can have.
api::Plan TinyPlan() {
  return api::Compile({{{1}},
                       {{"ranks", "1"},
                        {"heads", "1:1"},
                        {"head-dim", "8"},
                        {"dtype", "f32"},
                        {"cluster", "cpu"}}});
}

template <typename Call>
double MicrosecondsOf(const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kCalls; ++i) call();
  const std::chrono::duration<double, std::micro> elapsed =
      std::chrono::steady_clock::now() - start;
  return elapsed.count() / kCalls;
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

absl::Status Run() {
  const api::Plan plan = TinyPlan();
  std::vector<float> query(8, 1), key(8, 1), value(8, 1), output(8), lse(1);

  const api::Group group = api::Group::Threads(1);
  api::Executor c_executor(plan, group, 0);
  flashcp_tensors tensors = {};
  tensors.query = api::TensorOf(query), tensors.key = api::TensorOf(key);
  tensors.value = api::TensorOf(value), tensors.output = api::TensorOf(output);
  tensors.lse = api::TensorOf(lse);

  ASSIGN_OR_RETURN(const Plan cpp_plan, Plan::FromBytes(plan.Bytes()));
  ThreadsGroup ranks(1);
  const std::unique_ptr<Transport> transport = ranks.MakeTransport(0);
  const std::unique_ptr<Device> device = CreateCpuDevice();
  ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                   Executor::Create(cpp_plan, 0, transport.get(), device.get()));

  std::vector<double> c_us, cpp_us;
  for (int batch = 0; batch < kBatches; ++batch) {
    c_us.push_back(MicrosecondsOf([&] { c_executor.Forward(tensors); }));
    cpp_us.push_back(MicrosecondsOf([&] {
      executor->Forward({query, key, value, output, lse, {}}).IgnoreError();
    }));
  }
  std::printf("forward of one token, median of %d batches of %d calls, us a call\n", kBatches,
              kCalls);
  std::printf("C++ executor %.3f, flashcp_forward %.3f, difference %.3f\n", Median(cpp_us),
              Median(c_us), Median(c_us) - Median(cpp_us));
  return absl::OkStatus();
}

}  // namespace
}  // namespace flashcp::benchmarks

int main() {
  const absl::Status status = flashcp::benchmarks::Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "api_benchmark: %s\n", std::string(status.message()).c_str());
  return 1;
}
