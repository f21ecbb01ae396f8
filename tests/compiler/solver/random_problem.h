// Seeded random problems and placements for tests of the solver.

#ifndef FLASHCP_TESTS_COMPILER_SOLVER_RANDOM_PROBLEM_H_
#define FLASHCP_TESTS_COMPILER_SOLVER_RANDOM_PROBLEM_H_

#include <cstdint>
#include <random>

#include "compiler/solver/problem.h"

namespace flashcp::solver {

// From [low, high], the same on every machine.
int64_t Draw(std::mt19937_64& random, int64_t low, int64_t high);

// A small valid problem: the defaults of `flashcp compile` on two documents.
Problem SmallProblem();

// A cluster of small odd blocks, a bent tile table and unlike links, so that tests of a few hundred
// tokens meet every case. Blocks of rows and of columns are equal, or either is larger.
Cluster RandomCluster(std::mt19937_64& random);

// Any of the three kinds, a window of at most that many keys.
Mask RandomMask(std::mt19937_64& random, int64_t most_keys);

// Lengths of any kind, masks mixed, both exchanges, slack in one of four, 1 to 9 ranks or, in one
// of sixteen, up to 200; at most max_tokens tokens. Passes Check().
Problem RandomProblem(uint64_t seed, int64_t max_tokens);

// Cuts every document at random and hands the pieces to random ranks with room: passes Verify().
Placement RandomPlacement(const Problem& problem, std::mt19937_64& random);

}  // namespace flashcp::solver

#endif  // FLASHCP_TESTS_COMPILER_SOLVER_RANDOM_PROBLEM_H_
