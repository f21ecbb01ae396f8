// The check of `flashcp run` accepts what is exact, refuses what is not, whatever the scale of the
// tensors, and says where.

#include "session/check.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/check/dense_reference.h"
#include "runtime/kernel_spec.h"
#include "runtime/numeric.h"
#include "runtime/plan/conversion.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::session {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kTokens = 33;
constexpr int64_t kRow = 4 * 8;  // elements of a query row

Plan MakePlan(fbs::DType dtype, float scale = testing::ToyProblem().scale) {
  testing::ToyProblem problem;
  problem.scale = scale;
  problem.documents = {{20, {{0, 20, 0}}}, {13, {{0, 13, 0}}}};
  problem.dtype = dtype;
  return testing::MakeToyPlan(problem);
}

// Results for the inputs, as good as their types hold them.
void FillExactly(const Plan& plan, BatchTensors* tensors) {
  const KernelSpec spec = KernelSpecOf(plan);
  auto load = [&](const std::string& from) { return FloatsOf(spec.element, from); };
  auto store = [](model::DType type, const std::vector<double>& from, std::string* to) {
    std::vector<float> floats(from.begin(), from.end());
    FloatsToElements(type, floats.data(), floats.size(), &(*to)[0]);
  };
  const std::vector<float> query = load(tensors->query);
  const std::vector<float> key = load(tensors->key);
  const std::vector<float> value = load(tensors->value);
  const DenseProblem problem = {DocumentsOf(*plan), spec, query, key, value};
  const DenseResult exact = DenseAttention(problem);
  store(spec.element, exact.output, &tensors->output);
  store(model::DType::kF32, exact.lse, &tensors->lse);
  const DenseGradients gradients =
      DenseAttentionBackward(problem, exact, load(tensors->output_gradient));
  store(spec.element, gradients.query, &tensors->query_gradient);
  store(spec.element, gradients.key, &tensors->key_gradient);
  store(spec.element, gradients.value, &tensors->value_gradient);
}

BatchTensors ExactTensors(const Plan& plan) {
  BatchTensors tensors = RandomTensors(plan, 3, /*backward=*/true);
  FillExactly(plan, &tensors);
  return tensors;
}

// Reads and writes one float32 of a tensor.
float Get(int64_t index, const std::string& tensor) {
  float value;
  std::memcpy(&value, &tensor[index * sizeof(value)], sizeof(value));
  return value;
}
void Put(float value, int64_t index, std::string* tensor) {
  std::memcpy(&(*tensor)[index * sizeof(value)], &value, sizeof(value));
}

// Multiplies the float32 elements [begin, end) of a tensor.
void Scale(float factor, int64_t begin, int64_t end, std::string* tensor) {
  for (int64_t i = begin; i < end; ++i) Put(factor * Get(i, *tensor), i, tensor);
}
void Scale(float factor, std::string* tensor) { Scale(factor, 0, tensor->size() / 4, tensor); }

std::vector<std::string BatchTensors::*> Results() {
  return {&BatchTensors::output, &BatchTensors::lse, &BatchTensors::query_gradient,
          &BatchTensors::key_gradient, &BatchTensors::value_gradient};
}

TEST(CheckTensorsTest, AcceptsExactResultsOfEveryType) {
  for (fbs::DType dtype : {fbs::DType::f32, fbs::DType::bf16, fbs::DType::f16}) {
    Plan plan = MakePlan(dtype);
    const CheckResult result = CheckTensors(plan, ExactTensors(plan));
    ASSERT_EQ(result.tensors.size(), 5);
    // Rounding to the dtype is at most a quarter of what is allowed.
    EXPECT_LT(result.Worst().worst.ratio, 0.3) << fbs::EnumNameDType(dtype);
  }
}

TEST(CheckTensorsTest, JudgesGradientsOnlyWhereThereAreAny) {
  Plan plan = MakePlan(fbs::DType::f32);
  BatchTensors tensors = ExactTensors(plan);
  tensors.output_gradient.clear();
  EXPECT_EQ(CheckTensors(plan, tensors).tensors.size(), 2);
}

TEST(CheckTensorsTest, RefusesOneWrongElement) {
  Plan plan = MakePlan(fbs::DType::f32);
  const BatchTensors exact = ExactTensors(plan);
  for (std::string BatchTensors::*result : Results()) {
    for (float wrong : {7.0f, -INFINITY, NAN}) {
      BatchTensors tensors = exact;
      Put(wrong, (tensors.*result).size() / 4 - 1, &(tensors.*result));
      EXPECT_FALSE(CheckTensors(plan, tensors).ok()) << wrong;
    }
  }
}

// Kernels that take another scale than the plan's are caught, however close it is.
TEST(CheckTensorsTest, RefusesAWrongScale) {
  for (float scale : {0.01f, 0.6f, 4.0f}) {
    const BatchTensors exact = ExactTensors(MakePlan(fbs::DType::f32, scale));
    EXPECT_TRUE(CheckTensors(MakePlan(fbs::DType::f32, scale), exact).ok()) << scale;
    EXPECT_FALSE(CheckTensors(MakePlan(fbs::DType::f32, scale * 1.001f), exact).ok()) << scale;
  }
}

