// A plan behind its handle.

#ifndef FLASHCP_API_PLAN_H_
#define FLASHCP_API_PLAN_H_

#include "api/flashcp.h"
#include "runtime/plan/plan.h"

struct flashcp_plan {
  flashcp::Plan plan;  // has passed VerifyPlan
};

#endif  // FLASHCP_API_PLAN_H_
