// The dense float64 reference, cut to what tests compare.

#include "tests/testing/reference_attention.h"

#include <utility>

#include "runtime/check/random_tensor.h"
#include "runtime/cpu/reference_kernel.h"
#include "runtime/numeric.h"

namespace flashcp::testing {

std::vector<char> ToElements(model::DType type, absl::Span<const float> floats) {
  std::vector<char> elements(floats.size() * BytesPerElement(type));
  FloatsToElements(type, floats.data(), floats.size(), elements.data());
  return elements;
}

std::vector<float> ToFloats(model::DType type, absl::Span<const char> elements) {
  std::vector<float> floats(elements.size() / BytesPerElement(type));
  ElementsToFloats(type, elements.data(), floats.size(), floats.data());
  return floats;
}

std::vector<double> ToDoubles(absl::Span<const float> floats) {
  return std::vector<double>(floats.begin(), floats.end());
}

TestBatch::TestBatch(std::vector<model::Document> documents, const KernelSpec& spec, uint64_t seed)
    : documents(std::move(documents)), spec(spec) {
  int64_t key_value_size = tokens() * spec.key_value_heads * spec.dim;
  int64_t query_size = tokens() * spec.query_heads * spec.dim;
  query = RandomTensor(4 * seed, query_size, spec.element);
  key = RandomTensor(4 * seed + 1, key_value_size, spec.element);
  value = RandomTensor(4 * seed + 2, key_value_size, spec.element);
  output_gradient = RandomTensor(4 * seed + 3, query_size, spec.element);
}

int64_t TestBatch::tokens() const {
  int64_t tokens = 0;
  for (const model::Document& document : documents) tokens += document.length;
  return tokens;
}

DenseResult TestBatch::Reference() const {
  return DenseAttention({documents, spec, query, key, value});
}

DenseGradients TestBatch::ReferenceGradients(const DenseResult& reference) const {
  return DenseAttentionBackward({documents, spec, query, key, value}, reference, output_gradient);
}

TestResult DenseKernel(const TestBatch& batch, CpuKernels* kernels) {
  const KernelSpec& spec = batch.spec;
  std::vector<char> query = ToElements(spec.element, batch.query);
  std::vector<char> key = ToElements(spec.element, batch.key);
  std::vector<char> value = ToElements(spec.element, batch.value);
  std::vector<char> output(query.size());
  TestResult result;
  result.lse.resize(batch.tokens() * spec.query_heads);
  int64_t query_bytes = int64_t{spec.query_heads} * spec.dim * BytesPerElement(spec.element);
  int64_t key_bytes = int64_t{spec.key_value_heads} * spec.dim * BytesPerElement(spec.element);
  int64_t token = 0;
  for (const model::Document& document : batch.documents) {
    AttentionTile tile = {};
    tile.query = query.data() + token * query_bytes;
    tile.key = key.data() + token * key_bytes;
    tile.value = value.data() + token * key_bytes;
    tile.output = output.data() + token * query_bytes;
    tile.lse = result.lse.data() + token * spec.query_heads;
    tile.query_count = tile.key_count = document.length;
    tile.band = document.mask.band();
    tile.query_row_heads = tile.head_end = spec.query_heads;
    tile.key_row_heads = spec.key_value_heads;
    tile.first = tile.last = true;
    if (kernels != nullptr) {
      kernels->Forward({&tile, 1});
    } else if (document.length > 0) {
      ReferenceAttention(spec, &tile, 1);
    }
    token += document.length;
  }
  result.output = ToFloats(spec.element, output);
  return result;
}

TestGradients DenseKernelGradients(const TestBatch& batch, CpuKernels* kernels) {
  const KernelSpec& spec = batch.spec;
  const TestResult result = DenseKernel(batch, kernels);
  std::vector<char> query = ToElements(spec.element, batch.query);
  std::vector<char> key = ToElements(spec.element, batch.key);
  std::vector<char> value = ToElements(spec.element, batch.value);
  std::vector<char> output_gradient = ToElements(spec.element, batch.output_gradient);
  std::vector<float> delta(result.lse.size());
  for (size_t i = 0; i < result.output.size(); ++i) {
    delta[i / spec.dim] += result.output[i] * batch.output_gradient[i];
  }
  TestGradients sums;
  sums.query.resize(batch.query.size());
  sums.key.resize(batch.key.size());
  sums.value.resize(batch.value.size());
  int64_t token = 0;
  for (const model::Document& document : batch.documents) {
    const int64_t row = token * spec.query_heads;
    const int64_t query_offset = row * spec.dim;
    const int64_t key_offset = token * spec.key_value_heads * spec.dim;
    const int bytes = BytesPerElement(spec.element);
    BackwardTile tile = {};
    tile.query = query.data() + query_offset * bytes;
    tile.key = key.data() + key_offset * bytes;
    tile.value = value.data() + key_offset * bytes;
    tile.output_gradient = output_gradient.data() + query_offset * bytes;
    tile.lse = result.lse.data() + row;
    tile.delta = delta.data() + row;
    tile.query_gradient = sums.query.data() + query_offset;
    tile.key_gradient = sums.key.data() + key_offset;
    tile.value_gradient = sums.value.data() + key_offset;
    tile.query_count = tile.key_count = document.length;
    tile.band = document.mask.band();
    tile.query_row_heads = tile.head_end = spec.query_heads;
    tile.key_row_heads = spec.key_value_heads;
    if (kernels != nullptr) {
      kernels->Backward({&tile, 1});
    } else {
      ReferenceAttentionBackward(spec, &tile, 1);
    }
    token += document.length;
  }
  for (std::vector<float>* gradient : {&sums.query, &sums.key, &sums.value}) {
    *gradient = ToFloats(spec.element, ToElements(spec.element, *gradient));
  }
  return sums;
}

}  // namespace flashcp::testing
