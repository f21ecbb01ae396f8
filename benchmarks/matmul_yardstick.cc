// A register-blocked product, compiled for the widest vectors of this host.

#include "benchmarks/matmul_yardstick.h"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "dnnl.hpp"

namespace flashcp {
namespace {

using Memory = dnnl::memory;

// Filled with ones, so that no sum is a denormal or overflows.
Memory Matrix(const dnnl::engine& engine, int64_t rows, int64_t columns, Memory::data_type type) {
  Memory matrix({{rows, columns}, type, Memory::format_tag::ab}, engine);
  const int64_t count = rows * columns;
  if (type == Memory::data_type::bf16) {
    std::fill_n(static_cast<uint16_t*>(matrix.get_data_handle()), count, uint16_t{0x3f80});
  } else {
    std::fill_n(static_cast<float*>(matrix.get_data_handle()), count, 1.0f);
  }
  return matrix;
}

}  // namespace

void UseOneThreadForMatmul() { omp_set_num_threads(1); }

void WithMatmul(int64_t rows, int64_t depth, int64_t columns, bool bf16,
                absl::FunctionRef<void(absl::FunctionRef<void()> multiply)> use) {
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const auto type = bf16 ? Memory::data_type::bf16 : Memory::data_type::f32;
  Memory a = Matrix(engine, rows, depth, type), b = Matrix(engine, depth, columns, type);
  Memory c = Matrix(engine, rows, columns, Memory::data_type::f32);
  dnnl::matmul multiply(
      dnnl::matmul::primitive_desc({a.get_desc(), b.get_desc(), c.get_desc()}, engine));
  use([&] {
    multiply.execute(stream, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
    stream.wait();
  });
}

}  // namespace flashcp
