// Decides which strategy a name means, and holds every strategy to Check() and Verify().

#include "compiler/solver/strategies.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "compiler/solver/cost_model.h"
#include "support/nearest_name.h"
#include "support/status_macros.h"

namespace flashcp::solver {
namespace {

struct Strategy {
  const char* name;
  Placement (*place)(const Problem&);
};

constexpr Strategy kKnown[] = {
    {"contiguous", PlaceContiguous},
    {"zigzag", PlaceZigzag},
    {"per-doc", PlacePerDoc},
    {"whole-doc", PlaceWholeDoc},
    {"flashcp-paper", PlaceFlashcpPaper},
};
constexpr char kAuto[] = "auto";

}  // namespace

std::vector<std::string> StrategyNames() {
  std::vector<std::string> names;
  for (const Strategy& strategy : kKnown) names.push_back(strategy.name);
  names.push_back(kAuto);
  return names;
}

absl::StatusOr<Placement> Place(absl::string_view strategy, const Problem& problem,
                                double budget_ms) {
  const Strategy* known = nullptr;
  for (const Strategy& candidate : kKnown) {
    if (strategy == candidate.name) known = &candidate;
  }
  if (known == nullptr && strategy != kAuto) {
    return absl::InvalidArgumentError(UnknownNameMessage("strategy", strategy, StrategyNames()));
  }
  RETURN_IF_ERROR(problem.Check());
  Placement placement = known != nullptr ? known->place(problem) : PlaceAuto(problem, budget_ms);
  absl::Status status = placement.Verify(problem);
  if (!status.ok()) {
    return absl::InternalError(absl::StrCat("strategy ", strategy, ": ", status.message()));
  }
  return placement;
}

}  // namespace flashcp::solver
