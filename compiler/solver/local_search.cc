// Decides which pairs of ranks divide their tokens anew, and which division they take.
//
// Idea: the slowest rank decides the step, so it is paired with those that have most to spare, that
// share its documents, or that are in its node; see resplit.h for how a pair divides. The best
// divisions by an estimate are evaluated exactly, and one is taken if the slower of the two gets
// faster and no other rank gets slower than the slowest was. If no pair helps, a perturbation takes
// two divisions that make it somewhat worse, and the descent starts again from there: iterated
// local search (Lourenco, Martin, Stutzle 2003). An exact evaluation costs the segments of the
// changed documents times the ranks that need their rows.

#include "compiler/solver/local_search.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "compiler/solver/random.h"
#include "compiler/solver/regime.h"
#include "compiler/solver/resplit.h"
#include "compiler/solver/search_state.h"

namespace flashcp::solver {
namespace {

constexpr double kMostWorse = 1.03;  // after a perturbation
constexpr double kLeastGain = 1e-6;
constexpr double kRounded = 1 + 1e-12;

class Search {
 public:
  Search(const PieceModel& model, Placement placement, const LocalSearchOptions& options,
         Budget& budget)
      : model_(model),
        options_(options),
        budget_(budget),
        random_(options.seed),
        ranks_(model.problem().ranks),
        regime_(RegimeOf(ranks_)),
        state_(model.problem(), std::move(placement)) {}

  Placement Run() {
    Descend();
    double best_us = state_.cost().ObjectiveUs();
    state_.Keep();
    while (regime_.perturbs && !Done()) {
      Perturb(BySlowness().front(), random_.Below(ranks_));
      Perturb(random_.Below(ranks_), random_.Below(ranks_));
      Descend();
      double us = state_.cost().ObjectiveUs();
      if (us < best_us * (1 - 1e-7)) {
        best_us = us;
        state_.Keep();
      } else {
        state_.Restore();
      }
      Account();
    }
    return state_.placement();
  }

 private:
  bool Done() const { return budget_.Empty() || state_.cost().StepUs() <= options_.target_us; }

  // Spends what the cost did since the last time.
  void Account() {
    budget_.Spend(state_.cost().steps() - accounted_);
    accounted_ = state_.cost().steps();
  }

  std::vector<int> BySlowness() {
    std::vector<std::pair<double, int>> order;
    for (int rank = 0; rank < ranks_; ++rank) order.emplace_back(-state_.cost().RankUs(rank), rank);
    std::sort(order.begin(), order.end());
    std::vector<int> ranks;
    for (const auto& entry : order) ranks.push_back(entry.second);
    budget_.Spend(8 * ranks_);
    return ranks;
  }

  void Descend() {
    for (int failures = 0; failures < regime_.most_failures && !Done();) {
      std::vector<int> slowest = BySlowness();
      bool improved = false;
      for (int other : Partners(slowest)) {
        improved = Improve(slowest[0], other);
        if (improved || budget_.Empty()) break;
      }
      if (improved) {
        failures = 0;
      } else {
        ++failures;
        ImproveNextSlowest(slowest);
      }
    }
  }

  // For the slowest rank, each once.
  std::vector<int> Partners(const std::vector<int>& slowest) {
    const int rank = slowest[0];
    std::vector<int> partners;
    for (int k = 0; k < std::min(ranks_ - 1, 6); ++k) partners.push_back(slowest[ranks_ - 1 - k]);
    if (regime_.trades_with_all) {
      partners.insert(partners.end(), slowest.begin() + 1, slowest.end());
    } else {
      for (int k = 0; k < 4; ++k) partners.push_back(slowest[random_.Below(ranks_)]);
      AddSharers(rank, partners);
      const int node = model_.problem().cluster.ranks_per_node;
      const int first = rank / node * node;
      for (int k = 0; k < 3 && node > 1; ++k) {
        partners.push_back(first + random_.Below(std::min(node, ranks_ - first)));
      }
    }
    std::vector<int> once;
    for (int partner : partners) {
      bool seen = std::find(once.begin(), once.end(), partner) != once.end();
      if (partner != rank && !seen) once.push_back(partner);
    }
    return once;
  }

