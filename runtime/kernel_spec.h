// What a plan asks of kernels, in the kernels' own terms: kernels.h knows no plan.

#ifndef FLASHCP_RUNTIME_KERNEL_SPEC_H_
#define FLASHCP_RUNTIME_KERNEL_SPEC_H_

#include "runtime/kernels.h"
#include "runtime/plan/plan.h"

namespace flashcp {

// Returns the attention of the whole plan, with all heads of the caller's tensors.
KernelSpec KernelSpecOf(const Plan& plan);

// Returns what the plan's kernels are made for: the heads of one group.
KernelSpec GroupSpecOf(const Plan& plan);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_KERNEL_SPEC_H_
