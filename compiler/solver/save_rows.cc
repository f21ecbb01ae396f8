// Divides anew what two ranks hold, if fewer rows travel then and the step gets no longer.
//
// Idea: a rank receives the keys before its last query of a document, less those that it owns. So
// what other ranks receive does not change when two ranks divide their tokens anew, and a split
// tells how many rows it saves (Split::received). Pairs take the division that saves most of those
// that leave every rank within the slowest forward and backward pass of the start. If no pair saves
// any and that is not enough, a perturbation takes two divisions that save nothing, and the descent
// starts again.

#include "compiler/solver/save_rows.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "compiler/solver/random.h"
#include "compiler/solver/resplit.h"
#include "compiler/solver/search_state.h"

namespace flashcp::solver {
namespace {

constexpr int kMostTried = 16;           // divisions of a pair that are evaluated exactly
constexpr double kTransferWeight = 0.3;  // of splits; does not matter, since rows order them

class Saving {
 public:
  Saving(const PieceModel& model, Placement placement, double enough_rows, double most_longer,
         Budget& budget)
      : model_(model),
        enough_rows_(enough_rows),
        budget_(budget),
        random_(0),
        ranks_(model.problem().ranks),
        state_(model.problem(), std::move(placement)) {
    const PassTime slowest = state_.cost().Slowest();
    most_ = {slowest.forward_us * most_longer, slowest.backward_us * most_longer};
  }

  Placement Run() {
    Descend();
    double rows = Rows();
    state_.Keep();
    while (rows > enough_rows_ && !budget_.Empty()) {
      for (int k = 0; k < 2; ++k) Perturb(random_.Below(ranks_), random_.Below(ranks_));
      Descend();
      if (Rows() < rows) {
        rows = Rows();
        state_.Keep();
      } else {
        state_.Restore();
      }
      Account(2 * ranks_);  // also if the pairs had nothing to divide
    }
    return state_.placement();
  }

 private:
  // Spends what the cost did since the last time, and other steps.
  void Account(int64_t steps) {
    budget_.Spend(steps + state_.cost().steps() - accounted_);
    accounted_ = state_.cost().steps();
  }

  double Rows() const {
    double rows = 0;
    for (int rank = 0; rank < ranks_; ++rank) rows += state_.cost().RowsReceived(rank);
    return rows;
  }

  void Descend() {
    for (bool saved = true; saved;) {
      saved = false;
      for (int rank = 0; rank < ranks_; ++rank) {
        for (int other = rank + 1; other < ranks_; ++other) {
          if (budget_.Empty()) return;
          saved |= Improve(rank, other);
        }
      }
    }
  }

  // Takes the division of the two ranks' tokens with fewest rows; returns false if none saves any.
  bool Improve(int rank, int other) {
    Resplit resplit = Divide(rank, other);
    std::vector<Split> splits = resplit.splits();
    const double rows = state_.cost().RowsReceived(rank) + state_.cost().RowsReceived(other);
    splits.erase(std::remove_if(splits.begin(), splits.end(),
                                [&](const Split& split) { return split.received > rows - 0.5; }),
                 splits.end());
    std::stable_sort(splits.begin(), splits.end(),
                     [](const Split& a, const Split& b) { return a.received < b.received; });
    return TakeFirst(resplit, splits, rank, other);
  }

  void Perturb(int rank, int other) {
    if (rank == other) return;
    Resplit resplit = Divide(rank, other);
    std::vector<Split> splits = resplit.splits();
    for (size_t i = splits.size(); i > 1; --i) std::swap(splits[i - 1], splits[random_.Below(i)]);
    TakeFirst(resplit, splits, rank, other);
  }

  Resplit Divide(int rank, int other) {
    return Resplit(model_, state_, rank, other, kTransferWeight,
                   most_.forward_us + most_.backward_us, random_);
  }

  // Takes the first of the splits that leaves no rank too slow; returns false if there is none.
  bool TakeFirst(const Resplit& resplit, const std::vector<Split>& splits, int rank, int other) {
    std::vector<DocumentChange> changes;
    bool found = false;
    for (size_t i = 0; i < splits.size() && i < kMostTried && !found; ++i) {
      changes = resplit.Changes(splits[i]);
      const PassTime slowest = state_.Try(changes, rank, other).slowest;
      found = slowest.forward_us <= most_.forward_us && slowest.backward_us <= most_.backward_us;
    }
    Account(resplit.steps());
    if (!found) return false;
    for (const DocumentChange& change : changes) state_.Apply(change);
    return true;
  }

  const PieceModel& model_;
  const double enough_rows_;
  Budget& budget_;
  Random random_;
  const int ranks_;
  SearchState state_;
  PassTime most_;  // of any rank
  int64_t accounted_ = 0;
};

}  // namespace

Placement SaveRows(const PieceModel& model, Placement placement, double enough_rows,
                   double most_longer, Budget& budget) {
  return Saving(model, std::move(placement), enough_rows, most_longer, budget).Run();
}

}  // namespace flashcp::solver
