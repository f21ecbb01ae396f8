// flashcp run: executes a plan on all ranks, and says how long it took and whether the result is
// exact attention.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
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
#include "runtime/trace.h"
#include "runtime/transport.h"
#include "support/files.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/finite.h"
#include "tools/cli/flags.h"
#include "tools/cli/plan_file.h"
#include "tools/cli/ranks.h"
#include "tools/cli/tensors.h"
#include "tools/cli/trace_file.h"

namespace flashcp::cli {
namespace {

// What the text of the flags means.
struct RunOptions {
  int64_t iterations;
  int64_t seed;
  bool backward;
  bool trace;
  absl::Duration timeout;  // of every wait for another rank
};

absl::StatusOr<RunOptions> ParseOptions(const RunFlags& flags) {
  RETURN_IF_ERROR(
      NameFlag("--transport", "transport", flags.transport, {"threads", "mpi"}).status());
  RETURN_IF_ERROR(NameFlag("--device", "device", flags.device, {"cpu"}).status());
  RunOptions options;
  ASSIGN_OR_RETURN(options.iterations, IntegerFlag("--iterations", flags.iterations, 1, 1000000));
  ASSIGN_OR_RETURN(options.seed, IntegerFlag("--seed", flags.seed, 0, 1000000000));
  ASSIGN_OR_RETURN(int64_t seconds, IntegerFlag("--timeout", flags.timeout, 1, 1000000));
  options.timeout = absl::Seconds(seconds);
  options.backward = flags.backward;
  options.trace = !flags.trace.empty();
  return options;
}

// Adds to an error of an iteration, or between two, where it happened.
absl::Status At(absl::string_view place, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(place, ": ", status.message()));
}

// Milliseconds of the slowest rank, one for each iteration.
struct Times {
  std::vector<double> forward, backward;
};

// Runs one pass on one rank. Ranks start together; `slowest_ms` gets the time of the rank that took
// longest.
absl::Status TimePass(const std::string& place, absl::Duration timeout, Transport* transport,
                      const std::function<absl::Status()>& pass, std::vector<double>* slowest_ms) {
  const std::string between = absl::StrCat(place, ", rank ", transport->rank());
  RETURN_IF_ERROR(At(between, transport->AllGather(0, timeout).status()));
  auto start = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(At(place, pass()));
  std::chrono::nanoseconds elapsed = std::chrono::steady_clock::now() - start;
  absl::StatusOr<std::vector<uint64_t>> all = transport->AllGather(elapsed.count(), timeout);
  RETURN_IF_ERROR(At(between, all.status()));
  slowest_ms->push_back(*std::max_element(all->begin(), all->end()) / 1e6);
  return absl::OkStatus();
}

ForwardTensors ForwardOf(RankTensors* local) {
  return {local->query.data(),
          local->key.data(),
          local->value.data(),
          local->output.data(),
          reinterpret_cast<float*>(local->lse.data()),
          local->saved.data()};
}

BackwardTensors BackwardOf(RankTensors* local) {
  return {local->query.data(),
          local->key.data(),
          local->value.data(),
          local->output.data(),
          reinterpret_cast<float*>(local->lse.data()),
          local->saved.data(),
          local->output_gradient.data(),
          local->query_gradient.data(),
          local->key_gradient.data(),
          local->value_gradient.data()};
}

// What one rank has measured.
struct Measured {
  Times times;
  std::vector<RankTrace> traces;  // of all ranks, on rank 0, if asked for
};

// All iterations of one rank.
absl::Status RunRank(const Plan& plan, const RunOptions& options, const Console& console,
                     Transport* transport, RankTensors* local, Measured* measured) {
  Times* times = &measured->times;
  RankTrace trace;
  std::unique_ptr<Device> device = CreateCpuDevice();
  ExecutorOptions executor_options;
  executor_options.timeout = options.timeout;
  executor_options.backward = options.backward;
  if (options.trace) executor_options.trace = &trace;
  ASSIGN_OR_RETURN(
      std::unique_ptr<Executor> executor,
      Executor::Create(plan, transport->rank(), transport, device.get(), executor_options));
  const ForwardTensors forward = ForwardOf(local);
  const BackwardTensors backward = BackwardOf(local);
  for (int64_t i = 0; i < options.iterations; ++i) {
    const std::string iteration = absl::StrCat("iteration ", i);
    RETURN_IF_ERROR(TimePass(
        iteration, options.timeout, transport, [&] { return executor->Forward(forward); },
        &times->forward));
    if (options.backward) {
      RETURN_IF_ERROR(TimePass(
          iteration, options.timeout, transport, [&] { return executor->Backward(backward); },
          &times->backward));
    }
    if (i == 0 && options.iterations > 1 && transport->rank() == 0) {
      console.Note(
          absl::StrFormat("the first of %d iterations: %.3f ms", options.iterations,
                          times->forward[0] + (options.backward ? times->backward[0] : 0)));
    }
  }
  if (!options.trace) return absl::OkStatus();
  ASSIGN_OR_RETURN(measured->traces, GatherTraces(plan, trace, transport, options.timeout));
  return absl::OkStatus();
}

// Runs the plan on the batch; the times of the iterations in ascending order.
absl::StatusOr<Measured> Run(const Plan& plan, const RunOptions& options, const Console& console,
                             Ranks* ranks, BatchTensors* batch) {
  std::vector<Measured> measured(plan.num_ranks());
  RETURN_IF_ERROR(
      ranks->Run(plan, options.backward, batch, [&](Transport* transport, RankTensors* local) {
        return RunRank(plan, options, console, transport, local, &measured[transport->rank()]);
      }));
  Times& times = measured[0].times;
  std::sort(times.forward.begin(), times.forward.end());
  std::sort(times.backward.begin(), times.backward.end());
  return std::move(measured[0]);
}

std::string PassSummary(const char* pass, const std::vector<double>& times_ms) {
  if (times_ms.empty()) return "";
  return absl::StrFormat("%s: %.3f ms, the median of %d (fastest %.3f), measured on this machine\n",
                         pass, times_ms[times_ms.size() / 2], times_ms.size(), times_ms[0]);
}

std::string Summary(const Plan& plan, const std::string& transport, const Times& times) {
  const fbs::HeadShape& heads = *plan->heads();
  return absl::StrCat(
      absl::StrFormat("%d tokens on %d ranks, heads %d:%d of %d, %s, transport %s, device cpu\n",
                      TotalTokens(plan), plan.num_ranks(), heads.query(), heads.key_value(),
                      heads.dim(), fbs::EnumNameDType(plan->dtype()), transport),
      PassSummary("forward", times.forward), PassSummary("backward", times.backward));
}

// Prints the largest errors; an error where they are out of tolerance.
absl::Status Check(const Plan& plan, const BatchTensors& batch, const Console& console) {
  CheckResult result = CheckTensors(plan, batch);
  std::string errors = absl::StrFormat("max error O %.2e (allowed %.2e), LSE %.2e (allowed %.2e)",
                                       result.output_error, result.output_allowed, result.lse_error,
                                       result.lse_allowed);
  if (!batch.output_gradient.empty()) {
    absl::StrAppendFormat(&errors, ", dQ %.2e, dK %.2e, dV %.2e (allowed %.2e)",
                          result.query_gradient_error, result.key_gradient_error,
                          result.value_gradient_error, result.gradient_allowed);
  }
  if (!result.ok()) {
    return absl::DataLossError(absl::StrCat("check failed against float64: ", errors));
  }
  return console.Print(absl::StrCat("check against float64: ok, ", errors, "\n"));
}

// What a process needs to run its ranks; only the leading one has tensors.
struct Inputs {
  Plan plan;
  BatchTensors batch;
  std::optional<TensorWriter> writer;
  std::optional<OutputFile> trace;
};

absl::StatusOr<Inputs> ReadInputs(const RunFlags& flags, const RunOptions& options,
                                  const Ranks& ranks) {
  ASSIGN_OR_RETURN(Plan plan, LoadVerifiedPlan(flags.plan));
  RETURN_IF_ERROR(ranks.CheckNumber(plan));
  Inputs inputs{std::move(plan), {}, std::nullopt, std::nullopt};
  if (!ranks.leads()) return inputs;
  if (flags.inputs.empty()) {
    inputs.batch = RandomTensors(inputs.plan, options.seed, options.backward);
  } else {
    ASSIGN_OR_RETURN(inputs.batch, ReadTensors(inputs.plan, flags.inputs, options.backward));
  }
  if (flags.check_finite) RETURN_IF_ERROR(CheckFinite(inputs.plan, inputs.batch));
  if (!flags.outputs.empty()) {
    ASSIGN_OR_RETURN(TensorWriter created, TensorWriter::Create(flags.outputs, options.backward));
    inputs.writer.emplace(std::move(created));
  }
  if (options.trace) {
    ASSIGN_OR_RETURN(OutputFile created, OutputFile::Create(flags.trace));
    inputs.trace.emplace(std::move(created));
  }
  return inputs;
}

absl::Status RunAndReport(const RunFlags& flags, const RunOptions& options, const Console& console,
                          Ranks* ranks, Inputs* inputs) {
  const Plan& plan = inputs->plan;
  ASSIGN_OR_RETURN(Measured measured, Run(plan, options, console, ranks, &inputs->batch));
  if (!ranks->leads()) return absl::OkStatus();
  if (inputs->writer) RETURN_IF_ERROR(inputs->writer->Write(plan, inputs->batch));
  if (inputs->trace) {
    RETURN_IF_ERROR(inputs->trace->Write(TraceJson(plan, measured.traces)));
    RETURN_IF_ERROR(inputs->trace->Commit());
  }
  RETURN_IF_ERROR(console.Print(Summary(plan, flags.transport, measured.times)));
  return flags.check ? Check(plan, inputs->batch, console) : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Ranks>> MakeRanks(const std::string& transport,
                                                 absl::Duration timeout) {
  return transport == "mpi" ? MakeMpiRanks(timeout) : MakeThreadRanks();
}

}  // namespace

absl::Status RunCommand(const RunFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(RunOptions options, ParseOptions(flags));
  ASSIGN_OR_RETURN(std::unique_ptr<Ranks> ranks, MakeRanks(flags.transport, options.timeout));
  absl::StatusOr<Inputs> inputs = ReadInputs(flags, options, *ranks);
  RETURN_IF_ERROR(ranks->Agree(inputs.status()));
  return ranks->Agree(RunAndReport(flags, options, console, ranks.get(), &*inputs));
}

}  // namespace flashcp::cli
