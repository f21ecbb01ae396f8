// Time of one compilation in process, all passes and emission, by a compiler that has planned
// before. The limit for 128K tokens on 8 ranks is 5 ms for each strategy but auto.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "benchmarks/distributions.h"
#include "compiler/compile.h"
#include "compiler/solver/strategies.h"
#include "model/cluster.h"

namespace flashcp {
namespace {

struct Size {
  const char* name;
  int64_t tokens;
  int documents;
  int ranks;
  const char* cluster;
};

constexpr Size kSizes[] = {
    {"128K_tokens/100_documents/8_ranks", int64_t{1} << 17, 100, 8, "h100x8"},
    {"1M_tokens/1000_documents/64_ranks", int64_t{1} << 20, 1000, 64, "h100x64"},
};

void Compile(benchmark::State& state, const Size& size, const std::string& strategy) {
  CompileRequest request;
  request.strategy = strategy;
  request.problem.ranks = size.ranks;
  request.problem.cluster = model::ClusterPreset(size.cluster).value();
  const benchmarks::Distribution lengths =
      benchmarks::MakeDistribution(absl::StrCat("documents:", size.documents)).value();
  for (int64_t length : lengths.Sequence(size.tokens, size.ranks, /*index=*/1)) {
    request.problem.documents.push_back({length, {}});
  }
  Compiler compiler;
  size_t bytes = 0;
  for (auto _ : state) {
    absl::StatusOr<Plan> plan = compiler.Compile(request);
    if (!plan.ok()) return state.SkipWithError(plan.status().ToString().c_str());
    bytes = plan->bytes().size();
  }
  state.counters["plan_bytes"] = static_cast<double>(bytes);
}

void RegisterAll() {
  for (const Size& size : kSizes) {
    for (const std::string& strategy : solver::StrategyNames()) {
      const std::string name = absl::StrCat("Compile/", size.name, "/", strategy);
      benchmark::RegisterBenchmark(name.c_str(), Compile, size, strategy)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace
}  // namespace flashcp

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  flashcp::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
}
