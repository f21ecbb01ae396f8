// Elements are bytes of the plan's dtype, converted from and to floats one tensor at a time.

#include "session/tensors.h"

#include "runtime/check/random_tensor.h"
#include "runtime/kernel_spec.h"
#include "runtime/layout.h"
#include "runtime/numeric.h"

namespace flashcp::session {

std::vector<float> FloatsOf(model::DType type, const std::string& elements) {
  std::vector<float> floats(elements.size() / BytesPerElement(type));
  ElementsToFloats(type, elements.data(), floats.size(), floats.data());
  return floats;
}

std::string ElementsOf(model::DType type, const std::vector<float>& floats) {
  std::string elements(floats.size() * BytesPerElement(type), '\0');
  FloatsToElements(type, floats.data(), floats.size(), &elements[0]);
  return elements;
}

void AddResults(const Plan& plan, bool backward, BatchTensors* tensors) {
  tensors->output.resize(tensors->query.size());
  tensors->lse.resize(TotalTokens(plan) * RowBytesOf(plan).lse);
  if (!backward) return;
  tensors->query_gradient.resize(tensors->query.size());
  tensors->key_gradient.resize(tensors->key.size());
  tensors->value_gradient.resize(tensors->value.size());
}

RowBytes RowBytesOf(const Plan& plan) {
  KernelSpec spec = KernelSpecOf(plan);
  size_t head_bytes = static_cast<size_t>(spec.dim) * BytesPerElement(spec.element);
  return {spec.query_heads * head_bytes, spec.key_value_heads * head_bytes,
          spec.query_heads * sizeof(float)};
}

BatchTensors RandomTensors(const Plan& plan, uint64_t seed, bool backward) {
  KernelSpec spec = KernelSpecOf(plan);
  int64_t key_value_count = TotalTokens(plan) * spec.key_value_heads * spec.dim;
  int64_t query_count = TotalTokens(plan) * spec.query_heads * spec.dim;
  auto random = [&](uint64_t tensor, int64_t count) {
    return ElementsOf(spec.element, RandomTensor(4 * seed + tensor, count, spec.element));
  };
  BatchTensors tensors;
  tensors.query = random(0, query_count);
  tensors.key = random(1, key_value_count);
  tensors.value = random(2, key_value_count);
  if (backward) tensors.output_gradient = random(3, query_count);
  AddResults(plan, backward, &tensors);
  return tensors;
}

}  // namespace flashcp::session
