// The check of `flashcp run` accepts what is exact and refuses what is not.

#include "tools/cli/tensors.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/dense_reference.h"
#include "runtime/kernel_spec.h"
#include "runtime/numeric.h"
#include "tests/testing/toy_plan.h"

namespace flashcp::cli {
namespace {

Plan MakePlan(fbs::DType dtype) {
  testing::ToyProblem problem;
  problem.documents = {{20, {{0, 20, 0}}}, {13, {{0, 13, 0}}}};
  problem.dtype = dtype;
  return testing::MakeToyPlan(problem);
}

std::vector<float> Floats(ElementType type, const std::string& elements) {
  std::vector<float> floats(elements.size() / ElementBytes(type));
  ElementsToFloats(type, elements.data(), floats.size(), floats.data());
  return floats;
}

// Random inputs, and O and LSE as good as their types hold them.
BatchTensors ExactTensors(const Plan& plan) {
  BatchTensors tensors = RandomTensors(plan, 3, false);
  KernelSpec spec = KernelSpecOf(plan);
  std::vector<float> query = Floats(spec.element, tensors.query);
  std::vector<float> key = Floats(spec.element, tensors.key);
  std::vector<float> value = Floats(spec.element, tensors.value);
  DenseResult exact = DenseAttention({DenseDocumentsOf(plan), spec.query_heads,
                                      spec.key_value_heads, spec.dim, query, key, value});
  std::vector<float> output(exact.output.begin(), exact.output.end());
  std::vector<float> lse(exact.lse.begin(), exact.lse.end());
  FloatsToElements(spec.element, output.data(), output.size(), &tensors.output[0]);
  std::memcpy(&tensors.lse[0], lse.data(), tensors.lse.size());
  return tensors;
}

// Gradients as good as their types hold them, besides.
BatchTensors ExactGradients(const Plan& plan) {
  BatchTensors tensors = ExactTensors(plan);
  BatchTensors with_gradients = RandomTensors(plan, 3, true);
  with_gradients.output = tensors.output;
  with_gradients.lse = tensors.lse;
  KernelSpec spec = KernelSpecOf(plan);
  std::vector<float> query = Floats(spec.element, tensors.query);
  std::vector<float> key = Floats(spec.element, tensors.key);
  std::vector<float> value = Floats(spec.element, tensors.value);
  DenseGradients exact = DenseAttentionBackward(
      {DenseDocumentsOf(plan), spec.query_heads, spec.key_value_heads, spec.dim, query, key, value},
      Floats(spec.element, with_gradients.output_gradient));
  auto store = [&](const std::vector<double>& from, std::string* to) {
    std::vector<float> floats(from.begin(), from.end());
    FloatsToElements(spec.element, floats.data(), floats.size(), &(*to)[0]);
  };
  store(exact.query, &with_gradients.query_gradient);
  store(exact.key, &with_gradients.key_gradient);
  store(exact.value, &with_gradients.value_gradient);
  return with_gradients;
}

// Writes one float32 of a tensor.
void Put(float value, int64_t index, std::string* tensor) {
  std::memcpy(&(*tensor)[index * sizeof(value)], &value, sizeof(value));
}

TEST(CheckTensorsTest, AcceptsExactResultsOfEveryType) {
  for (fbs::DType dtype : {fbs::DType::f32, fbs::DType::bf16, fbs::DType::f16}) {
    Plan plan = MakePlan(dtype);
    CheckResult result = CheckTensors(plan, ExactTensors(plan));
    EXPECT_TRUE(result.ok()) << fbs::EnumNameDType(dtype) << " " << result.output_error << " "
                             << result.lse_error;
    EXPECT_LT(result.lse_error, 1e-6);
  }
}

TEST(CheckTensorsTest, RefusesOneWrongElement) {
  Plan plan = MakePlan(fbs::DType::f32);
  const BatchTensors exact = ExactTensors(plan);
  for (float wrong : {7.0f, -INFINITY, NAN}) {
    BatchTensors tensors = exact;
    Put(wrong, 33 * 4 * 8 - 1, &tensors.output);
    EXPECT_FALSE(CheckTensors(plan, tensors).ok()) << wrong;
    tensors = exact;
    Put(wrong, 33 * 4 - 1, &tensors.lse);
    EXPECT_FALSE(CheckTensors(plan, tensors).ok()) << wrong;
  }
}

TEST(CheckTensorsTest, RefusesErrorsJustAboveTheTolerance) {
  Plan plan = MakePlan(fbs::DType::f32);
  BatchTensors tensors = ExactTensors(plan);
  // The first query sees its own key only: its O is the value of that key, below 2 in size.
  float first = Floats(ElementType::kF32, tensors.value)[0];
  ASSERT_LT(std::abs(first), 2);
  Put(first + 1e-5f, 0, &tensors.output);
  EXPECT_TRUE(CheckTensors(plan, tensors).ok());
  Put(first + 5e-5f, 0, &tensors.output);
  EXPECT_FALSE(CheckTensors(plan, tensors).ok());
}

TEST(CheckTensorsTest, JudgesGradientsWhereThereAreAny) {
  for (fbs::DType dtype : {fbs::DType::f32, fbs::DType::bf16, fbs::DType::f16}) {
    Plan plan = MakePlan(dtype);
    EXPECT_TRUE(CheckTensors(plan, ExactGradients(plan)).ok()) << fbs::EnumNameDType(dtype);
  }
  Plan plan = MakePlan(fbs::DType::f32);
  const BatchTensors exact = ExactGradients(plan);
  for (std::string BatchTensors::*gradient :
       {&BatchTensors::query_gradient, &BatchTensors::key_gradient,
        &BatchTensors::value_gradient}) {
    for (float wrong : {7.0f, NAN}) {
      BatchTensors tensors = exact;
      Put(wrong, 3, &(tensors.*gradient));
      EXPECT_FALSE(CheckTensors(plan, tensors).ok()) << wrong;
    }
  }
}

TEST(RandomTensorsTest, SeedsChooseTheNumbers) {
  Plan plan = MakePlan(fbs::DType::bf16);
  EXPECT_EQ(RandomTensors(plan, 1, false).query, RandomTensors(plan, 1, false).query);
  EXPECT_NE(RandomTensors(plan, 1, false).query, RandomTensors(plan, 2, false).query);
  BatchTensors tensors = RandomTensors(plan, 1, false);
  EXPECT_NE(tensors.key, tensors.value);
  EXPECT_EQ(tensors.key.size(), 33 * 2 * 8 * 2);
  EXPECT_EQ(tensors.output.size(), 33 * 4 * 8 * 2);
  EXPECT_EQ(tensors.lse.size(), 33 * 4 * 4);
}

}  // namespace
}  // namespace flashcp::cli
