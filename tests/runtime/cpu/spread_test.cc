// Tables of tiles that depend on each other: the reference kernel's results, and the same bits for
// every number of workers.

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/error_measures.h"
#include "runtime/check/random_tensor.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/reference_kernel.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/kernels.h"
#include "tests/testing/common_nan.h"
#include "tests/testing/reference_attention.h"

namespace flashcp {
namespace {

using testing::ToDoubles;

constexpr int kDim = 64;
constexpr int64_t kRows = 900;

// Part of a document, which starts at row `document` of the batch.
struct Piece {
  int64_t document;
  int64_t query;  // in the document
  int64_t query_count;
  int64_t key;
  int64_t key_count;
  int head_begin;
  int head_end;
  bool first;
  bool last;
};

struct Results {
  std::vector<float> output, lse, query_gradient, key_gradient, value_gradient;
};

// A batch in f32, causal, and what kernels make of pieces of it.
class Batch {
 public:
  Batch(int query_heads, int key_value_heads)
      : spec_{model::DType::kF32, query_heads, key_value_heads, kDim, kDim, 0.125f},
        query_(Random(1, query_heads)),
        key_(Random(2, key_value_heads)),
        value_(Random(3, key_value_heads)),
        gradient_(Random(4, query_heads)) {}

  // workers 0: the reference kernel.
  Results Run(const std::vector<Piece>& pieces, int workers) const {
    WorkerPool pool(std::max(workers, 1));
    std::unique_ptr<CpuKernels> kernels;
    if (workers > 0) {
      kernels = CreateGeneratedAttention(*FindGeneratedKernel(spec_), spec_, &pool).value();
    }
    Results r;
    r.output.assign(query_.size(), std::nanf(""));
    r.lse.assign(kRows * spec_.query_heads, std::nanf(""));
    r.query_gradient.assign(query_.size(), 1);
    r.key_gradient.assign(key_.size(), 1);
    r.value_gradient.assign(key_.size(), 1);
    std::vector<float> accumulator(query_.size(), std::nanf("")), delta(r.lse.size(), 0.5f);
    const model::Band causal = model::Mask::Causal().band();
    std::vector<AttentionTile> forward;
    std::vector<BackwardTile> backward;
    for (const Piece& p : pieces) {
      const int64_t row = (p.document + p.query) * spec_.query_heads;
      const int64_t q = row * kDim, k = (p.document + p.key) * spec_.key_value_heads * kDim;
      forward.push_back({&query_[q], &key_[k], &value_[k], &r.output[q], &r.lse[row],
                         p.first && p.last ? nullptr : &accumulator[q], p.query, p.key,
                         p.query_count, p.key_count, causal, spec_.query_heads,
                         spec_.key_value_heads, p.head_begin, p.head_end, p.first, p.last});
      backward.push_back({&query_[q], &key_[k], &value_[k], &gradient_[q], &r.lse[row], &delta[row],
                          &r.query_gradient[q], &r.key_gradient[k], &r.value_gradient[k], p.query,
                          p.key, p.query_count, p.key_count, causal, spec_.query_heads,
                          spec_.key_value_heads, p.head_begin, p.head_end});
    }
    if (kernels == nullptr) {
      ReferenceAttention(spec_, forward.data(), static_cast<int64_t>(forward.size()));
      ReferenceAttentionBackward(spec_, backward.data(), static_cast<int64_t>(backward.size()));
    } else {
      kernels->Forward(forward);
      kernels->Backward(backward);
    }
    return r;
  }

  void SetValue(int64_t row, float value) { value_[row * spec_.key_value_heads * kDim] = value; }
  bool HasGeneratedKernel() const { return FindGeneratedKernel(spec_) != nullptr; }

 private:
  std::vector<float> Random(uint64_t seed, int heads) const {
    return RandomTensor(seed, kRows * heads * kDim, model::DType::kF32);
  }

  const KernelSpec spec_;
  std::vector<float> query_, key_, value_, gradient_;
};

void ExpectSameBits(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

void ExpectSameBits(const Results& a, const Results& b) {
  ExpectSameBits(a.output, b.output);
  ExpectSameBits(a.lse, b.lse);
  ExpectSameBits(a.query_gradient, b.query_gradient);
  ExpectSameBits(a.key_gradient, b.key_gradient);
  ExpectSameBits(a.value_gradient, b.value_gradient);
}

void ExpectClose(const Results& expected, const Results& found) {
  EXPECT_LE(MaxError(ToDoubles(expected.output), found.output), 2e-5);
  EXPECT_LE(MaxError(ToDoubles(expected.lse), found.lse), 2e-5);
  EXPECT_LE(RelativeError(ToDoubles(expected.query_gradient), found.query_gradient), 1e-5);
  EXPECT_LE(RelativeError(ToDoubles(expected.key_gradient), found.key_gradient), 1e-5);
  EXPECT_LE(RelativeError(ToDoubles(expected.value_gradient), found.value_gradient), 1e-5);
}

// One document of 700 tokens whose keys come in three tiles, one of them for two heads only and one
// for fewer rows, and one of 200 tokens between them.
const std::vector<Piece> kPieces = {
    {0, 0, 700, 0, 250, 0, 4, true, false},    {700, 0, 200, 0, 200, 0, 4, true, true},
    {0, 0, 700, 250, 100, 2, 4, false, false}, {0, 0, 700, 250, 100, 0, 2, false, false},
    {0, 0, 350, 350, 0, 0, 4, false, true},    {0, 350, 350, 350, 350, 0, 4, false, true},
};

TEST(SpreadTest, SameBitsForEveryNumberOfWorkers) {
  for (int key_value_heads : {1, 2, 4}) {
    SCOPED_TRACE(key_value_heads);
    const Batch batch(4, key_value_heads);
    if (!batch.HasGeneratedKernel()) GTEST_SKIP() << "no AVX2 here";
    const Results one = batch.Run(kPieces, 1);
    ExpectClose(batch.Run(kPieces, 0), one);
    for (int workers : {2, 3, 7}) {
      SCOPED_TRACE(workers);
      ExpectSameBits(one, batch.Run(kPieces, workers));
    }
  }
}

// The reference kernel computes parts that meet them, and adds to the gradients in their place.
TEST(SpreadTest, ValuesThatAreNotFinite) {
  Batch batch(4, 1);
  if (!batch.HasGeneratedKernel()) GTEST_SKIP() << "no AVX2 here";
  batch.SetValue(500, std::nanf(""));
  Results one = batch.Run(kPieces, 1);
  EXPECT_TRUE(std::isnan(one.output[699 * 4 * kDim]));
  for (int workers : {2, 7}) ExpectSameBits(one, batch.Run(kPieces, workers));
  Results reference = batch.Run(kPieces, 0);
  for (auto tensor : {&Results::output, &Results::lse, &Results::query_gradient,
                      &Results::key_gradient, &Results::value_gradient}) {
    testing::ForgetCommonNan(&(reference.*tensor), &(one.*tensor));
  }
  ExpectClose(reference, one);
}

}  // namespace
}  // namespace flashcp
