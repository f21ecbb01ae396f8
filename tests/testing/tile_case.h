// One tile of random tensors: what kernels make of it, and what they must, in float64.

#ifndef FLASHCP_TESTS_TESTING_TILE_CASE_H_
#define FLASHCP_TESTS_TESTING_TILE_CASE_H_

#include <cstdint>
#include <vector>

#include "runtime/check/dense_reference.h"
#include "runtime/cpu/cpu_kernels.h"
#include "runtime/kernels.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/tile_shape.h"

namespace flashcp::testing {

// What backward takes of forward, a number for each row and head of the queries.
struct SavedRows {
  std::vector<float> lse;
  std::vector<float> delta;
};

class TileCase {
 public:
  TileCase(const KernelSpec& spec, const TileShape& shape, uint64_t seed);

  // Without `kernels` the reference kernels compute.
  TestResult Forward(CpuKernels* kernels = nullptr) const;
  // Keys [cuts[p], cuts[p + 1]) for each piece p of `order`, in that order.
  TestResult Forward(const std::vector<int64_t>& cuts, const std::vector<int>& order,
                     CpuKernels* kernels = nullptr) const;
  // Gradients that were `initial` everywhere.
  TestGradients Backward(const SavedRows& saved, float initial = 0,
                         CpuKernels* kernels = nullptr) const;

  // From now on rows of tensors have so many further heads before those of the tile, and as many
  // behind them: NaNs, which kernels are expected to leave alone.
  void SetFurtherHeads(int heads) { further_heads_ = heads; }

  SavedRows SavedBy(const TestResult& forward) const;

  // The same by definition; scores must be small enough for their exponentials.
  DenseResult Expected() const;
  DenseGradients ExpectedGradients(const SavedRows& saved) const;

  int64_t rows() const { return shape_.query_count * spec_.query_heads; }

  // Values that `spec` holds; tests may change them.
  std::vector<float> query, key, value, output_gradient;

 private:
  double Score(int64_t row, int64_t key_row) const;
  // The row of K and V that a head of the queries takes of key j.
  int64_t KeyRow(int64_t j, int head) const;
  void AppendRow(int64_t i, int head, DenseResult* result) const;
  void AddPair(int64_t row, int64_t key_row, const SavedRows& saved, DenseGradients* sums) const;

  const KernelSpec spec_;
  const TileShape shape_;
  int further_heads_ = 0;
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_TILE_CASE_H_
