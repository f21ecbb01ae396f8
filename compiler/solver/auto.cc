// Decides the placement of the strategy `auto`: the search, never worse than any known strategy.
//
// Idea: bisections from several starting points (weights of transfers against work, heavy documents
// spread over nodes before or not) and the known strategies form a pool. The best few of the pool
// are improved by local search. The search minimises the objective of objective.h; in the end the
// placement with the shortest modelled step of all is taken, so that no known strategy is shorter.
// It stops when the step is within kCloseEnough of the lower bound, or when the budget is spent.
// Then few ranks save rows that travel: see docs/planner.md.

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "compiler/solver/bisection.h"
#include "compiler/solver/bounds.h"
#include "compiler/solver/budget.h"
#include "compiler/solver/cost_model.h"
#include "compiler/solver/local_search.h"
#include "compiler/solver/node_spread.h"
#include "compiler/solver/objective.h"
#include "compiler/solver/piece.h"
#include "compiler/solver/regime.h"
#include "compiler/solver/save_rows.h"
#include "compiler/solver/strategies.h"

namespace flashcp::solver {
namespace {

constexpr double kCloseEnough = 1.002;
constexpr double kRounded = 1 + 1e-9;  // the same work in another order of sums

// Fractions of the budget: 1/4 for bisections, 1/400 for saving rows.
constexpr int kBisectionsShare = 4;
constexpr int kSavingShare = 400;

// A round of the search takes this many steps and as many again for each document as it says. The
// search ends with a round whose objective is not shorter by this share.
constexpr int64_t kRoundSteps = 10'000;
constexpr int64_t kRoundStepsOfDocument = 100;
constexpr double kLeastGain = 0.001;

// If flashcp-paper sends fewer rows and its step is at most so many times as long, a round saves
// rows in a step that may be slightly longer: other traffic shares the links, and no model is as
// good. If that does not get down to its rows, it is itself improved, and taken if it is no more
// than so many times as long.
constexpr double kAboutAsShort = 1.02;
constexpr double kSlightlyLonger = 1.0005;
constexpr double kMostLonger = 1.005;

// Weights of the starts; the first one's are those of the regime.
constexpr double kTransferWeights[] = {0.3, 0.05, 1};
constexpr double kTokenWeights[] = {1, 1, 0.3};
constexpr int kStarts = 3;

struct Candidate {
  double score_us;  // the lower, the better a start; once it descended, the objective
  Placement placement;
};

bool IsLower(const Candidate& a, const Candidate& b) { return a.score_us < b.score_us; }

class AutoSearch {
 public:
  AutoSearch(const Problem& problem, double budget_ms)
      : problem_(problem),
        regime_(RegimeOf(problem.ranks)),
        model_(problem),
        objective_(problem),
        budget_(budget_ms),
        bound_us_(LowerBoundUs(problem)),
        target_us_(bound_us_ * kCloseEnough) {}

  Placement Run() {
    Budget saving = budget_.Share(kSavingShare);
    AddKnown();
    AddBisections();
    std::stable_sort(pool_.begin(), pool_.end(), IsLower);
    Descend();
    ConsiderSharded();
    if (regime_.saves_rows) Save(saving);
    return std::move(best_);
  }

 private:
  bool Done() const { return budget_.Empty() || best_us_ <= target_us_; }

  // Keeps the placement if it has the shortest step so far.
  PlacementCost Consider(const Placement& placement) {
    PlacementCost cost = Evaluate(problem_, placement);
    if (first_ || cost.StepUs() < best_us_) {
      first_ = false;
      best_us_ = cost.StepUs();
      best_ = placement;
    }
    return cost;
  }

  PlacementCost AddToPool(Placement placement) {
    const PlacementCost cost = Consider(placement);
    const double score_us = regime_.ranked_by_excess ? ExcessUs(cost) : objective_.StepUs(cost);
    pool_.push_back({score_us, std::move(placement)});
    return cost;
  }

  // Returns what ranks take beyond the bound, on the mean.
  double ExcessUs(const PlacementCost& cost) const {
    double sum_us = 0;
    for (const RankCost& rank : cost.ranks) {
      sum_us += std::max(0.0, rank.ForwardUs() + rank.BackwardUs() - target_us_);
    }
    return sum_us / problem_.ranks;
  }

  // Considers the fixed rules; those that shard come last if they are not starts.
  void AddKnown() {
    for (Placement (*place)(const Problem&) : {PlaceContiguous, PlaceZigzag, PlaceWholeDoc}) {
      const PlacementCost cost =
          regime_.rules_are_starts ? AddToPool(place(problem_)) : Consider(place(problem_));
      known_us_ = std::min(known_us_, cost.StepUs());
    }
    if (regime_.rules_are_starts) {
      AddToPool(PlacePerDoc(problem_));
      paper_ = AddToPool(PlaceFlashcpPaper(problem_));
      known_us_ = std::min(known_us_, paper_.StepUs());
    }
  }

  // flashcp-paper is never longer than per-doc, and nothing is shorter than the bound but for what
  // rounding adds to it.
  void ConsiderSharded() {
    if (regime_.rules_are_starts || best_us_ <= bound_us_ * kRounded) return;
    if (auto paper = PlaceFlashcpPaperBelow(problem_, best_us_)) best_ = *std::move(paper);
  }

