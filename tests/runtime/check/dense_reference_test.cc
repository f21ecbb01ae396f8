// The dense reference on cases that can be done by hand, so that it is not only compared with what
// it is there to judge.

#include "runtime/check/dense_reference.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/random_tensor.h"

namespace flashcp {
namespace {

constexpr int kDim = 8;
constexpr float kScale = 0.3125f;  // a plan may hold any, not only 1 / sqrt(dim)

KernelSpec Spec(int query_heads, int key_value_heads) {
  return {model::DType::kF32, query_heads, key_value_heads, kDim, kDim, kScale};
}

// Keys are 0, so all visible keys weigh the same; value row j is j in each element.
DenseResult Uniform(std::vector<model::Document> documents, int tokens) {
  std::vector<float> query(tokens * kDim, 1.0f);
  std::vector<float> key(tokens * kDim, 0.0f);
  std::vector<float> value;
  for (int j = 0; j < tokens; ++j) value.insert(value.end(), kDim, static_cast<float>(j));
  return DenseAttention({documents, Spec(1, 1), query, key, value});
}

TEST(DenseReferenceTest, MasksAndDocumentsSayWhatAQuerySees) {
  DenseResult result = Uniform({{4, model::Mask::Causal()},
                                {0, model::Mask::Causal()},
                                {3, model::Mask::Full()},
                                {4, model::Mask::Window(2)}},
                               11);
  // Means of the visible values, and the logarithms of how many they are.
  std::vector<double> means = {0, 0.5, 1, 1.5, 5, 5, 5, 7, 7.5, 8.5, 9.5};
  std::vector<double> counts = {1, 2, 3, 4, 3, 3, 3, 1, 2, 2, 2};
  ASSERT_EQ(result.lse.size(), 11);
  for (int i = 0; i < 11; ++i) {
    EXPECT_NEAR(result.lse[i], std::log(counts[i]), 1e-14) << i;
    for (int d = 0; d < kDim; ++d) EXPECT_NEAR(result.output[i * kDim + d], means[i], 1e-14) << i;
  }
}

TEST(DenseReferenceTest, ScoresAreScaledAndHeadsGrouped) {
  // Two tokens, four query heads on two key/value heads; key and value of head g are those of g.
  std::vector<float> query(2 * 4 * kDim, 1.0f);
  std::vector<float> key(2 * 2 * kDim, 0.0f);
  std::vector<float> value(2 * 2 * kDim, 0.0f);
  for (int d = 0; d < kDim; ++d) {
    key[3 * kDim + d] = 1;    // token 1, head 1: score 8 * kScale
    value[2 * kDim + d] = 2;  // token 1, head 0
    value[3 * kDim + d] = 4;  // token 1, head 1
  }
  DenseResult result = DenseAttention({{{2, model::Mask::Full()}}, Spec(4, 2), query, key, value});
  double weight = std::exp(8.0 * kScale);
  for (int head = 0; head < 4; ++head) {
    double expected = head < 2 ? 2 * 0.5 : 4 * weight / (1 + weight);
    EXPECT_NEAR(result.output[head * kDim], expected, 1e-14) << head;
    EXPECT_NEAR(result.lse[head], head < 2 ? std::log(2) : std::log(1 + weight), 1e-14) << head;
  }
}

// Lengths around the 16 queries and the 32 keys that are taken at a time, two documents each.
TEST(DenseReferenceTest, LongDocumentsAgreeWithOneSumPerQuery) {
  for (model::Document document : {model::Document{15, model::Mask::Causal()},
                                   {16, model::Mask::Full()},
                                   {17, model::Mask::Causal()},
                                   {77, model::Mask::Full()},
                                   {77, model::Mask::Causal()},
                                   {77, model::Mask::Window(1)},
                                   {77, model::Mask::Window(20)},
                                   {77, model::Mask::Window(60)},
                                   {77, model::Mask({-30, 20})},
                                   {77, model::Mask({-18, model::Band::kNoUpper})},
                                   {77, model::Mask({5, 40})},
                                   {77, model::Mask({model::Band::kNoLower, -17})}}) {
    const int64_t length = document.length;
    std::vector<float> query = RandomTensor(1, 2 * length * kDim, model::DType::kF32);
    std::vector<float> key = RandomTensor(2, 2 * length * kDim, model::DType::kF32);
    std::vector<float> value = RandomTensor(3, 2 * length * kDim, model::DType::kF32);
    DenseResult result = DenseAttention({{document, document}, Spec(1, 1), query, key, value});
    for (int64_t i = 0; i < 2 * length; ++i) {
      const int64_t first = i / length * length;  // token of the document
      double sum = 0;
      double output = 0;
      for (int64_t j = first; j < first + length; ++j) {
        if (j - i < document.mask.band().lower || j - i > document.mask.band().upper) continue;
        double score = 0;
        for (int d = 0; d < kDim; ++d) score += double{query[i * kDim + d]} * key[j * kDim + d];
        sum += std::exp(score * kScale);
        output += std::exp(score * kScale) * value[j * kDim + 5];
      }
      if (sum == 0) {  // sees no key
        ASSERT_EQ(result.lse[i], -std::numeric_limits<double>::infinity());
        ASSERT_EQ(result.output[i * kDim + 5], 0);
        continue;
      }
      ASSERT_NEAR(result.lse[i], std::log(sum), 1e-12) << "length " << length << ", query " << i;
      ASSERT_NEAR(result.output[i * kDim + 5], output / sum, 1e-12) << "query " << i;
    }
  }
}

TEST(DenseReferenceTest, NaNReachesOnlyTheQueriesThatSeeIt) {
  constexpr int kLength = 40;
  constexpr int kBad = 21;
  for (bool in_value : {false, true}) {
    std::vector<float> query(kLength * kDim, 1.0f);
    std::vector<float> key(kLength * kDim, 1.0f);
    std::vector<float> value(kLength * kDim, 1.0f);
    (in_value ? value : key)[kBad * kDim + 2] = std::nanf("");
    for (int64_t window : {0, 6}) {
      const model::Mask mask = window == 0 ? model::Mask::Causal() : model::Mask::Window(window);
      DenseResult result = DenseAttention({{{kLength, mask}}, Spec(1, 1), query, key, value});
      for (int i = 0; i < kLength; ++i) {
        const bool sees = i >= kBad && (window == 0 || i < kBad + window);
        EXPECT_EQ(std::isnan(result.output[i * kDim + 2]), sees) << i;
        EXPECT_EQ(std::isnan(result.lse[i]), sees && !in_value) << i;
      }
    }
  }
}

TEST(RandomTensorTest, IsSeededRoundedAndCentred) {
  std::vector<float> tensor = RandomTensor(1, 100000, model::DType::kF32);
  EXPECT_EQ(tensor, RandomTensor(1, 100000, model::DType::kF32));
  EXPECT_NE(tensor, RandomTensor(2, 100000, model::DType::kF32));
  double sum = 0;
  double squares = 0;
  for (float x : tensor) sum += x, squares += double{x} * x;
  EXPECT_NEAR(sum / tensor.size(), 0, 0.01);
  EXPECT_NEAR(squares / tensor.size(), 1, 0.01);
  std::vector<float> rounded = RandomTensor(1, 100000, model::DType::kBF16);
  for (size_t i = 0; i < tensor.size(); ++i) {
    ASSERT_NEAR(rounded[i], tensor[i], std::abs(tensor[i]) * 0x1p-8);
  }
  EXPECT_NE(rounded, tensor);
}

}  // namespace
}  // namespace flashcp