TEST(CheckTensorsTest, NamesThePlaceOfTheWorstElement) {
  Plan plan = MakePlan(fbs::DType::f32);
  BatchTensors tensors = ExactTensors(plan);
  Put(7, 22 * kRow + 3 * 8 + 5, &tensors.output);
  EXPECT_THAT(CheckTensors(plan, tensors).Worst().place,
              HasSubstr("O of rank 0, document 1, position 2 (token 22), head 3, element 5 "
                        "is 7, expected "));
  EXPECT_TRUE(CheckTensors(plan, tensors).Worst().finite);
  Put(NAN, 4, &tensors.lse);
  EXPECT_THAT(CheckTensors(plan, tensors).Worst().place,
              HasSubstr("LSE of rank 0, document 0, position 1 (token 1), head 0 is nan"));
  EXPECT_FALSE(CheckTensors(plan, tensors).Worst().finite);
}

TEST(CheckTensorsTest, RefusesErrorsJustAboveTheTolerance) {
  Plan plan = MakePlan(fbs::DType::f32);
  BatchTensors tensors = ExactTensors(plan);
  // The first query sees its own key only: its O is the value of that key.
  const float first = Get(0, tensors.value);
  Put(first * (1 + 1e-5f), 0, &tensors.output);
  EXPECT_TRUE(CheckTensors(plan, tensors).ok());
  Put(first * (1 + 5e-5f), 0, &tensors.output);
  EXPECT_FALSE(CheckTensors(plan, tensors).ok());
}

// O is linear in V, and gradients in V and dO, bit by bit when the factor is a power of two.
TEST(CheckTensorsTest, TheVerdictDoesNotDependOnTheScaleOfVAndDo) {
  Plan plan = MakePlan(fbs::DType::f32);
  BatchTensors tensors = ExactTensors(plan);
  for (std::string BatchTensors::*result : Results()) {
    Put(Get(70, tensors.*result) * (1 + 1e-6f), 70, &(tensors.*result));
  }
  const CheckResult plain = CheckTensors(plan, tensors);
  for (float factor : {0x1p-20f, 4.0f, 0x1p20f}) {
    BatchTensors scaled = tensors;
    for (std::string* tensor :
         {&scaled.value, &scaled.output, &scaled.query_gradient, &scaled.key_gradient}) {
      Scale(factor, tensor);
    }
    for (std::string* tensor : {&scaled.output_gradient, &scaled.query_gradient,
                                &scaled.key_gradient, &scaled.value_gradient}) {
      Scale(1 / (factor * factor), tensor);
    }
    const CheckResult result = CheckTensors(plan, scaled);
    for (int i = 0; i < 5; ++i) {
      EXPECT_FLOAT_EQ(result.tensors[i].worst.ratio, plain.tensors[i].worst.ratio)
          << plain.tensors[i].name << ", factor " << factor;
    }
  }
}

TEST(CheckTensorsTest, ZerosAreNotSmallResults) {
  for (fbs::DType dtype : {fbs::DType::f32, fbs::DType::bf16, fbs::DType::f16}) {
    Plan plan = MakePlan(dtype);
    const model::DType type = KernelSpecOf(plan).element;
    BatchTensors exact = ExactTensors(plan);
    std::vector<float> values = FloatsOf(type, exact.value);
    for (float& x : values) x /= 1024;
    FloatsToElements(type, values.data(), values.size(), &exact.value[0]);
    FillExactly(plan, &exact);
    ASSERT_TRUE(CheckTensors(plan, exact).ok());
    for (std::string BatchTensors::*result : Results()) {
      BatchTensors tensors = exact;
      (tensors.*result).assign((tensors.*result).size(), '\0');
      EXPECT_FALSE(CheckTensors(plan, tensors).ok()) << fbs::EnumNameDType(dtype);
    }
  }
}

// Gradients of one document that are off by 1% are wrong, however large those of another are.
TEST(CheckTensorsTest, EachDocumentIsJudgedByItself) {
  Plan plan = MakePlan(fbs::DType::f32);
  BatchTensors exact = RandomTensors(plan, 3, /*backward=*/true);
  Scale(1e-4f, 20 * kRow, kTokens * kRow, &exact.output_gradient);
  FillExactly(plan, &exact);
  ASSERT_TRUE(CheckTensors(plan, exact).ok());
  for (std::string BatchTensors::*gradient :
       {&BatchTensors::query_gradient, &BatchTensors::key_gradient,
        &BatchTensors::value_gradient}) {
    BatchTensors tensors = exact;
    const int64_t row = (tensors.*gradient).size() / 4 / kTokens;
    Scale(1.01f, 20 * row, kTokens * row, &(tensors.*gradient));
    EXPECT_FALSE(CheckTensors(plan, tensors).ok());
  }
}

// A large column of V does not allow more errors in the others.
TEST(CheckTensorsTest, EachElementIsJudgedByItself) {
  Plan plan = MakePlan(fbs::DType::bf16);
  BatchTensors exact = ExactTensors(plan);
  std::vector<float> values = FloatsOf(model::DType::kBF16, exact.value);
  for (size_t i = 0; i < values.size(); i += 8) values[i] *= 1024;
  FloatsToElements(model::DType::kBF16, values.data(), values.size(), &exact.value[0]);
  FillExactly(plan, &exact);
  ASSERT_TRUE(CheckTensors(plan, exact).ok());
  std::vector<float> output = FloatsOf(model::DType::kBF16, exact.output);
  output[30 * kRow + 3] += 0.1f;
  FloatsToElements(model::DType::kBF16, output.data(), output.size(), &exact.output[0]);
  EXPECT_FALSE(CheckTensors(plan, exact).ok());
}

}  // namespace
}  // namespace flashcp::session
