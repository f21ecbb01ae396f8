// Estimates the load of one rank's forward program, from which the number of stages is chosen.

#ifndef FLASHCP_COMPILER_SOLVER_STAGE_LOAD_H_
#define FLASHCP_COMPILER_SOLVER_STAGE_LOAD_H_

#include <cstdint>
#include <vector>

#include "compiler/solver/cost_model.h"
#include "compiler/solver/problem.h"
#include "compiler/solver/stages.h"

namespace flashcp::solver {

// A tile of a rank: queries [query_begin, query_end) of a document, and the number of its keys that
// the rank does not own.
struct LoadTile {
  int64_t document = 0;
  int64_t query_begin = 0;
  int64_t query_end = 0;
  int64_t remote_keys = 0;
};

// Returns the modelled load of a rank with these tiles; `cost` is what Evaluate() says of the rank.
StageLoad LoadOfStages(const Problem& problem, const std::vector<LoadTile>& tiles,
                       const RankCost& cost);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_STAGE_LOAD_H_
