// The rules that cut what ranks receive into stages. The compiler cuts by them, and the model of
// schedules prices the same cuts.
//
// Idea: stages rotate, and every stage brings a node as many rows. A node takes rows of its own
// ranks first, then those of the next node, and so on around, so in every stage nodes receive from
// different nodes, and what each rank sends is even. In order of position all ranks would want the
// rows of one owner at once. And were stages distances instead of shares, a node whose documents
// reach few others would have nothing to do in most stages and all of its rows to wait for in one.

#ifndef FLASHCP_COMPILER_SOLVER_ROW_STAGE_H_
#define FLASHCP_COMPILER_SOLVER_ROW_STAGE_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"

namespace flashcp::solver {

// The nodes that rows cross between, by distance: (owner's node - receiver's node) mod nodes.
class Rotation {
 public:
  Rotation(int ranks, int ranks_per_node);

  int Node(int rank) const { return rank / ranks_per_node_; }
  int Distance(int receiver, int owner) const;

  // Says that a rank receives rows of an owner.
  void Add(int receiver, int owner) { carries_[Distance(receiver, owner)] = true; }
  // Returns how many distances carry rows.
  int Turns() const;

 private:
  int ranks_per_node_;
  int nodes_;
  std::vector<bool> carries_;  // by distance
};

// The rows of one owner that ranks of one node other than the owner receive, each once, in order of
// document and position.
struct OwnerRows {
  int64_t rows = 0;     // at least 1
  int64_t before = 0;   // rows that the node receives of nearer nodes than the owner's
  int64_t of_node = 0;  // rows that it receives of the owner's node
  int64_t all = 0;      // rows that it receives
};

// Returns, by owner, the rows of it that a node receives, given their number; `receiver` is a rank
// of the node.
std::vector<OwnerRows> RotateOwners(const Rotation& rotation, int receiver,
                                    const std::vector<int64_t>& rows);

// Returns the first of the owner's rows, from 0 to `rows`, that the node receives in `stage` or
// later; 0 <= stage <= stages. Row i comes in stage
// floor((before + of_node * i / rows) * stages / all): owners of a node side by side. But cuts lie
// at multiples of 128 rows if stages are that long, so that kernels see whole blocks.
int64_t FirstRowOfStage(const OwnerRows& owner, int stage, int stages);

// Returns the stage, from 0 on, of row `row`.
int RowStage(const OwnerRows& owner, int64_t row, int stages);

// Slots for the K/V rows of stages, which take them in turn: one arrives, one is in use, one
// leaves. Backward, rows are re-sent as far ahead as there are slots.
inline constexpr int kKeyValueSlots = 3;
inline int KeyValueSlot(int stage) { return stage % kKeyValueSlots; }

// Rows of one stage that the same ranks of a node receive from other nodes, in order of owner,
// document and position. Each of these ranks relays a share: it receives the share from outside and
// sends it on to the others. Even shares of rows in this order come of as few owners as can be.
struct RelayRun {
  int64_t rows = 0;
  int receivers = 1;
  int owner = 0;  // of the first row
};

// Rows of a run that one of its ranks relays.
struct RelayShare {
  int64_t begin = 0;
  int64_t end = 0;
  int receiver = 0;  // number of the relay among the ranks that receive the rows
};

// Calls visit(share) for the shares of `rows` consecutive rows of one owner, which begin at row
// `first` of the run; shares count from there. Shares of a run have about 256 rows at least, so
// there may be fewer of them than receivers. They begin where rows of an owner do, or a multiple of
// 64 rows later.
void ForEachRelayShare(const RelayRun& run, int64_t first, int64_t rows,
                       absl::FunctionRef<void(const RelayShare&)> visit);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_ROW_STAGE_H_
