// SplitMix64 as a counter: an element depends on the seed and its index alone.

#include "runtime/check/random_tensor.h"

#include <cmath>

#include "runtime/numeric.h"

namespace flashcp {
namespace {

// Sebastiano Vigna's splitmix64, the i-th output of a stream: a bijective mix of a counter.
uint64_t Mix(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

std::vector<float> RandomTensor(uint64_t seed, int64_t count, model::DType type) {
  const float limit = std::sqrt(3.0f);
  std::vector<float> tensor(count);
  uint64_t stream = Mix(seed, 0);  // so that neighbouring seeds share no numbers
  for (int64_t i = 0; i < count; ++i) {
    float unit = static_cast<float>(Mix(stream, i) >> 40) * 0x1p-23f - 1;  // in [-1, 1)
    tensor[i] = unit * limit;
  }
  if (type == model::DType::kF32) return tensor;
  std::vector<uint16_t> rounded(count);
  FloatsToElements(type, tensor.data(), count, rounded.data());
  ElementsToFloats(type, rounded.data(), count, tensor.data());
  return tensor;
}

}  // namespace flashcp
