// Loads of a placement's ranks: rows received, rows sent and compute of each stage, for any number
// of stages that rotate (row_stage.h).
//
// Idea: one sweep over each document finds, for each node, the stretches of rows that the same
// ranks receive, and those that the same segments read. For a number of stages these are only cut.

#ifndef FLASHCP_COMPILER_SOLVER_STAGE_LOADS_H_
#define FLASHCP_COMPILER_SOLVER_STAGE_LOADS_H_

#include <cstdint>
#include <vector>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/row_stage.h"

namespace flashcp::solver {

// K/V rows and messages of one rank over one class of links. A row that is sent to several ranks
// counts for each.
struct Flow {
  int64_t rows_in = 0;
  int64_t rows_out = 0;
  int messages_in = 0;
  int messages_out = 0;

  void Receive(int64_t rows, bool new_message) {
    rows_in += rows;
    messages_in += new_message;
  }
  void Send(int64_t rows, bool new_message) {
    rows_out += rows;
    messages_out += new_message;
  }
};

// One stage of one rank, all heads together.
struct RankStage {
  Flow in_node;         // between owners and ranks of their own nodes
  Flow between_nodes;   // from owners to one rank of each other node, the row's relay
  Flow relayed;         // from relays to the other ranks of their nodes that need the rows
  ComputeTime compute;  // tiles, and what a stage more costs the blocks of queries that it touches

  int64_t RowsIn() const { return in_node.rows_in + between_nodes.rows_in + relayed.rows_in; }
};

// Loads of a rank that do not depend on its stages.
struct RankBase {
  int64_t tokens = 0;
  int64_t rows_in = 0;      // K/V rows that it receives
  int64_t sent_rows = 0;    // own K/V rows that travel, each counted once
  int64_t shared_rows = 0;  // own queries that more than one tile adds to
  ComputeTime local;        // tiles on own rows, all heads
};

class StageLoads {
 public:
  // The problem passed Check(), the placement Verify(); the problem outlives this.
  StageLoads(const Problem& problem, const Placement& placement);

  const Problem& problem() const { return problem_; }
  const std::vector<RankBase>& ranks() const { return ranks_; }
  // Returns how many distances between nodes carry rows; 0 if none travel.
  int turns() const { return rotation_.Turns(); }
  // Returns whether some rows are relayed.
  bool relays() const { return relays_; }

  // Returns the stages of rank r at [r * stages, (r + 1) * stages), without compute; stages >= 1.
  std::vector<RankStage> CutRows(int stages) const { return CutRows(stages, {}); }
  // Returns them without the rows of documents that are `saved`; empty: none is.
  std::vector<RankStage> CutRows(int stages, const std::vector<bool>& saved) const;
  // Adds the compute of stages that CutRows() returned.
  void AddCompute(int stages, std::vector<RankStage>* cut) const;

 private:
  // A segment, as a reader of rows of other ranks.
  struct Reader {
    int document = 0;
    Segment queries;
    TokenRange keys;   // that it sees
    ComputeTime pair;  // time of a pair of a query and a key, all heads
  };
  // Rows [begin, end) of a document that an owner sends to the same ranks of a node, or that the
  // same readers there see.
  struct Run {
    int document = 0;
    int owner = 0;  // its rank
    int64_t begin = 0;
    int64_t end = 0;
    OwnerRows owner_rows;
    int64_t row = 0;  // number of the first among owner_rows
    int list = 0;     // of receiving ranks, rising, or of places in Node::readers
    int group = 0;    // of received runs with the same receivers
  };
  struct Node {
    std::vector<int> readers;   // numbers in readers_, rising
    std::vector<Run> received;  // in order of owner, document and position
    int groups = 0;             // of these
    std::vector<Run> read;      // in order of document and position
  };
  class RunBuilder;
  class SentRows;

  void AddReaders(const Placement& placement);
  void AddRuns(int node, const Placement& placement);
  void NumberRows(int node);
  void AddRemote(const Node& node);
  void AddSent(const Placement& placement);
  void AddShared();

  std::vector<RelayRun> RelayRuns(int node, int stages) const;
  void CutReceived(int node, int stages, const std::vector<bool>& saved,
                   std::vector<RankStage>* cut) const;
  void AddComputeOf(const Node& node, int stages, std::vector<RankStage>* cut) const;

  const Problem& problem_;
  Rotation rotation_;
  ComputeTime block_;  // what a block of queries takes more for each stage that it reads
  std::vector<RankBase> ranks_;
  std::vector<Reader> readers_;  // all segments
  std::vector<Node> nodes_;
  std::vector<std::vector<int>> lists_;  // that runs share
  bool relays_ = false;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_STAGE_LOADS_H_
