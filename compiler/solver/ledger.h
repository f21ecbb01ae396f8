// What each rank of a placement computes and moves, kept up to date while single documents change:
// the cost model of Evaluate(), made incremental.

#ifndef FLASHCP_COMPILER_SOLVER_LEDGER_H_
#define FLASHCP_COMPILER_SOLVER_LEDGER_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/objective.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/traffic.h"

namespace flashcp::solver {

class Ledger {
 public:
  // O(ranks^2) memory: 4 bytes for each pair.
  explicit Ledger(const Problem& problem);

  // The document has segments `after` from now on, in increasing position, and no more `before`;
  // either may be empty. Counts of tokens, rows and messages return exactly to what they were when
  // the change is taken back, times but for rounding. O(segments) where the segments of two ranks
  // change and the mask is no window, else O(sum over segments of the ranks that need their rows).
  void Replace(const Document& document, const std::vector<Segment>& before,
               const std::vector<Segment>& after);

  // From here on only these ranks change, until Rollback() takes all changes back exactly.
  void Mark(const std::vector<int>& ranks);
  void Rollback();

  int64_t tokens(int rank) const { return ranks_[rank].tokens; }
  // The objective of the search, for one rank.
  double RankUs(int rank) const;
  // The modelled step, as Evaluate() has it.
  double StepUs() const;
  // The objective of the search: the largest RankUs().
  double ObjectiveUs() const;

  int64_t steps() const { return steps_; }  // segments and needing ranks looked at so far

 private:
  // Rows in units of 1/kRowUnits, so that an even share of a row is added and taken back exactly.
  static constexpr int64_t kRowUnits = 1 << 16;
  struct Rank {
    ComputeTime compute;
    int64_t tokens = 0;
    int64_t received[2] = {0, 0};  // inside the node, between nodes
    int64_t sent[2] = {0, 0};
    int64_t sources[2] = {0, 0};
    int64_t destinations[2] = {0, 0};
  };
  // Of one node, over the positions of a document that were swept so far.
  struct Node {
    int64_t open = 0;          // ranks with an open segment
    int64_t owned = 0;         // rows that the node owns
    int64_t foreign_seen = 0;  // rows of other nodes that `shares` covers
    int64_t shares = 0;        // units that each of its needing ranks would have received of them
  };
  void ChangeCompute(const Document& document, const Segment& segment, int sign);
  void ChangeTraffic(const Document& document, const std::vector<Segment>& segments, int sign);
  void Open(int rank, int64_t position, int sign);
  void Close(int rank, int64_t position, int sign);
  void Advance(Node& node, int64_t position);
  void Account(int rank, int64_t position, int sign);
  void Send(int owner, int64_t rows, int sign);
  void CountMessages(int owner, int sign);
  void CountMessage(int from, int to, int sign);
  TransferTime Transfers(const Rank& rank) const;

  const Problem& problem_;
  const SegmentTimer timer_;
  const Objective objective_;
  const TransferModel transfers_;
  std::vector<Rank> ranks_;
  std::vector<int> node_;      // of each rank
  std::vector<int> messages_;  // runs of rows from one rank to another
  // What Rollback() restores, and the changes of messages_ since Mark().
  bool marked_ = false;
  std::vector<std::pair<int, Rank>> saved_;
  std::vector<std::pair<size_t, int>> message_log_;
  // While a document changes:
  std::vector<int> changed_;  // ranks whose segments change, up to one more than kPair
  bool pair_ = false;         // only messages of changed_ need counting
  std::vector<int> opened_;   // open segments of each rank
  std::vector<int> needing_;  // ranks with an open segment
  std::vector<int> place_;    // of each of these in needing_
  std::vector<Node> nodes_;
  int64_t open_nodes_ = 0;      // nodes with needing ranks
  std::vector<KeyRange> keys_;  // of each segment
  int64_t steps_ = 0;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_LEDGER_H_
