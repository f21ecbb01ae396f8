// One batch through the whole chain: compiler, verifier, executor on threads, float64.

#ifndef FLASHCP_TESTS_E2E_COMPILED_CASE_H_
#define FLASHCP_TESTS_E2E_COMPILED_CASE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/compile.h"
#include "compiler/solver/problem.h"

namespace flashcp::testing {

// Documents of these lengths, all with this mask.
std::vector<model::Document> Documents(const std::vector<int64_t>& lengths,
                                       const model::Mask& mask);

// Heads 4:2 of dimension 8, f32, cluster h100x8.
solver::Problem SmallProblem(std::vector<model::Document> documents, int ranks);

// Returns the request with the least workspace limit in bytes, to 64, that some schedule of its
// placement meets.
CompileRequest WithLeastLimit(Compiler* compiler, CompileRequest request);

// Compiles the request and expects of the plan that the verifier accepts it, that its statistics
// are what the cost model says of the placement, and that running it is exact; and then of the plan
// that saves some rows for backward. Where plans are recorded (record_plans.h) they are not run.
void ExpectExactPlan(Compiler* compiler, const CompileRequest& request);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_E2E_COMPILED_CASE_H_