  void AddBisections() {
    Budget share = budget_.Share(kBisectionsShare);
    const NodeSpread spread = SpreadOverNodes(model_, share);
    const NodeSpread nothing = SpreadNothing(problem_);
    for (int i = 0; i < kStarts; ++i) {
      if (i > 0 && (share.Empty() || best_us_ <= target_us_)) break;
      BisectionStart start;
      start.transfer_weight = i == 0 ? regime_.first_transfer_weight : kTransferWeights[i];
      start.token_weight = i == 0 ? regime_.first_token_weight : kTokenWeights[i];
      AddToPool(Bisect(model_, start, IsSpread(i) ? spread : nothing, share));
    }
    budget_.Return(share);
  }

  // The third start differs from the others. Where each rank is a node, what a spread keeps whole
  // has more rows for others than what bisection cuts.
  bool IsSpread(int start) const {
    const bool third = start == 2;
    return problem_.cluster.ranks_per_node == 1 ? third : !third;
  }

  // Lets the best starts share a part of what is left, and the one that came lowest have the rest:
  // which one goes deep shows early.
  void Descend() {
    const int descents = std::min<int>(pool_.size(), regime_.descents);
    const bool in_rounds = regime_.first_round_share == 0;
    Budget first_round =
        in_rounds ? budget_.Take(RoundSteps() / 2) : budget_.Share(regime_.first_round_share);
    for (int i = 0; i < descents && best_us_ > target_us_; ++i) {
      Budget share = first_round.Share(descents - i);
      DescendFrom(pool_[i], i + 1, share);
      first_round.Return(share);
    }
    budget_.Return(first_round);
    auto lowest = std::min_element(pool_.begin(), pool_.begin() + descents, IsLower);
    for (uint64_t seed = descents + 1; !Done(); ++seed) {
      const double before_us = lowest->score_us;
      Budget round = in_rounds ? budget_.Take(RoundSteps()) : budget_.Share(1);
      DescendFrom(*lowest, seed, round);
      budget_.Return(round);
      if (before_us - lowest->score_us < kLeastGain * before_us) return;
    }
  }

  int64_t RoundSteps() const {
    return kRoundSteps + kRoundStepsOfDocument * static_cast<int64_t>(problem_.documents.size());
  }

  void DescendFrom(Candidate& candidate, uint64_t seed, Budget& share) {
    LocalSearchOptions options;
    options.target_us = target_us_;
    options.seed = seed;
    candidate.placement = LocalSearch(model_, std::move(candidate.placement), options, share);
    candidate.score_us = objective_.StepUs(Consider(candidate.placement));
  }

  // Takes a placement about as short with fewer rows that travel; more is given for that while
  // flashcp-paper is not much longer and sends fewer.
  void Save(Budget& saving) {
    best_ = SaveRows(model_, best_, RowsReceived(best_), kRounded, saving);
    const double paper_rows = RowsReceived(paper_);
    if (paper_.StepUs() > best_us_ * kAboutAsShort || RowsReceived(best_) <= paper_rows) return;
    Budget round = budget_.Take(RoundSteps());
    best_ = SaveRows(model_, best_, paper_rows, MostUs(kSlightlyLonger) / best_us_, round);
    if (RowsReceived(best_) > paper_rows) TakePaper(paper_rows);
  }

  // Returns a step that is `longer` times the shortest, but no longer than one of the fixed rules.
  double MostUs(double longer) const { return std::min(best_us_ * longer, known_us_); }

  // Makes flashcp-paper's placement as short as it has to be, and then its rows as few as they
  // were.
  void TakePaper(double paper_rows) {
    LocalSearchOptions options;
    options.target_us = MostUs(kMostLonger);
    Budget descending = budget_.Take(RoundSteps());
    Placement paper = LocalSearch(model_, PlaceFlashcpPaper(problem_), options, descending);
    Budget saving = budget_.Take(RoundSteps());
    paper = SaveRows(model_, std::move(paper), paper_rows, kRounded, saving);
    const PlacementCost cost = Evaluate(problem_, paper);
    if (cost.StepUs() <= options.target_us && RowsReceived(cost) <= paper_rows) {
      best_ = std::move(paper);
    }
  }

  double RowsReceived(const Placement& placement) const {
    return RowsReceived(Evaluate(problem_, placement));
  }
  double RowsReceived(const PlacementCost& cost) const {
    double bytes = 0;
    for (const RankCost& rank : cost.ranks) bytes += rank.receive_bytes_forward;
    return bytes / problem_.KeyValueBytesPerToken();
  }

  const Problem& problem_;
  const Regime& regime_;
  const PieceModel model_;
  const Objective objective_;
  Budget budget_;
  const double bound_us_;
  const double target_us_;
  std::vector<Candidate> pool_;
  bool first_ = true;
  double best_us_ = 0;
  Placement best_;
  PlacementCost paper_;                                        // of flashcp-paper
  double known_us_ = std::numeric_limits<double>::infinity();  // shortest step of the fixed rules
};

}  // namespace

Placement PlaceAuto(const Problem& problem, double budget_ms) {
  return AutoSearch(problem, budget_ms).Run();
}

}  // namespace flashcp::solver
