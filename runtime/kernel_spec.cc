#include "runtime/kernel_spec.h"

#include <cmath>

namespace flashcp {

ElementType ElementTypeOf(fbs::DType dtype) {
  switch (dtype) {
    case fbs::DType::bf16:
      return ElementType::kBF16;
    case fbs::DType::f16:
      return ElementType::kF16;
    case fbs::DType::f32:
      break;
  }
  return ElementType::kF32;
}

MaskType MaskTypeOf(fbs::MaskKind mask) {
  switch (mask) {
    case fbs::MaskKind::full:
      return MaskType::kFull;
    case fbs::MaskKind::window:
      return MaskType::kWindow;
    case fbs::MaskKind::causal:
      break;
  }
  return MaskType::kCausal;
}

KernelSpec KernelSpecOf(const Plan& plan) {
  const fbs::HeadShape& heads = *plan->heads();
  KernelSpec spec;
  spec.element = ElementTypeOf(plan->dtype());
  spec.query_heads = static_cast<int>(heads.query());
  spec.key_value_heads = static_cast<int>(heads.key_value());
  spec.dim = static_cast<int>(heads.dim());
  spec.value_dim = spec.dim;
  spec.scale = 1.0f / std::sqrt(static_cast<float>(heads.dim()));
  return spec;
}

}  // namespace flashcp
