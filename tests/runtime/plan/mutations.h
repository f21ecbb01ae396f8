// Ways to break a toy plan, each with the rule that must refuse it.

#ifndef FLASHCP_TESTS_RUNTIME_PLAN_MUTATIONS_H_
#define FLASHCP_TESTS_RUNTIME_PLAN_MUTATIONS_H_

#include <functional>
#include <vector>

#include "runtime/plan/plan.h"
#include "tests/testing/toy_backward.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {

inline fbs::RankPlanT& Rank(fbs::PlanT& plan, int rank) { return *plan.ranks[rank]; }
inline fbs::ProgramT& Program(fbs::PlanT& plan, int rank) { return *plan.ranks[rank]->forward; }
inline fbs::Tile& Tile(fbs::PlanT& plan, int rank, int index) {
  return Program(plan, rank).tiles[index];
}
inline fbs::BackwardProgramT& Backward(fbs::PlanT& plan, int rank) {
  return *plan.ranks[rank]->backward;
}

// Gives each message of a rank of SmallToyProblem its own exchange; backward follows.
inline void SplitExchange(fbs::RankPlanT* rank) {
  fbs::ProgramT& program = *rank->forward;
  fbs::Instruction& first = program.instructions[1];
  fbs::Instruction second = first;
  first.mutate_end(1);
  second.mutate_begin(1);
  second.mutate_stage(2);
  program.instructions.insert(program.instructions.begin() + 2, second);
  program.instructions[3].mutate_stage(2);
  program.waits = {{1, 0}, {2, 0}};
  program.instructions[3].mutate_wait_end(2);
  rank->backward = testing::MakeToyBackward(*rank);
}

// SplitExchange of both ranks of SmallToyProblem, so that they exchange in the same order.
inline void SplitExchangesInOrder(fbs::PlanT* plan) {
  for (auto& rank : plan->ranks) SplitExchange(rank.get());
  std::swap(Program(*plan, 1).messages[0], Program(*plan, 1).messages[1]);
  Rank(*plan, 1).backward = testing::MakeToyBackward(Rank(*plan, 1));
}

struct Mutation {
  const char* rule;
  const char* name;
  std::function<void(fbs::PlanT&)> apply;
};

// A correct plan, and how it is broken.
struct Broken {
  testing::ToyProblem problem;
  std::vector<Mutation> mutations;
};

// Those of the backward pass.
std::vector<Broken> BrokenBackward();

}  // namespace flashcp

#endif  // FLASHCP_TESTS_RUNTIME_PLAN_MUTATIONS_H_
