// One rank of a plan through the C interface, with the tensors of a test batch.

#ifndef FLASHCP_TESTS_API_RANK_RUN_H_
#define FLASHCP_TESTS_API_RANK_RUN_H_

#include "flashcp.hpp"
#include "runtime/plan/plan.h"
#include "tests/testing/run_plan.h"

namespace flashcp::testing {

// Returns the C++ plan of the same bytes.
inline Plan PlanOf(const api::Plan& plan) { return *Plan::FromBytes(plan.Bytes()); }

inline flashcp_tensors TensorsOf(RankTensors* t) {
  return {api::TensorOf(t->query),
          api::TensorOf(t->key),
          api::TensorOf(t->value),
          api::TensorOf(t->output),
          api::TensorOf(t->lse),
          api::TensorOf(t->saved),
          api::TensorOf(t->output_gradient),
          api::TensorOf(t->query_gradient),
          api::TensorOf(t->key_gradient),
          api::TensorOf(t->value_gradient)};
}

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_API_RANK_RUN_H_