  // Adds up to 6 ranks that share a document with it.
  void AddSharers(int rank, std::vector<int>& partners) const {
    int added = 0;
    for (int d : state_.DocumentsOf(rank)) {
      for (const Segment& segment : state_.placement().documents[d]) {
        if (segment.rank == rank) continue;
        partners.push_back(segment.rank);
        if (++added == 6) return;
      }
    }
  }

  // Tries the next three slowest ranks: room on others may free the slowest one later.
  void ImproveNextSlowest(const std::vector<int>& slowest) {
    for (int k = 1; k < std::min(ranks_, 4); ++k) {
      for (int attempt = 0; attempt < 3; ++attempt) {
        int other = slowest[ranks_ - 1 - random_.Below(std::max(1, ranks_ / 2))];
        if (other != slowest[k] && Improve(slowest[k], other)) return;
        if (budget_.Empty()) return;
      }
    }
  }

  // Takes the best division of the two ranks' tokens; returns false if none is better.
  bool Improve(int rank, int other) {
    const IncrementalCost& cost = state_.cost();
    const double slowest_us = cost.ObjectiveUs();
    const double slower_us = std::max(cost.RankUs(rank), cost.RankUs(other));
    // The slowest rank has to get faster; others may take as long as it does.
    const double most_us = slower_us < slowest_us ? slowest_us : slowest_us * (1 - kLeastGain);
    double best_us = PairUs(slower_us, cost.RankUs(rank) + cost.RankUs(other)) * (1 - kLeastGain);
    Resplit resplit(model_, state_, rank, other, options_.transfer_weight, most_us, random_);
    std::vector<DocumentChange> taken;
    int left = MostEvaluated(resplit);
    double last_score = -1;
    for (const Split& split : resplit.splits()) {
      if (left == 0) break;
      if (split.score == last_score) continue;  // the same split came another way
      last_score = split.score;
      --left;
      std::vector<DocumentChange> changes = resplit.Changes(split);
      const SearchState::Outcome outcome = state_.Try(changes, rank, other);
      const double pair_us = PairUs(outcome.larger_us, outcome.sum_us);
      if (pair_us >= best_us || outcome.larger_us > most_us) continue;
      if (outcome.touched_us > slowest_us * kRounded) continue;
      best_us = pair_us;
      taken = std::move(changes);
    }
    budget_.Spend(resplit.steps());
    Account();
    for (const DocumentChange& change : taken) state_.Apply(change);
    return !taken.empty();
  }

  // Returns what a pair of ranks is to make small.
  static double PairUs(double slower_us, double both_us) {
    return slower_us + kBothWeight * both_us;
  }

  int MostEvaluated(const Resplit& resplit) const {
    return resplit.pieces() <= kFewPieces ? regime_.evaluated_of_few : regime_.evaluated;
  }

  // Takes one of the better divisions at random, even if it is worse.
  void Perturb(int rank, int other) {
    if (rank == other) return;
    const double most_us = state_.cost().ObjectiveUs() * kMostWorse;
    Resplit resplit(model_, state_, rank, other, options_.transfer_weight, most_us, random_);
    std::vector<DocumentChange> taken;
    int left = MostEvaluated(resplit);
    for (const Split& split : resplit.splits()) {
      if (left-- == 0) break;
      if (!taken.empty() && random_.Below(3) != 0) continue;
      std::vector<DocumentChange> changes = resplit.Changes(split);
      if (state_.Try(changes, rank, other).touched_us < most_us) taken = std::move(changes);
    }
    budget_.Spend(resplit.steps());
    Account();
    for (const DocumentChange& change : taken) state_.Apply(change);
  }

  const PieceModel& model_;
  const LocalSearchOptions options_;
  Budget& budget_;
  Random random_;
  const int ranks_;
  const Regime& regime_;
  SearchState state_;
  int64_t accounted_ = 0;
};

}  // namespace

Placement LocalSearch(const PieceModel& model, Placement placement,
                      const LocalSearchOptions& options, Budget& budget) {
  return Search(model, std::move(placement), options, budget).Run();
}

}  // namespace flashcp::solver
