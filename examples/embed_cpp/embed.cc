// Attention of a packed batch from C++: a plan, its ranks as threads of this process or, under
// mpirun, as processes, a forward and a backward pass.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "flashcp.hpp"

namespace fcp = flashcp::api;

// Runs one rank of the plan and prints the sum of its gradient of V.
void RunRank(const fcp::Plan& plan, const fcp::Group& group, int rank) try {
  const flashcp_plan_info info = plan.Info();
  const size_t query_row = info.query_heads * info.head_dim;
  const size_t key_row = info.key_value_heads * info.head_dim;
  // Each rank holds the rows that the plan gives it, here of tensors that all can compute.
  std::vector<float> all(info.tokens * query_row);
  for (size_t i = 0; i < all.size(); ++i) all[i] = std::sin(0.1 * (i % 9973));
  std::vector<float> query = plan.Scatter(rank, query_row, all);
  all.resize(info.tokens * key_row);
  std::vector<float> key = plan.Scatter(rank, key_row, all), value = key;
  std::vector<float> output(query.size()), lse(query.size() / info.head_dim);
  std::vector<float> output_gradient(query.size(), 1), query_gradient(query.size());
  std::vector<float> key_gradient(key.size()), value_gradient(key.size());
  std::vector<char> saved(plan.RankInfo(rank).saved_bytes);
  const auto of = [](auto& x) { return fcp::TensorOf(x); };
  const flashcp_tensors tensors = {
      of(query),        of(key),           of(value),           of(output),
      of(lse),          of(saved),         of(output_gradient), of(query_gradient),
      of(key_gradient), of(value_gradient)};
  fcp::Executor executor(plan, group, rank);  // one serves all layers of a model
  executor.Forward(tensors);
  executor.Backward(tensors);
  const double sum = std::accumulate(value_gradient.begin(), value_gradient.end(), 0.0);
  std::printf("rank %d: %d tokens, gradient of V %.2f\n", rank, int(value.size() / key_row), sum);
} catch (const fcp::Error& error) {  // the other ranks have one, too
  std::fprintf(stderr, "%s: %s\n", flashcp_status_name(error.status()), error.what());
}

int main() {
  const bool mpi = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr;
  const fcp::Group group = mpi ? fcp::Group::Mpi() : fcp::Group::Threads(4);
  const fcp::Plan plan = fcp::Compile({{{900}, {700, "window:128"}, {448, "full"}},
                                       {{"ranks", std::to_string(group.size())},
                                        {"heads", "8:2"},
                                        {"head-dim", "64"},
                                        {"dtype", "f32"},
                                        {"cluster", "cpu"}}});
  std::vector<std::thread> threads;
  for (int rank = 0; !mpi && rank < group.size(); ++rank) {
    threads.emplace_back(RunRank, plan, group, rank);
  }
  if (mpi) RunRank(plan, group, group.rank());
  for (std::thread& thread : threads) thread.join();
}
