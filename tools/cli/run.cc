// flashcp run: executes a plan on all ranks, and says how long it took and whether the result is
// exact attention.

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
#include "runtime/kernel_spec.h"
#include "runtime/layout.h"
#include "runtime/trace.h"
#include "support/files.h"
#include "support/flags.h"
#include "support/status_macros.h"
#include "tools/cli/check.h"
#include "tools/cli/commands.h"
#include "tools/cli/finite.h"
#include "tools/cli/launcher.h"
#include "tools/cli/memory.h"
#include "tools/cli/plan_file.h"
#include "tools/cli/progress_line.h"
#include "tools/cli/ranks.h"
#include "tools/cli/run_memory.h"
#include "tools/cli/tensors.h"
#include "tools/cli/timed_run.h"
#include "tools/cli/trace_file.h"

namespace flashcp::cli {
namespace {

// Refuses to run all ranks in each of several processes, unless told to.
absl::StatusOr<std::string> ParseTransport(const std::string& flag) {
  if (!flag.empty()) {
    RETURN_IF_ERROR(NameFlag("--transport", "transport", flag, {"threads", "mpi"}).status());
    return flag;
  }
  const LaunchedProcesses processes = CountLaunchedProcesses();
  if (processes.number == 1) return "threads";
  return absl::InvalidArgumentError(absl::StrCat(
      "--transport: this is one of ", processes.number, " processes (", processes.variable,
      "), each of which would run all ranks: give --transport mpi for one rank in each, or "
      "--transport threads if you mean it"));
}

absl::StatusOr<RunOptions> ParseOptions(const RunFlags& flags) {
  RETURN_IF_ERROR(NameFlag("--device", "device", flags.device, {"cpu"}).status());
  RunOptions options;
  ASSIGN_OR_RETURN(options.transport, ParseTransport(flags.transport));
  ASSIGN_OR_RETURN(options.iterations, IntegerFlag("--iterations", flags.iterations, 1, 1000000));
  ASSIGN_OR_RETURN(options.seed, IntegerFlag("--seed", flags.seed, 0, 1000000000));
  ASSIGN_OR_RETURN(int64_t seconds, IntegerFlag("--timeout", flags.timeout, 1, 1000000));
  options.timeout = absl::Seconds(seconds);
  options.backward = flags.backward;
  if (flags.trace == "-") {
    return absl::InvalidArgumentError(
        "--trace: expected a file, found '-': standard output is for the results");
  }
  options.trace = !flags.trace.empty();
  options.device.kernels = flags.kernels;
  ASSIGN_OR_RETURN(int64_t threads, IntegerFlag("--threads", flags.threads, 1, 1024));
  options.device.threads = static_cast<int>(threads);
  return options;
}

std::string PassSummary(const char* pass, const std::vector<double>& times_ms) {
  if (times_ms.empty()) return "";
  return absl::StrFormat("%s: %.3f ms, the median of %d (fastest %.3f), measured on this machine\n",
                         pass, times_ms[times_ms.size() / 2], times_ms.size(), times_ms[0]);
}

// Returns the name of the kernels that the ranks of this process compute with.
absl::StatusOr<std::string> KernelsName(const Plan& plan, CpuDeviceOptions options) {
  options.threads = 1;  // the name does not depend on it
  const std::unique_ptr<Device> device = CreateCpuDevice(options);
  absl::StatusOr<std::shared_ptr<AttentionKernels>> kernels =
      device->FindKernels(KernelSpecOf(plan));
  if (absl::IsInvalidArgument(kernels.status())) return OfFlag("--kernels", kernels.status());
  RETURN_IF_ERROR(kernels.status());
  return std::string((*kernels)->name());
}

std::string Header(const Plan& plan, const std::string& transport, const std::string& kernels) {
  const fbs::HeadShape& heads = *plan->heads();
  return absl::StrFormat(
      "%d tokens on %d ranks, heads %d:%d of %d, %s, transport %s, device cpu, kernels %s\n",
      TotalTokens(plan), plan.num_ranks(), heads.query(), heads.key_value(), heads.dim(),
      fbs::EnumNameDType(plan->dtype()), transport, kernels);
}

// Prints the largest errors; an error where they are out of tolerance.
absl::Status Check(const Plan& plan, const BatchTensors& batch, const Console& console) {
  CheckResult result;
  {
    ProgressLine progress(console, "checking against float64");
    result = CheckTensors(plan, batch, [&](double fraction) { progress.Update(fraction); });
  }
  if (!result.ok()) {
    return absl::DataLossError(
        absl::StrCat("check failed against float64: ", result.Worst().place, "; ", result.Text()));
  }
  return console.Print(absl::StrCat("check against float64: ok, ", result.Text(), "\n"));
}

// What a process needs to run its ranks; only the leading one has tensors.
struct Inputs {
  Plan plan;
  std::string kernels;
  BatchTensors batch;
  std::optional<TensorWriter> writer;
  std::optional<OutputFile> trace;
};

absl::StatusOr<BatchTensors> MakeBatch(const Plan& plan, const RunFlags& flags,
                                       const RunOptions& options, const Console& console) {
  if (flags.inputs.empty()) {
    ProgressLine progress(console, "making random inputs");
    return RandomTensors(plan, options.seed, options.backward);
  }
  ProgressLine progress(console, "reading inputs");
  return ReadTensors(plan, flags.inputs, options.backward);
}

// Prints the header as soon as the plan is known: large inputs take their time.
absl::StatusOr<Inputs> ReadInputs(const RunFlags& flags, const RunOptions& options,
                                  const Console& console, const Ranks& ranks) {
  ASSIGN_OR_RETURN(Plan plan, LoadVerifiedPlan(flags.plan));
  RETURN_IF_ERROR(ranks.CheckNumber(plan));
  RETURN_IF_ERROR(CheckRunMemory(plan, options.backward, ranks));
  ASSIGN_OR_RETURN(std::string kernels, KernelsName(plan, options.device));
  Inputs inputs{std::move(plan), std::move(kernels), {}, std::nullopt, std::nullopt};
  if (!ranks.leads()) return inputs;
  RETURN_IF_ERROR(console.Print(Header(inputs.plan, options.transport, inputs.kernels)));
  ASSIGN_OR_RETURN(inputs.batch, MakeBatch(inputs.plan, flags, options, console));
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
  ASSIGN_OR_RETURN(Measured measured, TimedRun(plan, options, console, ranks, &inputs->batch));
  if (!ranks->leads()) return absl::OkStatus();
  if (inputs->writer) RETURN_IF_ERROR(inputs->writer->Write(plan, inputs->batch));
  if (inputs->trace) {
    RETURN_IF_ERROR(inputs->trace->Write(TraceJson(plan, measured.traces)));
    RETURN_IF_ERROR(inputs->trace->Commit());
  }
  const Times& times = measured.times;
  RETURN_IF_ERROR(console.Print(absl::StrCat(PassSummary("forward", times.forward),
                                             PassSummary("backward", times.backward))));
  return flags.check ? Check(plan, inputs->batch, console) : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Ranks>> MakeRanks(const std::string& transport,
                                                 absl::Duration timeout) {
  return transport == "mpi" ? MakeMpiRanks(timeout) : MakeThreadRanks();
}

// Adds to the error of a wait the flag that makes it longer, and to a lack of memory what was
// found.
absl::Status Explain(const absl::Status& status) {
  if (absl::IsResourceExhausted(status) && !status.message().empty()) {
    return absl::Status(status.code(), absl::StrCat(status.message(), "; ", OutOfMemoryMessage()));
  }
  if (!absl::IsDeadlineExceeded(status) || status.message().empty()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(status.message(), "; --timeout SECONDS waits longer"));
}

}  // namespace

absl::Status RunCommand(const RunFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(RunOptions options, ParseOptions(flags));
  absl::StatusOr<std::unique_ptr<Ranks>> made = MakeRanks(options.transport, options.timeout);
  RETURN_IF_ERROR(Explain(made.status()));
  Ranks* const ranks = made->get();
  absl::StatusOr<Inputs> inputs = ReadInputs(flags, options, console, *ranks);
  RETURN_IF_ERROR(ranks->Agree(inputs.status()));
  return ranks->Agree(Explain(RunAndReport(flags, options, console, ranks, &*inputs)));
}

}  // namespace flashcp::cli
