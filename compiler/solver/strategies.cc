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
constexpr Strategy kAuto = {"auto", PlaceAuto};

absl::StatusOr<Strategy> StrategyByName(absl::string_view name) {
  for (const Strategy& strategy : kKnown) {
    if (name == strategy.name) return strategy;
  }
  if (name == kAuto.name) return kAuto;
  return absl::InvalidArgumentError(UnknownNameMessage("strategy", name, StrategyNames()));
}

}  // namespace

Placement PlaceAuto(const Problem& problem) {
  Placement best;
  double best_us = 0;
  for (const Strategy& strategy : kKnown) {
    Placement placement = strategy.place(problem);
    double step_us = Evaluate(problem, placement).StepUs();
    if (&strategy == kKnown || step_us < best_us) {
      best_us = step_us;
      best = std::move(placement);
    }
  }
  return best;
}

std::vector<std::string> StrategyNames() {
  std::vector<std::string> names;
  for (const Strategy& strategy : kKnown) names.push_back(strategy.name);
  names.push_back(kAuto.name);
  return names;
}

absl::StatusOr<Placement> Place(absl::string_view strategy, const Problem& problem) {
  ASSIGN_OR_RETURN(Strategy chosen, StrategyByName(strategy));
  RETURN_IF_ERROR(problem.Check());
  Placement placement = chosen.place(problem);
  absl::Status status = placement.Verify(problem);
  if (!status.ok()) {
    return absl::InternalError(absl::StrCat("strategy ", chosen.name, ": ", status.message()));
  }
  return placement;
}

}  // namespace flashcp::solver
