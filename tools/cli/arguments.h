// A command line as text: the command, and its flags with their defaults. Only the structure is
// checked here; each command checks the values of its flags.

#ifndef FLASHCP_TOOLS_CLI_ARGUMENTS_H_
#define FLASHCP_TOOLS_CLI_ARGUMENTS_H_

#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "compiler/input/batch_options.h"
#include "support/flags.h"

namespace flashcp::cli {

// Threads of a rank.
inline constexpr IntegerRange kThreads = {1, 1024};

// Batches to plan: shared by compile and compare.
struct PlanningFlags {
  std::string lengths;  // path, or "-"; empty: the documents of --layout-of
  std::string batch;    // empty: the only one, or all of them
  BatchTexts options = PresetBatchTexts();
};

struct CompileFlags {
  PlanningFlags planning;
  bool timing = false;
  std::string emit = "plan";
  std::string output;  // empty: standard output
};

struct InspectFlags {
  std::string plan;
  bool all_ranks = false;
  bool timing = false;
  bool json = false;
};

struct VerifyFlags {
  std::string plan;
};

struct CompareFlags {
  PlanningFlags planning;
  bool json = false;
};

struct ClusterFlags {
  std::string cluster;
};

struct RunFlags {
  static constexpr IntegerRange kIterations = {1, 1'000'000};
  static constexpr IntegerRange kSeed = {0, 1'000'000'000};
  static constexpr IntegerRange kTimeout = {1, 1'000'000};  // seconds

  std::string plan;
  std::string inputs;   // empty: seeded random tensors
  std::string outputs;  // empty: none are written
  std::string trace;    // empty: none is written
  std::string iterations = "1";
  std::string seed = "0";
  std::string transport;  // empty: threads, unless a launcher has started several processes
  std::string timeout = "60";
  std::string device = "cpu";
  std::string kernels = "generated";
  std::string threads = "1";
  bool backward = false;
  bool check = false;
  bool check_finite = false;
};

struct CalibrateFlags {
  static constexpr IntegerRange kRanks = {1, 1024};
  static constexpr IntegerRange kTokens = {128, 1 << 20};

  std::string device = "cpu";
  std::string ranks;  // empty: one for each core, over the threads
  std::string threads = "1";
  BatchTexts plans;  // heads, head-dim and dtype of the plans that will run
  std::string tokens = "2048";
  std::string output = "-";
};

// The answer to --help and --version.
struct ShowText {
  std::string text;
};

struct Arguments {
  std::variant<ShowText, CompileFlags, InspectFlags, VerifyFlags, CompareFlags, ClusterFlags,
               RunFlags, CalibrateFlags>
      command;
  bool quiet = false;  // no notes on standard error, errors only
};

// InvalidArgument, with the text for the user, if the arguments do not follow the grammar that
// --help shows.
absl::StatusOr<Arguments> ParseArguments(int argc, const char* const* argv);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_ARGUMENTS_H_
