// flashcp run: executes a plan on all ranks, threads of this process, and says how long it took and
// whether the result is exact attention.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "runtime/device.h"
#include "runtime/executor.h"
#include "runtime/layout.h"
#include "runtime/run_threads.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/flags.h"
#include "tools/cli/plan_file.h"
#include "tools/cli/tensors.h"

namespace flashcp::cli {
namespace {

// What the text of the flags means.
struct RunOptions {
  int64_t iterations;
  int64_t seed;
};

absl::StatusOr<RunOptions> ParseOptions(const RunFlags& flags) {
  RETURN_IF_ERROR(NameFlag("--transport", "transport", flags.transport, {"threads"}).status());
  RETURN_IF_ERROR(NameFlag("--device", "device", flags.device, {"cpu"}).status());
  RunOptions options;
  ASSIGN_OR_RETURN(options.iterations, IntegerFlag("--iterations", flags.iterations, 1, 1000000));
  ASSIGN_OR_RETURN(options.seed, IntegerFlag("--seed", flags.seed, 0, 1000000000));
  return options;
}

// The tensors of one rank, rows in the order of its layout.
struct RankTensors {
  std::vector<char> query, key, value, output, lse;
};

std::vector<RankTensors> Scatter(const Plan& plan, const BatchTensors& batch) {
  RowBytes row = RowBytesOf(plan);
  std::vector<RankTensors> ranks(plan.num_ranks());
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    int64_t tokens = RankTokens(plan, rank);
    RankTensors& local = ranks[rank];
    local.query.resize(tokens * row.query);
    local.key.resize(tokens * row.key_value);
    local.value.resize(tokens * row.key_value);
    local.output.resize(tokens * row.query);
    local.lse.resize(tokens * row.lse);
    ScatterRows(plan, rank, row.query, batch.query.data(), local.query.data());
    ScatterRows(plan, rank, row.key_value, batch.key.data(), local.key.data());
    ScatterRows(plan, rank, row.key_value, batch.value.data(), local.value.data());
  }
  return ranks;
}

void Gather(const Plan& plan, const std::vector<RankTensors>& ranks, BatchTensors* batch) {
  RowBytes row = RowBytesOf(plan);
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    GatherRows(plan, rank, row.query, ranks[rank].output.data(), &batch->output[0]);
    GatherRows(plan, rank, row.lse, ranks[rank].lse.data(), &batch->lse[0]);
  }
}

// All iterations of one rank. Ranks start each together; `slowest_ms` gets the time of the rank
// that took longest.
absl::Status RunRank(const Plan& plan, int64_t iterations, Transport* transport, RankTensors* local,
                     std::vector<double>* slowest_ms) {
  const absl::Duration timeout = ExecutorOptions().timeout;
  std::unique_ptr<Device> device = CreateCpuDevice();
  ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                   Executor::Create(plan, transport->rank(), transport, device.get()));
  ForwardTensors tensors = {local->query.data(), local->key.data(), local->value.data(),
                            local->output.data(), reinterpret_cast<float*>(local->lse.data())};
  for (int64_t i = 0; i < iterations; ++i) {
    RETURN_IF_ERROR(transport->AllGather(0, timeout).status());
    auto start = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(executor->Forward(tensors));
    std::chrono::nanoseconds elapsed = std::chrono::steady_clock::now() - start;
    ASSIGN_OR_RETURN(std::vector<uint64_t> all, transport->AllGather(elapsed.count(), timeout));
    slowest_ms->push_back(*std::max_element(all.begin(), all.end()) / 1e6);
  }
  return absl::OkStatus();
}

// Runs the plan on the batch; the times of the iterations in ascending order.
absl::StatusOr<std::vector<double>> Run(const Plan& plan, int64_t iterations, BatchTensors* batch) {
  std::vector<RankTensors> ranks = Scatter(plan, *batch);
  std::vector<std::vector<double>> times_ms(plan.num_ranks());
  RETURN_IF_ERROR(RunThreads(plan.num_ranks(), [&](Transport* transport) {
    int rank = transport->rank();
    return RunRank(plan, iterations, transport, &ranks[rank], &times_ms[rank]);
  }));
  Gather(plan, ranks, batch);
  std::sort(times_ms[0].begin(), times_ms[0].end());
  return times_ms[0];
}

std::string Summary(const Plan& plan, const std::vector<double>& times_ms) {
  const fbs::HeadShape& heads = *plan->heads();
  return absl::StrFormat(
      "%d tokens on %d ranks, heads %d:%d of %d, %s, transport threads, device cpu\n"
      "forward: %.3f ms, the median of %d (fastest %.3f), measured on this machine\n",
      TotalTokens(plan), plan.num_ranks(), heads.query(), heads.key_value(), heads.dim(),
      fbs::EnumNameDType(plan->dtype()), times_ms[times_ms.size() / 2], times_ms.size(),
      times_ms[0]);
}

// Prints the largest errors; an error where they are out of tolerance.
absl::Status Check(const Plan& plan, const BatchTensors& batch, const Console& console) {
  CheckResult result = CheckTensors(plan, batch);
  std::string errors = absl::StrFormat("max error O %.2e (allowed %.2e), LSE %.2e (allowed %.2e)",
                                       result.output_error, result.output_allowed, result.lse_error,
                                       result.lse_allowed);
  if (!result.ok()) {
    return absl::DataLossError(absl::StrCat("check failed against float64: ", errors));
  }
  return console.Print(absl::StrCat("check against float64: ok, ", errors, "\n"));
}

}  // namespace

absl::Status RunCommand(const RunFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(RunOptions options, ParseOptions(flags));
  ASSIGN_OR_RETURN(Plan plan, LoadVerifiedPlan(flags.plan));
  std::optional<TensorWriter> writer;
  BatchTensors batch;
  if (flags.inputs.empty()) {
    batch = RandomTensors(plan, options.seed);
  } else {
    ASSIGN_OR_RETURN(batch, ReadTensors(plan, flags.inputs));
  }
  if (!flags.outputs.empty()) {
    ASSIGN_OR_RETURN(TensorWriter created, TensorWriter::Create(flags.outputs));
    writer.emplace(std::move(created));
  }
  ASSIGN_OR_RETURN(std::vector<double> times_ms, Run(plan, options.iterations, &batch));
  if (writer) RETURN_IF_ERROR(writer->Write(plan, batch));
  RETURN_IF_ERROR(console.Print(Summary(plan, times_ms)));
  return flags.check ? Check(plan, batch, console) : absl::OkStatus();
}

}  // namespace flashcp::cli
