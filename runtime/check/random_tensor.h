// Seeded random tensors: the same numbers for the same seed on every machine.

#ifndef FLASHCP_RUNTIME_CHECK_RANDOM_TENSOR_H_
#define FLASHCP_RUNTIME_CHECK_RANDOM_TENSOR_H_

#include <cstdint>
#include <vector>

#include "runtime/kernels.h"

namespace flashcp {

// `count` numbers, uniform in [-sqrt(3), sqrt(3)) (mean 0, variance 1), rounded to values that
// `type` holds exactly.
std::vector<float> RandomTensor(uint64_t seed, int64_t count, model::DType type);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CHECK_RANDOM_TENSOR_H_
