// The reference kernel of the backward pass against float64 loops on single tiles, and on whole
// documents against the dense reference.

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/error_measures.h"
#include "runtime/check/random_tensor.h"
#include "runtime/kernels.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/tile_case.h"

namespace flashcp {
namespace {

using testing::MaskAt;
using testing::SavedRows;
using testing::TestBatch;
using testing::TestGradients;
using testing::TileCase;
using testing::TileShape;

KernelSpec Spec(model::DType element, int query_heads, int key_value_heads, int dim,
                int value_dim) {
  return {element, query_heads, key_value_heads,
          dim,     value_dim,   0.7f / std::sqrt(static_cast<float>(dim))};
}

// Any LSE and delta, which need not come from a forward pass.
SavedRows AnyRows(const TileCase& tile) {
  SavedRows saved = {RandomTensor(1000, tile.rows(), model::DType::kF32),
                     RandomTensor(1001, tile.rows(), model::DType::kF32)};
  for (float& x : saved.lse) x += 4;
  return saved;
}

void ExpectSame(const TileCase& tile, const SavedRows& saved) {
  const DenseGradients expected = tile.ExpectedGradients(saved);
  const TestGradients found = tile.Backward(saved);
  EXPECT_LE(RelativeError(expected.query, found.query), 1e-5);
  EXPECT_LE(RelativeError(expected.key, found.key), 1e-5);
  EXPECT_LE(RelativeError(expected.value, found.value), 1e-5);
}
void ExpectSame(const TileCase& tile) { ExpectSame(tile, AnyRows(tile)); }

class ReferenceBackwardTest : public ::testing::TestWithParam<std::tuple<model::DType, MaskAt>> {};

TEST_P(ReferenceBackwardTest, TilesOfAllShapes) {
  auto [element, mask_at] = GetParam();
  // Positions put the diagonal and the edges of the band inside, before and behind the tile.
  const int64_t counts[][2] = {{1, 1}, {1, 150}, {150, 1}, {64, 64}, {65, 130}, {130, 63}};
  uint64_t seed = 0;
  for (auto [queries, keys] : counts) {
    for (int64_t query_position : {0, 40, 200}) {
      for (int64_t key_position : {0, 33}) {
        SCOPED_TRACE(seed);
        const TileShape shape = {query_position, queries, key_position, keys, mask_at(70)};
        ExpectSame(TileCase(Spec(element, 2, 1, 40, 40), shape, ++seed));
      }
    }
  }
}

TEST_P(ReferenceBackwardTest, HeadsShareKeysAndValuesMayBeNarrower) {
  auto [element, mask_at] = GetParam();
  const TileShape shape = {20, 70, 0, 90, mask_at(33)};
  ExpectSame(TileCase(Spec(element, 6, 2, 24, 24), shape, 100));
  ExpectSame(TileCase(Spec(element, 3, 3, 192, 128), shape, 101));
  ExpectSame(TileCase(Spec(element, 2, 1, 256, 256), shape, 102));
}

INSTANTIATE_TEST_SUITE_P(All, ReferenceBackwardTest,
                         ::testing::Combine(::testing::Values(model::DType::kF32,
                                                              model::DType::kBF16,
                                                              model::DType::kF16),
                                            ::testing::ValuesIn(testing::kMasksAt)));

TEST(ReferenceBackwardTest, AddsToWhatIsThere) {
  const TileCase tile(Spec(model::DType::kF32, 2, 1, 16, 16), {0, 20, 0, 20, model::Mask::Causal()},
                      3);
  const TestGradients from_zero = tile.Backward(AnyRows(tile));
  const TestGradients from_two = tile.Backward(AnyRows(tile), 2);
  for (auto gradient : {&TestGradients::query, &TestGradients::key, &TestGradients::value}) {
    const std::vector<float>&added = from_zero.*gradient, &sums = from_two.*gradient;
    for (size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(sums[i], added[i] + 2, 1e-5);
  }
}

TEST(ReferenceBackwardTest, RowsWithoutWeightsAddNothing) {
  TileCase tile(Spec(model::DType::kF32, 1, 1, 16, 16), {0, 20, 0, 20, model::Mask::Causal()}, 4);
  const int row = 7;
  SavedRows saved = AnyRows(tile);
  saved.lse[row] = -std::numeric_limits<float>::infinity();
  ExpectSame(tile, saved);
  tile.query[row * 16] = std::nanf("");
  for (float x : tile.Backward(saved).key) EXPECT_FALSE(std::isnan(x));
}

TEST(ReferenceBackwardTest, MaskedPairsAddNothingWhateverTheirValues) {
  TileCase tile(Spec(model::DType::kF32, 1, 1, 8, 8), {0, 40, 0, 40, model::Mask::Causal()}, 5);
  tile.query[10 * 8] = std::nanf("");  // query 10 sees keys 0 to 10
  const TestGradients found = tile.Backward(AnyRows(tile));
  for (int j = 0; j < 40; ++j) EXPECT_EQ(std::isnan(found.key[j * 8]), j <= 10) << j;
}

TEST(ReferenceBackwardTest, WholeDocumentsAreExact) {
  for (const model::Document& document :
       {model::Document{200, model::Mask::Causal()}, model::Document{200, model::Mask::Full()},
        model::Document{200, model::Mask::Window(31)}}) {
    TestBatch batch({document, {1, model::Mask::Causal()}}, Spec(model::DType::kF32, 4, 2, 64, 64),
                    6);
    const DenseGradients expected = batch.ReferenceGradients(batch.Reference());
    const TestGradients found = DenseKernelGradients(batch);
    EXPECT_LE(RelativeError(expected.query, found.query), 1e-5);
    EXPECT_LE(RelativeError(expected.key, found.key), 1e-5);
    EXPECT_LE(RelativeError(expected.value, found.value), 1e-5);
  }
}

}  // namespace
}  // namespace flashcp
