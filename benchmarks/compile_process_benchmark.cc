// Time and memory of `flashcp compile` as a user starts it: a process for each plan, its median
// wall time and its peak memory beside the limits for fixed strategies.

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "benchmarks/distributions.h"
#include "compiler/solver/strategies.h"
#include "support/command_line.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

struct Size {
  const char* name;
  int64_t tokens;
  int documents;
  int ranks;
  const char* cluster;
  double most_ms;
  double most_mb;  // 10^6 bytes; 0: no limit
};

constexpr Size kSizes[] = {
    {"128K tokens, 100 documents, 8 ranks", int64_t{1} << 17, 100, 8, "h100x8", 100, 0},
    {"1M tokens, 1000 documents, 64 ranks", int64_t{1} << 20, 1000, 64, "h100x64", 1000, 300},
};

struct Usage {
  double wall_ms;
  double peak_mb;
};

constexpr int kNotStarted = 127;

// Runs a program to its end.
absl::StatusOr<Usage> RunProcess(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child < 0) return absl::InternalError("fork failed");
  if (child == 0) {
    execv(arguments[0], arguments.data());
    _exit(kNotStarted);
  }
  int status = 0;
  rusage usage = {};
  if (wait4(child, &status, 0, &usage) != child) return absl::InternalError("wait4 failed");
  const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - start;
  if (!WIFEXITED(status)) {
    return absl::InternalError(absl::StrCat(command[0], " was ended by signal ", WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) == kNotStarted) {
    return absl::InvalidArgumentError(
        absl::StrCat(command[0], " is no program that can be started"));
  }
  if (WEXITSTATUS(status) != 0) {
    return absl::InternalError(
        absl::StrCat(command[0], " ended with exit code ", WEXITSTATUS(status)));
  }
  return Usage{wall.count(), static_cast<double>(usage.ru_maxrss) * 1024 / 1e6};
}

// The median wall time and the largest memory of `runs` compilations.
absl::StatusOr<Usage> Measure(const std::vector<std::string>& command, int runs) {
  std::vector<double> walls;
  double peak_mb = 0;
  for (int i = 0; i < runs; ++i) {
    ASSIGN_OR_RETURN(Usage usage, RunProcess(command));
    walls.push_back(usage.wall_ms);
    peak_mb = std::max(peak_mb, usage.peak_mb);
  }
  std::nth_element(walls.begin(), walls.begin() + runs / 2, walls.end());
  return Usage{walls[runs / 2], peak_mb};
}

absl::Status MeasureSize(const Size& size, const std::string& flashcp, int runs,
                         const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(benchmarks::Distribution distribution,
                   benchmarks::MakeDistribution(absl::StrCat("documents:", size.documents)));
  const std::string lengths = folder / "lengths.txt";
  std::ofstream file(lengths);
  for (int64_t length : distribution.Sequence(size.tokens, size.ranks, /*index=*/1)) {
    file << length << "\n";
  }
  file.close();
  std::printf("%s: limits %.0f ms", size.name, size.most_ms);
  if (size.most_mb > 0) std::printf(" and %.0f MB", size.most_mb);
  std::printf("\n  %-16s %10s %10s\n", "strategy", "ms", "peak MB");
  for (const std::string& strategy : solver::StrategyNames()) {
    if (strategy == "auto") continue;  // has limits of its own
    ASSIGN_OR_RETURN(Usage usage, Measure({flashcp, "compile", lengths, "-o", folder / "out.plan",
                                           "--quiet", "--ranks", absl::StrCat(size.ranks),
                                           "--cluster", size.cluster, "--strategy", strategy},
                                          runs));
    const bool over =
        usage.wall_ms > size.most_ms || (size.most_mb > 0 && usage.peak_mb > size.most_mb);
    std::printf("  %-16s %10.1f %10.1f%s\n", strategy.c_str(), usage.wall_ms, usage.peak_mb,
                over ? "  over the limit" : "");
  }
  return absl::OkStatus();
}

absl::Status MeasureAll(const std::string& flashcp, int runs) {
  std::string folder = std::filesystem::temp_directory_path() / "flashcp-benchmark-XXXXXX";
  if (mkdtemp(&folder[0]) == nullptr) return absl::InternalError("cannot make a folder " + folder);
  absl::Status status;
  for (const Size& size : kSizes) {
    if (status.ok()) status = MeasureSize(size, flashcp, runs, folder);
  }
  std::filesystem::remove_all(folder);
  return status;
}

}  // namespace
}  // namespace flashcp

int main(int argc, char** argv) {
  std::string program;
  int runs = 11;
  CLI::App app("Time and memory of flashcp compile as a user starts it.");
  app.add_option("FLASHCP", program, "the program")->required()->check(CLI::ExistingFile);
  app.add_option("RUNS", runs, "of each strategy, of which the median counts")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  if (std::optional<int> code = flashcp::ParseCommandLine(argc, argv, &app)) return *code;
  return flashcp::Finish("compile_process_benchmark", flashcp::MeasureAll(program, runs));
}
