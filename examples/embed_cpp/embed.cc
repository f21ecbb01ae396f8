// Attention of a packed batch from C++: a plan, its ranks as threads of this process or, under
// mpirun, as processes, a forward and a backward pass.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "flashcp.hpp"

namespace fcp = flashcp::api;

// Runs one rank of the plan and returns the sum of its gradient of V.
double RunRank(const fcp::Plan& plan, const fcp::Group& group, int rank) {
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
  const flashcp_tensors tensors = {fcp::TensorOf(query),
                                   fcp::TensorOf(key),
                                   fcp::TensorOf(value),
                                   fcp::TensorOf(output),
                                   fcp::TensorOf(lse),
                                   fcp::TensorOf(saved),
                                   fcp::TensorOf(output_gradient),
                                   fcp::TensorOf(query_gradient),
                                   fcp::TensorOf(key_gradient),
                                   fcp::TensorOf(value_gradient)};

  fcp::Executor executor(plan, group, rank);  // one serves all layers of a model
  executor.Forward(tensors);
  executor.Backward(tensors);
  double sum = 0;
  for (float x : value_gradient) sum += x;
  return sum;
}

// Runs a rank and says how that went.
void Report(const fcp::Plan& plan, const fcp::Group& group, int rank) try {
  const double sum = RunRank(plan, group, rank);
  std::printf("rank %d: %d tokens, gradient of V %.2f\n", rank,
              static_cast<int>(plan.RankInfo(rank).tokens), sum);
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
    threads.emplace_back(Report, plan, group, rank);
  }
  if (mpi) Report(plan, group, group.rank());
  for (std::thread& thread : threads) thread.join();
}
