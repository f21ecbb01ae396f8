// Reads heads, dtype and scale of a plan as what a device looks kernels up by.

#include "runtime/kernel_spec.h"

#include "runtime/plan/conversion.h"

namespace flashcp {

KernelSpec KernelSpecOf(const Plan& plan) {
  const fbs::HeadShape& heads = *plan->heads();
  KernelSpec spec;
  spec.element = ModelOf(plan->dtype());
  spec.query_heads = static_cast<int>(heads.query());
  spec.key_value_heads = static_cast<int>(heads.key_value());
  spec.dim = static_cast<int>(heads.dim());
  spec.value_dim = spec.dim;
  spec.scale = plan->scale();
  return spec;
}

KernelSpec GroupSpecOf(const Plan& plan) {
  KernelSpec spec = KernelSpecOf(plan);
  spec.query_heads /= static_cast<int>(plan->head_groups());
  spec.key_value_heads /= static_cast<int>(plan->head_groups());
  return spec;
}

}  // namespace flashcp
