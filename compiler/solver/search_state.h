// A placement under change, with its cost and the documents of each rank.

#ifndef FLASHCP_COMPILER_SOLVER_SEARCH_STATE_H_
#define FLASHCP_COMPILER_SOLVER_SEARCH_STATE_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "compiler/solver/incremental_cost.h"
#include "compiler/solver/problem.h"

namespace flashcp::solver {

// New segments of one document, in increasing position.
struct DocumentChange {
  int document = 0;
  std::vector<Segment> segments;
};

class SearchState {
 public:
  // The problem outlives it.
  SearchState(const Problem& problem, Placement placement);

  const Problem& problem() const { return problem_; }
  const Placement& placement() const { return placement_; }
  const IncrementalCost& cost() const { return cost_; }
  int64_t token_cap() const { return token_cap_; }
  // Documents of which the rank owns tokens, rising.
  const std::vector<int>& DocumentsOf(int rank) const { return documents_of_[rank]; }

  // The objective after the changes, for the two ranks that they concern most.
  struct Outcome {
    double larger_us = 0;   // of the two
    double sum_us = 0;      // of the two
    double touched_us = 0;  // largest of all ranks with tokens of a changed document
    PassTime slowest;       // of these ranks
  };
  // Evaluates the changes without making them.
  Outcome Try(const std::vector<DocumentChange>& changes, int rank, int other);

  void Apply(const DocumentChange& change);

  // Marks the present placement as the one to return to.
  void Keep();
  // Returns to it.
  void Restore();

 private:
  // Sets touched_ to all ranks with tokens of a changed document, before or after.
  void FindTouched(const std::vector<DocumentChange>& changes);

  const Problem& problem_;
  const int64_t token_cap_;
  Placement placement_;
  IncrementalCost cost_;
  std::vector<std::vector<int>> documents_of_;
  std::vector<DocumentChange> kept_;  // what changed since Keep(), as it was, in order of change
  std::vector<int> touched_;
  std::vector<int> visited_;  // round in which FindTouched() met each rank
  int round_ = 0;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_SEARCH_STATE_H_
