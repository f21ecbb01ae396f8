// The plain backward kernel against float64 loops on single tiles, and on whole documents against
// the dense reference.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/error_measures.h"
#include "runtime/check/random_tensor.h"
#include "runtime/kernels.h"
#include "runtime/numeric.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/tile_shape.h"

namespace flashcp {
namespace {

using testing::TestBatch;
using testing::TestGradients;
using testing::TileShape;
using testing::ToElements;

KernelSpec Spec(ElementType element, int query_heads, int key_value_heads, int dim, int value_dim) {
  return {element, query_heads, key_value_heads,
          dim,     value_dim,   1 / std::sqrt(static_cast<float>(dim))};
}

// One tile with any LSE and delta, which need not come from a forward pass.
class TileCase {
 public:
  TileCase(const KernelSpec& spec, const TileShape& shape, uint64_t seed)
      : spec_(spec), shape_(shape) {
    auto random = [&](int tensor, int64_t rows, int dim, ElementType element) {
      return RandomTensor(10 * seed + tensor, rows * dim, element);
    };
    const int64_t queries = shape.query_count * spec.query_heads;
    const int64_t keys = shape.key_count * spec.key_value_heads;
    query = random(0, queries, spec.dim, spec.element);
    output_gradient = random(1, queries, spec.value_dim, spec.element);
    key = random(2, keys, spec.dim, spec.element);
    value = random(3, keys, spec.value_dim, spec.element);
    lse = random(4, queries, 1, ElementType::kF32);
    delta = random(5, queries, 1, ElementType::kF32);
    for (float& x : lse) x += 4;
  }

  // What the kernel adds to sums that hold `initial` everywhere.
  TestGradients Run(float initial) const {
    std::vector<char> q = ToElements(spec_.element, query);
    std::vector<char> k = ToElements(spec_.element, key);
    std::vector<char> v = ToElements(spec_.element, value);
    std::vector<char> g = ToElements(spec_.element, output_gradient);
    TestGradients sums;
    sums.query.assign(query.size(), initial);
    sums.key.assign(key.size(), initial);
    sums.value.assign(value.size(), initial);
    BackwardTile tile = {q.data(),
                         k.data(),
                         v.data(),
                         g.data(),
                         lse.data(),
                         delta.data(),
                         sums.query.data(),
                         sums.key.data(),
                         sums.value.data(),
                         shape_.query_position,
                         shape_.key_position,
                         shape_.query_count,
                         shape_.key_count,
                         shape_.window,
                         0,
                         spec_.query_heads,
                         shape_.mask};
    ReferenceAttentionBackward(spec_, &tile, 1);
    return sums;
  }

  DenseGradients Expected() const {
    DenseGradients sums;
    sums.query.resize(query.size());
    sums.key.resize(key.size());
    sums.value.resize(value.size());
    for (int64_t i = 0; i < shape_.query_count; ++i) {
      for (int64_t j = 0; j < shape_.key_count; ++j) {
        for (int head = 0; shape_.Sees(i, j) && head < spec_.query_heads; ++head) {
          AddPair(i * spec_.query_heads + head,
                  j * spec_.key_value_heads + head / (spec_.query_heads / spec_.key_value_heads),
                  &sums);
        }
      }
    }
    return sums;
  }

  std::vector<float> query, key, value, output_gradient, lse, delta;

 private:
  void AddPair(int64_t i, int64_t j, DenseGradients* sums) const {
    const float* q = &query[i * spec_.dim];
    const float* k = &key[j * spec_.dim];
    const float* v = &value[j * spec_.value_dim];
    const float* g = &output_gradient[i * spec_.value_dim];
    double score = 0;
    double dp = 0;
    for (int d = 0; d < spec_.dim; ++d) score += double{q[d]} * k[d];
    for (int d = 0; d < spec_.value_dim; ++d) dp += double{g[d]} * v[d];
    const double scale = 1 / std::sqrt(double(spec_.dim));
    const double p = std::isinf(lse[i]) ? 0 : std::exp(std::min(0.0, score * scale - lse[i]));
    const double ds = p * (dp - delta[i]) * scale;
    for (int d = 0; d < spec_.dim; ++d) {
      sums->query[i * spec_.dim + d] += ds * k[d];
      sums->key[j * spec_.dim + d] += ds * q[d];
    }
    for (int d = 0; d < spec_.value_dim; ++d) sums->value[j * spec_.value_dim + d] += p * g[d];
  }

