// Placement strategies: each takes a problem that passed Check() and returns a placement that
// passes Verify(). They differ in what they keep together and what they balance.

#ifndef FLASHCP_COMPILER_SOLVER_STRATEGIES_H_
#define FLASHCP_COMPILER_SOLVER_STRATEGIES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "compiler/solver/problem.h"

namespace flashcp::solver {

// Rank r owns tokens [rT/N, (r+1)T/N) of the pack. O(D + N).
Placement PlaceContiguous(const Problem& problem);

// 2N equal chunks of the pack; rank r owns chunks r and 2N-1-r (ring-flash-attention, Transformer
// Engine, Llama 3). O(D + N).
Placement PlaceZigzag(const Problem& problem);

// Every document cut in 2N chunks, zigzag; remainder tokens dealt round robin so that ranks stay
// equal without padding (WLB-LLM, arXiv 2503.17924). The rank whose turn it is owns the document's
// first and last chunk. O(D N).
Placement PlacePerDoc(const Problem& problem);

// Each document whole on the rank with least modelled work that has room, longest first; the
// others split contiguously into the ranks' free space. O(D (log D + N)).
Placement PlaceWholeDoc(const Problem& problem);

// Whole documents if balance allows, the others per-doc over all ranks; the mix found by search
// over Evaluate() (our reading of FlashCP, arXiv 2606.08476; see docs/planner.md). Never longer
// than per-doc by modelled step. About 1e7 segments a second.
Placement PlaceFlashcpPaper(const Problem& problem);
// Returns that placement if its modelled step is below `below_us`, else nothing, and then much
// faster.
std::optional<Placement> PlaceFlashcpPaperBelow(const Problem& problem, double below_us);

// Neither flashcp-paper nor per-doc has a shorter modelled step. O(D log D).
double LeastPaperStepUs(const Problem& problem);

// Default budget of the search of `auto`, in milliseconds of one core; see budget.h.
inline constexpr double kDefaultBudgetMs = 20;

// Any document over any number of ranks, chunk bounds free: recursive bisection and local search,
// with the strategies above as seeds, so that none of them has a shorter modelled step.
Placement PlaceAuto(const Problem& problem, double budget_ms = kDefaultBudgetMs);

// contiguous, zigzag, per-doc, whole-doc, flashcp-paper, auto: in the order that tables show.
std::vector<std::string> StrategyNames();

// Checks the problem, runs the strategy of that name, verifies its placement. InvalidArgument for
// an unknown name (with the nearest one) or a bad problem; Internal if a strategy breaks a rule.
// `budget_ms`, 0 or above, is for `auto`.
absl::StatusOr<Placement> Place(absl::string_view strategy, const Problem& problem,
                                double budget_ms = kDefaultBudgetMs);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_STRATEGIES_H_
