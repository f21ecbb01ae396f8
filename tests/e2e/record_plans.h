// The plans of these tests as a file, for tests of other executors.

#ifndef FLASHCP_TESTS_E2E_RECORD_PLANS_H_
#define FLASHCP_TESTS_E2E_RECORD_PLANS_H_

#include "runtime/plan/plan.h"

namespace flashcp::testing {

// Appends the plan to the file that $FLASHCP_RECORD_PLANS names, 8 bytes of length before it, and
// returns true: the caller leaves it to the reader of the file to run the plan. False if it names
// none.
bool RecordPlan(const Plan& plan);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_E2E_RECORD_PLANS_H_
