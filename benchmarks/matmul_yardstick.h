// How fast oneDNN multiplies matrices of the shapes that attention has.

#ifndef FLASHCP_BENCHMARKS_MATMUL_YARDSTICK_H_
#define FLASHCP_BENCHMARKS_MATMUL_YARDSTICK_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace flashcp {

// From here on oneDNN works with the calling thread alone.
void UseOneThreadForMatmul();

// Calls use(multiply) where each multiply() is C = A B of these sizes, A and B of f32 or bf16, C of
// f32.
void WithMatmul(int64_t rows, int64_t depth, int64_t columns, bool bf16,
                absl::FunctionRef<void(absl::FunctionRef<void()> multiply)> use);

}  // namespace flashcp

#endif  // FLASHCP_BENCHMARKS_MATMUL_YARDSTICK_H_
