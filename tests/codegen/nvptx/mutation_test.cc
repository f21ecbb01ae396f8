// Attacks the tests of the kernels: each mutant of a kernel's PTX must end a launch with an error
// or leave a wrong result, under one of a few tiles and schedules, unless the list of mutants that
// change nothing has it, with the reason.
//
// A mutant runs in a process of its own, which may crash, or end by its limit of processor time. By
// default a sample of each family runs; FLASHCP_MUTANTS=all runs all.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/codegen/nvptx/kernel_runner.h"
#include "tests/codegen/nvptx/mutants.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/tile_case.h"

namespace flashcp::testing {
namespace {

using emulator::Schedule;

// The build gives FLASHCP_TARGET, FLASHCP_PASS ("forward" or "backward").
constexpr char kTarget[] = FLASHCP_TARGET;
constexpr bool kForward = FLASHCP_PASS[0] == 'f';
constexpr int kDim = 64;
constexpr rlim_t kSeconds = 20;  // of processor time; an unbroken kernel takes less than one

// A tile, cut into pieces of keys, and how it is launched.
struct Trial {
  int query_heads;
  int key_value_heads;
  TileShape shape;
  std::vector<int64_t> cuts;
  GpuLaunch launch;
};

GpuLaunch LaunchBy(Schedule::Order order, Schedule::Copies copies, Schedule::Products products,
                   bool races, bool chains) {
  GpuLaunch launch;
  launch.schedule.warps = launch.schedule.ctas = order;
  launch.schedule.copies = copies;
  launch.schedule.products = products;
  launch.schedule.seed = 5;
  launch.races = races;
  launch.chains = chains;
  launch.may_fail = true;
  return launch;
}

// Tails, bands with both ends, groups, chains and merges; several blocks of rows and of keys.
std::vector<Trial> Trials() {
  using Order = Schedule::Order;
  using Copies = Schedule::Copies;
  using Products = Schedule::Products;
  return {
      {3,
       1,
       {30, 70, 0, 150, model::Mask::Window(90)},
       {0, 70, 150},
       LaunchBy(Order::kSeeded, Copies::kLate, Products::kAtWait, true, true)},
      {2,
       2,
       {0, 140, 0, 300, model::Mask::Full()},
       {0, 300},
       LaunchBy(Order::kReverse, Copies::kEarly, Products::kAtIssue, false, true)},
      {2,
       1,
       {200, 90, 10, 263, model::Mask::Causal()},
       {0, 130, 263},
       LaunchBy(Order::kForward, Copies::kAny, Products::kAtWait, false, false)},
  };
}

bool Near(const std::vector<double>& expected, const std::vector<float>& found, double allowed) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isinf(expected[i]) ? found[i] != expected[i]
                                : !(std::abs(found[i] - expected[i]) <= allowed)) {
      return false;
    }
  }
  return true;
}

// A trial with what it must give.
class Judge {
 public:
  explicit Judge(const Trial& trial)
      : trial_(trial),
        spec_{model::DType::kBF16, trial.query_heads, trial.key_value_heads, kDim, kDim, 0.15f},
        tile_(spec_, trial.shape, 7),
        saved_(tile_.SavedBy(tile_.Forward())) {
    if (kForward) {
      result_ = tile_.Expected();
    } else {
      gradients_ = tile_.ExpectedGradients(saved_);
    }
  }

  bool Accepts(const GpuModule& module) const {
    EmulatedGpuKernels kernels(spec_, module, trial_.launch);
    return (kForward ? ForwardIsRight(&kernels) : BackwardIsRight(&kernels)) &&
           kernels.status().ok();
  }

 private:
  bool ForwardIsRight(CpuKernels* kernels) const {
    std::vector<int> order;
    for (int piece = static_cast<int>(trial_.cuts.size()) - 2; piece >= 0; --piece) {
      order.push_back(piece);
    }
    const TestResult found = tile_.Forward(trial_.cuts, order, kernels);
    return Near(result_.output, found.output, 0x1p-6) && Near(result_.lse, found.lse, 2e-5);
  }

  bool BackwardIsRight(CpuKernels* kernels) const {
    const TestGradients found = tile_.Backward(saved_, 0, kernels);
    return Near(gradients_.query, found.query, 0.06) && Near(gradients_.key, found.key, 0.06) &&
           Near(gradients_.value, found.value, 0.06);
  }

  const Trial trial_;
  const KernelSpec spec_;
  const TileCase tile_;
  const SavedRows saved_;
  DenseResult result_;
  DenseGradients gradients_;
};

const std::vector<Judge>& Judges() {
  static const auto* const judges = [] {
    auto* made = new std::vector<Judge>();
    for (const Trial& trial : Trials()) made->emplace_back(trial);
    return made;
  }();
  return *judges;
}

bool AllAccept(const std::string& ptx) {
  const GpuModule module(kTarget, kDim, kDim, ptx);
  for (const Judge& judge : Judges()) {
    if (!judge.Accepts(module)) return false;
  }
  return true;
}

// Whether a process of its own ends as one that found nothing wrong.
bool Survives(const std::string& ptx) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit = {kSeconds, kSeconds};
    const rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CPU, &limit);
    setrlimit(RLIMIT_CORE, &no_core);
    _exit(AllAccept(ptx) ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string NameOf(const Mutant& mutant) {
  return absl::StrCat(mutant.kind, " | ", Anonymous(mutant.before));
}

// Mutants of this kernel that change nothing, by name, from lines
// "target pass | kind | instruction | reason".
std::set<std::string> KnownEquivalents() {
  std::set<std::string> known;
  std::ifstream file("tests/codegen/nvptx/equivalent_mutants.txt");
  EXPECT_TRUE(file.good());
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> fields = absl::StrSplit(line, " | ");
    EXPECT_EQ(fields.size(), 4u) << line;
    if (fields[0] == absl::StrCat(kTarget, " ", FLASHCP_PASS)) {
      known.insert(absl::StrCat(fields[1], " | ", fields[2]));
    }
  }
  return known;
}

TEST(MutationTest, EveryMutantIsCaughtOrKnown) {
  const std::string ptx = GpuModule::PtxOf(kTarget, kDim, kDim);
  const std::string symbol =
      absl::StrCat("flashcp_", FLASHCP_PASS, "_", kTarget, "_bf16_", kDim, "_", kDim);
  ASSERT_TRUE(AllAccept(ptx)) << "the kernel itself is wrong";
  std::vector<Mutant> mutants = MutantsOf(ptx, symbol);
  ASSERT_FALSE(mutants.empty());
  const char* const choice = std::getenv("FLASHCP_MUTANTS");
  if (choice == nullptr || std::string(choice) != "all") mutants = Sample(mutants, /*between=*/0);
  const std::set<std::string> known = KnownEquivalents();
  size_t caught = 0;
  for (const Mutant& mutant : mutants) {
    if (!Survives(Apply(ptx, mutant))) {
      ++caught;
      continue;
    }
    const std::string name = NameOf(mutant);
    std::cout << "survives: line " << mutant.line << ": " << name << " -> "
              << Anonymous(mutant.after) << std::endl;
    EXPECT_EQ(known.count(name), 1u) << "line " << mutant.line << ": " << name;
  }
  std::cout << caught << " of " << mutants.size() << " mutants of " << symbol << " are caught"
            << std::endl;
}

}  // namespace
}  // namespace flashcp::testing