  const KernelSpec spec_;
  const TileShape shape_;
};

void ExpectSame(const TileCase& tile) {
  const DenseGradients expected = tile.Expected();
  const TestGradients found = tile.Run(0);
  EXPECT_LE(RelativeError(expected.query, found.query), 1e-5);
  EXPECT_LE(RelativeError(expected.key, found.key), 1e-5);
  EXPECT_LE(RelativeError(expected.value, found.value), 1e-5);
}

class ReferenceBackwardTest : public ::testing::TestWithParam<std::tuple<ElementType, MaskType>> {};

TEST_P(ReferenceBackwardTest, TilesOfAllShapes) {
  auto [element, mask] = GetParam();
  // Positions put the diagonal and the edges of the window inside, before and behind the tile.
  const int64_t counts[][2] = {{1, 1}, {1, 150}, {150, 1}, {64, 64}, {65, 130}, {130, 63}};
  uint64_t seed = 0;
  for (auto [queries, keys] : counts) {
    for (int64_t query_position : {0, 40, 200}) {
      for (int64_t key_position : {0, 33}) {
        SCOPED_TRACE(seed);
        const TileShape shape = {query_position, queries, key_position, keys, mask, 70};
        ExpectSame(TileCase(Spec(element, 2, 1, 40, 40), shape, ++seed));
      }
    }
  }
}

TEST_P(ReferenceBackwardTest, HeadsShareKeysAndValuesMayBeNarrower) {
  auto [element, mask] = GetParam();
  const TileShape shape = {20, 70, 0, 90, mask, 33};
  ExpectSame(TileCase(Spec(element, 6, 2, 24, 24), shape, 100));
  ExpectSame(TileCase(Spec(element, 3, 3, 192, 128), shape, 101));
  ExpectSame(TileCase(Spec(element, 2, 1, 256, 256), shape, 102));
}

INSTANTIATE_TEST_SUITE_P(
    All, ReferenceBackwardTest,
    ::testing::Combine(::testing::Values(ElementType::kF32, ElementType::kBF16, ElementType::kF16),
                       ::testing::Values(MaskType::kCausal, MaskType::kFull, MaskType::kWindow)));

TEST(ReferenceBackwardTest, AddsToWhatIsThere) {
  const TileCase tile(Spec(ElementType::kF32, 2, 1, 16, 16), {0, 20, 0, 20, MaskType::kCausal, 0},
                      3);
  const TestGradients from_zero = tile.Run(0);
  const TestGradients from_two = tile.Run(2);
  for (size_t i = 0; i < from_zero.key.size(); ++i) {
    EXPECT_NEAR(from_two.key[i], from_zero.key[i] + 2, 1e-5);
  }
}

TEST(ReferenceBackwardTest, RowsWithoutWeightsAddNothing) {
  TileCase tile(Spec(ElementType::kF32, 1, 1, 16, 16), {0, 20, 0, 20, MaskType::kCausal, 0}, 4);
  const int row = 7;
  tile.lse[row] = -std::numeric_limits<float>::infinity();
  ExpectSame(tile);
  tile.query[row * 16] = std::nanf("");
  for (float x : tile.Run(0).key) EXPECT_FALSE(std::isnan(x));
}

TEST(ReferenceBackwardTest, MaskedPairsAddNothingWhateverTheirValues) {
  TileCase tile(Spec(ElementType::kF32, 1, 1, 8, 8), {0, 40, 0, 40, MaskType::kCausal, 0}, 5);
  tile.query[10 * 8] = std::nanf("");  // query 10 sees keys 0 to 10
  const TestGradients found = tile.Run(0);
  for (int j = 0; j < 40; ++j) EXPECT_EQ(std::isnan(found.key[j * 8]), j <= 10) << j;
}

TEST(ReferenceBackwardTest, WholeDocumentsAreExact) {
  for (const DenseDocument& document :
       {DenseDocument{200, MaskType::kCausal, 0}, DenseDocument{200, MaskType::kFull, 0},
        DenseDocument{200, MaskType::kWindow, 31}}) {
    TestBatch batch({document, {1, MaskType::kCausal, 0}}, Spec(ElementType::kF32, 4, 2, 64, 64),
                    6);
    const DenseGradients expected = batch.ReferenceGradients();
    const TestGradients found = DenseKernelGradients(batch);
    EXPECT_LE(RelativeError(expected.query, found.query), 1e-5);
    EXPECT_LE(RelativeError(expected.key, found.key), 1e-5);
    EXPECT_LE(RelativeError(expected.value, found.value), 1e-5);
  }
}

}  // namespace
}  // namespace flashcp
