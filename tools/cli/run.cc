// flashcp run: executes a plan on all ranks, prints its times and, if asked, checks that the result
// is exact attention.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/kernel_spec.h"
#include "runtime/layout.h"
#include "runtime/trace.h"
#include "session/check.h"
#include "session/finite.h"
#include "session/memory.h"
#include "session/mpi_ranks.h"
#include "session/ranks.h"
#include "session/tensors.h"
#include "session/timed_run.h"
#include "support/files.h"
#include "support/flags.h"
#include "support/free_memory.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"
#include "tools/cli/end_signal.h"
#include "tools/cli/launcher.h"
#include "tools/cli/plan_file.h"
#include "tools/cli/progress_line.h"
#include "tools/cli/tensor_files.h"
#include "tools/cli/trace_file.h"

namespace flashcp::cli {
namespace {

// Returns the transport. Refuses to run all ranks in each of several processes, unless told to.
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

// The values of the flags of a run.
struct Settings {
  std::string transport;
  int64_t seed = 0;  // of random tensors
  session::RunOptions run;
};

absl::StatusOr<Settings> ParseSettings(const RunFlags& flags) {
  RETURN_IF_ERROR(NameFlag("--device", "device", flags.device, {"cpu"}).status());
  Settings settings;
  session::RunOptions& run = settings.run;
  ASSIGN_OR_RETURN(settings.transport, ParseTransport(flags.transport));
  ASSIGN_OR_RETURN(run.iterations,
                   IntegerFlag("--iterations", flags.iterations, RunFlags::kIterations));
  ASSIGN_OR_RETURN(settings.seed, IntegerFlag("--seed", flags.seed, RunFlags::kSeed));
  ASSIGN_OR_RETURN(int64_t seconds, IntegerFlag("--timeout", flags.timeout, RunFlags::kTimeout));
  run.timeout = absl::Seconds(seconds);
  run.backward = flags.backward;
  if (flags.trace == "-") {
    return absl::InvalidArgumentError(
        "--trace: expected a file, found '-': standard output is for the results");
  }
  run.trace = !flags.trace.empty();
  run.device.kernels = flags.kernels;
  ASSIGN_OR_RETURN(int64_t threads, IntegerFlag("--threads", flags.threads, kThreads));
  run.device.threads = static_cast<int>(threads);
  return settings;
}

std::string PassSummary(const char* pass, const std::vector<double>& times_ms) {
  if (times_ms.empty()) return "";
  return absl::StrFormat("%s: %.3f ms, the median of %d (fastest %.3f), measured on this machine\n",
                         pass, times_ms[times_ms.size() / 2], times_ms.size(), times_ms[0]);
}

// Returns the kernels that the ranks of this process compute with.
absl::StatusOr<CpuKernelsFound> FindKernels(const Plan& plan, const CpuDeviceOptions& options) {
  absl::StatusOr<CpuKernelsFound> kernels = DescribeCpuKernels(GroupSpecOf(plan), options);
  if (absl::IsInvalidArgument(kernels.status())) return OfFlag("--kernels", kernels.status());
  return kernels;
}

// Says what the ranks of this process need, before they take any of it.
absl::Status CheckMemory(const Plan& plan, bool backward, const session::Ranks& ranks,
                         const CpuKernelsFound& kernels, const Console& console) {
  const session::MemoryNeed need =
      session::FindMemoryNeed(plan, backward, ranks, kernels.scratch_bytes);
  if (ranks.leads()) {
    const bool all = need.ranks == plan.num_ranks();
    console.Note(absl::StrCat(all ? "all ranks take " : "rank 0 takes ", need.Text()));
  }
  return session::CheckMemory(need);
}

std::string Header(const Plan& plan, const std::string& transport, const std::string& kernels) {
  const fbs::HeadShape& heads = *plan->heads();
  return absl::StrFormat(
      "%d tokens on %d ranks, heads %d:%d of %d, %s, transport %s, device cpu, kernels %s\n",
      TotalTokens(plan), plan.num_ranks(), heads.query(), heads.key_value(), heads.dim(),
      fbs::EnumNameDType(plan->dtype()), transport, kernels);
}

// Prints the largest errors; fails if one is out of tolerance.
absl::Status Check(const Plan& plan, const session::BatchTensors& batch, const Console& console) {
  session::CheckResult result;
  {
    ProgressLine progress(console, "checking against float64");
    result = session::CheckTensors(plan, batch, [&](double done) { progress.Update(done); });
  }
  if (!result.ok()) {
    const session::CheckedTensor& worst = result.Worst();
    return absl::DataLossError(absl::StrCat(
        "check failed against float64: ", worst.place,
        worst.finite ? "" : "; --check-finite names the first input that is not finite", "; ",
        result.Text()));
  }
  return console.Print(absl::StrCat("check against float64: ok, ", result.Text(), "\n"));
}

// The inputs of a process for its ranks; only the leading one has tensors.
struct Inputs {
  Plan plan;
  std::string kernels;
  session::BatchTensors batch;
  std::optional<TensorWriter> writer;
  std::optional<OutputFile> trace;
};

absl::StatusOr<session::BatchTensors> MakeBatch(const Plan& plan, const RunFlags& flags,
                                                const Settings& settings, const Console& console) {
  if (flags.inputs.empty()) {
    ProgressLine progress(console, "making random inputs");
    return session::RandomTensors(plan, settings.seed, settings.run.backward);
  }
  ProgressLine progress(console, "reading inputs");
  return ReadTensors(plan, flags.inputs, settings.run.backward);
}

// Adds to a wrong number of processes the command that starts the right one.
absl::Status CheckNumber(const Plan& plan, const session::Ranks& ranks) {
  const absl::Status status = ranks.CheckNumber(plan);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("--transport: ", status.message(),
                                                  ": start it with mpirun -n ", plan.num_ranks()));
}

// Prints the header as soon as the plan is known: large inputs take their time.
absl::StatusOr<Inputs> ReadInputs(const RunFlags& flags, const Settings& settings,
                                  const Console& console, const session::Ranks& ranks) {
  const bool backward = settings.run.backward;
  ASSIGN_OR_RETURN(Plan plan, LoadVerifiedPlan(flags.plan));
  RETURN_IF_ERROR(CheckNumber(plan, ranks));
  ASSIGN_OR_RETURN(CpuKernelsFound kernels, FindKernels(plan, settings.run.device));
  RETURN_IF_ERROR(CheckMemory(plan, backward, ranks, kernels, console));
  Inputs inputs{std::move(plan), std::move(kernels.name), {}, std::nullopt, std::nullopt};
  if (!ranks.leads()) return inputs;
  RETURN_IF_ERROR(console.Print(Header(inputs.plan, settings.transport, inputs.kernels)));
  ASSIGN_OR_RETURN(inputs.batch, MakeBatch(inputs.plan, flags, settings, console));
  if (flags.check_finite) RETURN_IF_ERROR(session::CheckFinite(inputs.plan, inputs.batch));
  if (!flags.outputs.empty()) {
    ASSIGN_OR_RETURN(TensorWriter created, TensorWriter::Create(flags.outputs, backward));
    inputs.writer.emplace(std::move(created));
  }
  if (settings.run.trace) {
    ASSIGN_OR_RETURN(OutputFile created, OutputFile::Create(flags.trace));
    inputs.trace.emplace(std::move(created));
  }
  return inputs;
}

// Shows the passes of a run, and notes the time of the first iteration of several.
session::RunObserver Show(const session::RunOptions& run, ProgressLine* progress) {
  return [iterations = run.iterations, last_is_backward = run.backward, progress,
          first_ms = 0.0](const session::PassEvent& event) mutable {
    if (!event.ms) {
      progress->Show(absl::StrCat(event.backward ? "backward" : "forward", ", ",
                                  event.iteration + 1, " of ", iterations));
      return;
    }
    if (event.iteration > 0 || iterations == 1) return;
    first_ms += *event.ms;
    if (event.backward != last_is_backward) return;
    progress->Note(absl::StrFormat("the first of %d iterations: %.3f ms", iterations, first_ms));
  };
}

absl::StatusOr<session::Measured> RunShown(const session::RunOptions& options,
                                           const Console& console, session::Ranks* ranks,
                                           Inputs* inputs) {
  const Console shown = ranks->leads() ? console : Console(/*quiet=*/true);
  ProgressLine progress(shown, absl::StrCat("running on ", inputs->plan.num_ranks(), " ranks"));
  return session::TimedRun(inputs->plan, options, ranks, &inputs->batch, Show(options, &progress));
}

absl::Status RunAndReport(const RunFlags& flags, const session::RunOptions& options,
                          const Console& console, session::Ranks* ranks, Inputs* inputs) {
  const Plan& plan = inputs->plan;
  ASSIGN_OR_RETURN(session::Measured measured, RunShown(options, console, ranks, inputs));
  if (!ranks->leads()) return absl::OkStatus();
  if (inputs->writer) RETURN_IF_ERROR(inputs->writer->Write(plan, inputs->batch));
  if (inputs->trace) {
    RETURN_IF_ERROR(inputs->trace->Write(TraceJson(plan, measured.traces)));
    RETURN_IF_ERROR(inputs->trace->Commit());
  }
  const session::Times& times = measured.times;
  RETURN_IF_ERROR(console.Print(absl::StrCat(PassSummary("forward", times.forward),
                                             PassSummary("backward", times.backward))));
  return flags.check ? Check(plan, inputs->batch, console) : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<session::Ranks>> MakeRanks(const Settings& settings) {
  if (settings.transport != "mpi") return session::MakeThreadRanks();
  if (!IsLaunched()) {
    return absl::InvalidArgumentError(
        "--transport: mpi runs one rank in each of several processes: start it with mpirun -n N "
        "flashcp run PLAN --transport mpi, N being the ranks of the plan");
  }
  session::MpiRanksOptions options;
  options.transport.timeout = settings.run.timeout;
  options.transport.stop = ToldToEnd();
  options.transport.in_call_for = InCallFor();
  options.joined = HandleEndSignal;
  // All ranks know how this ends, and the leading one has yet to say it.
  options.leaving = IgnoreEndSignal;
  return session::MakeMpiRanks(options);
}

// Adds to the error of a wait the flag that makes it longer, and to a lack of memory the amount
// that was found.
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
  ASSIGN_OR_RETURN(const Settings settings, ParseSettings(flags));
  absl::StatusOr<std::unique_ptr<session::Ranks>> made = MakeRanks(settings);
  RETURN_IF_ERROR(Explain(made.status()));
  session::Ranks* const ranks = made->get();
  absl::StatusOr<Inputs> inputs = ReadInputs(flags, settings, console, *ranks);
  RETURN_IF_ERROR(ranks->Agree(inputs.status()));
  return ranks->Agree(Explain(RunAndReport(flags, settings.run, console, ranks, &*inputs)));
}

}  // namespace flashcp::cli
