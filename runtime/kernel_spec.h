// What a plan asks of kernels, in the kernels' own terms: kernels.h knows no plan.

#ifndef FLASHCP_RUNTIME_KERNEL_SPEC_H_
#define FLASHCP_RUNTIME_KERNEL_SPEC_H_

#include "runtime/kernels.h"
#include "runtime/plan/plan.h"

namespace flashcp {

// Returns the specification of the plan's attention kernel.
KernelSpec KernelSpecOf(const Plan& plan);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_KERNEL_SPEC_H_
