// The kernels of a GPU target as PTX, run by the emulator: on tiles of many shapes, against float64
// and the rule for rounding, with races looked for, under several schedules.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/check/error_measures.h"
#include "tests/codegen/nvptx/kernel_runner.h"
#include "tests/testing/reference_attention.h"
#include "tests/testing/tile_case.h"

namespace flashcp::testing {
namespace {

using Order = emulator::Schedule::Order;
using Copies = emulator::Schedule::Copies;
using Products = emulator::Schedule::Products;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The build gives FLASHCP_TARGET, FLASHCP_DIM and FLASHCP_VALUE_DIM.
const GpuModule& Module() {
  static const GpuModule* const module =
      new GpuModule(FLASHCP_TARGET, FLASHCP_DIM, FLASHCP_VALUE_DIM);
  return *module;
}

KernelSpec Spec(model::DType element, int query_heads, int key_value_heads) {
  return {element,     query_heads,       key_value_heads,
          FLASHCP_DIM, FLASHCP_VALUE_DIM, 1.3f / std::sqrt(static_cast<float>(FLASHCP_DIM))};
}

// O is rounded to its type, and so are weights.
double OutputTolerance(model::DType element) {
  return element == model::DType::kBF16 ? 0x1p-6 : 0x1p-9;
}

void ExpectRight(const DenseResult& expected, const TestResult& found, model::DType element) {
  EXPECT_LE(MaxError(expected.output, found.output), OutputTolerance(element));
  EXPECT_LE(MaxError(expected.lse, found.lse), 2e-5);
}

// Gradients that were ones.
void ExpectRightGradients(const TileCase& tile, CpuKernels* kernels, model::DType element) {
  if (!Module().HasBackward()) return;
  const SavedRows saved = tile.SavedBy(tile.Forward());
  const TestGradients found = tile.Backward(saved, 1, kernels);
  DenseGradients expected = tile.ExpectedGradients(saved);
  for (std::vector<double>* sums : {&expected.query, &expected.key, &expected.value}) {
    for (double& sum : *sums) sum += 1;
  }
  const double allowed = element == model::DType::kBF16 ? 1.5e-2 : 2e-3;
  EXPECT_LE(RelativeError(expected.query, found.query), allowed);
  EXPECT_LE(RelativeError(expected.key, found.key), allowed);
  EXPECT_LE(RelativeError(expected.value, found.value), allowed);
}

TEST(GpuAttentionTest, TilesOfAllShapes) {
  uint64_t seed = 0;
  for (MaskAt mask : kMasksAt) {
    const TileShape shapes[] = {{0, 1, 0, 1, mask(1)},
                                {500, 1, 0, 201, mask(130)},
                                {100, 70, 90, 65, mask(20)},
                                {10, 20, 15, 100, mask(2)},
                                {0, 10, 50, 10, mask(4)}};
    for (const TileShape& shape : shapes) {
      SCOPED_TRACE(++seed);
      const model::DType element = seed % 2 == 0 ? model::DType::kBF16 : model::DType::kF16;
      const KernelSpec spec = Spec(element, 4, 2);
      EmulatedGpuKernels kernels(spec, Module());
      const TileCase tile(spec, shape, seed);
      ExpectRight(tile.Expected(), tile.Forward(&kernels), element);
      ExpectRightGradients(tile, &kernels, element);
    }
  }
}

// Groups that fill blocks of rows whole and in part, and more rows than a block has.
TEST(GpuAttentionTest, GroupsOfAnySize) {
  for (int group : {1, 3, 5, 16, 40}) {
    SCOPED_TRACE(group);
    const KernelSpec spec = Spec(model::DType::kBF16, group, 1);
    EmulatedGpuKernels kernels(spec, Module());
    const int64_t tokens = 200 / group + 1;
    const TileCase tile(spec, {3, tokens, 0, tokens + 2, model::Mask::Causal()}, group);
    ExpectRight(tile.Expected(), tile.Forward(&kernels), spec.element);
    ExpectRightGradients(tile, &kernels, spec.element);
  }
}

// Barriers and waits are as many as it takes under any schedule.
TEST(GpuAttentionTest, NoScheduleRaces) {
  const KernelSpec spec = Spec(model::DType::kBF16, 2, 1);
  const TileCase tile(spec, {30, 100, 0, 150, model::Mask::Causal()}, 3);
  const DenseResult expected = tile.Expected();
  for (Copies copies : {Copies::kEarly, Copies::kLate, Copies::kAny}) {
    for (Order order : {Order::kForward, Order::kReverse, Order::kSeeded}) {
      if (copies != Copies::kLate && order != Order::kSeeded) continue;
      GpuLaunch launch;
      launch.schedule.warps = launch.schedule.ctas = order;
      launch.schedule.copies = copies;
      launch.schedule.products = copies == Copies::kEarly ? Products::kAtIssue : Products::kAtWait;
      launch.schedule.seed = 11;
      launch.races = true;
      EmulatedGpuKernels kernels(spec, Module(), launch);
      ExpectRight(expected, tile.Forward(&kernels), spec.element);
      ExpectRightGradients(tile, &kernels, spec.element);
    }
  }
}

// In registers over the chain, or through memory from launch to launch.
TEST(GpuAttentionTest, AnySplitOfTheKeysMergesToTheSame) {
  const KernelSpec spec = Spec(model::DType::kF16, 4, 2);
  const TileCase tile(spec, {40, 50, 0, 90, model::Mask::Window(21)}, 5);
  const DenseResult expected = tile.Expected();
  for (bool chains : {true, false}) {
    SCOPED_TRACE(chains);
    GpuLaunch launch;
    launch.chains = chains;
    EmulatedGpuKernels kernels(spec, Module(), launch);
    ExpectRight(expected, tile.Forward({0, 30, 30, 64, 90}, {2, 0, 3, 1}, &kernels), spec.element);
    ExpectRight(expected, tile.Forward({0, 20, 90}, {1, 0}, &kernels), spec.element);
  }
}

TEST(GpuAttentionTest, WithinTheRuleForRounding) {
  for (model::DType element : {model::DType::kBF16, model::DType::kF16}) {
    const KernelSpec spec = Spec(element, 2, 1);
    if (spec.dim != spec.value_dim) GTEST_SKIP() << "plans have one head dimension";
    const TestBatch batch({{140, model::Mask::Causal()},
                           {1, model::Mask::Causal()},
                           {70, model::Mask::Full()},
                           {90, model::Mask::Window(40)}},
                          spec, 1);
    EmulatedGpuKernels kernels(spec, Module());
    const DenseResult result = batch.Reference();
    const TestResult found = DenseKernel(batch, &kernels);
    EXPECT_LE(FindWorst(result.output, result.output_allowed, found.output).ratio, 1);
    EXPECT_LE(FindWorst(result.lse, result.lse_allowed, found.lse).ratio, 1);
    if (!Module().HasBackward()) continue;
    const DenseGradients expected = batch.ReferenceGradients(result);
    const TestGradients gradients = DenseKernelGradients(batch, &kernels);
    EXPECT_LE(FindWorst(expected.query, expected.query_allowed, gradients.query).ratio, 1);
    EXPECT_LE(FindWorst(expected.key, expected.key_allowed, gradients.key).ratio, 1);
    EXPECT_LE(FindWorst(expected.value, expected.value_allowed, gradients.value).ratio, 1);
  }
}

// NaNs lie beside the heads that the tile computes.
TEST(GpuAttentionTest, RowsOfTensorsMayHaveFurtherHeads) {
  const KernelSpec spec = Spec(model::DType::kBF16, 4, 2);
  EmulatedGpuKernels kernels(spec, Module());
  TileCase tile(spec, {70, 60, 0, 140, model::Mask::Window(100)}, 8);
  TileCase wide = tile;
  wide.SetFurtherHeads(3);
  const TestResult expected = tile.Forward(&kernels);
  const TestResult found = wide.Forward(&kernels);
  EXPECT_EQ(found.output, expected.output);
  EXPECT_EQ(found.lse, expected.lse);
  if (!Module().HasBackward()) return;
  const SavedRows saved = tile.SavedBy(tile.Forward());
  const TestGradients gradients = tile.Backward(saved, 1, &kernels);
  const TestGradients of_wide = wide.Backward(saved, 1, &kernels);
  EXPECT_EQ(of_wide.query, gradients.query);
  EXPECT_EQ(of_wide.key, gradients.key);
  EXPECT_EQ(of_wide.value, gradients.value);
}

TEST(GpuAttentionTest, BitsDoNotDependOnTheNumberOfCtas) {
  if (!Module().HasBackward()) GTEST_SKIP() << "forward adds to no memory";
  const KernelSpec spec = Spec(model::DType::kBF16, 2, 2);
  const TileCase tile(spec, {0, 150, 0, 400, model::Mask::Full()}, 9);
  const SavedRows saved = tile.SavedBy(tile.Forward());
  TestGradients first;
  for (int ctas : {1, 2, 5}) {
    GpuLaunch launch;
    launch.ctas = ctas;
    launch.schedule.ctas = Order::kSeeded;
    EmulatedGpuKernels kernels(spec, Module(), launch);
    const TestGradients gradients = tile.Backward(saved, 1, &kernels);
    if (ctas > 1) {
      EXPECT_EQ(gradients.query, first.query);
      EXPECT_EQ(gradients.key, first.key);
      EXPECT_EQ(gradients.value, first.value);
    }
    first = gradients;
  }
}

// A NaN of V reaches all rows of Hopper's blocks that hold it, if one of them sees it.
TEST(GpuAttentionTest, NanReachesTheRowsThatSeeItAndNoOther) {
  const KernelSpec spec = Spec(model::DType::kBF16, 1, 1);
  EmulatedGpuKernels kernels(spec, Module());
  for (bool in_value : {false, true}) {
    if (in_value && Module().IsHopper()) continue;
    TileCase tile(spec, {0, 6, 0, 6, model::Mask::Causal()}, 3);
    (in_value ? tile.value[3 * spec.value_dim + 1] : tile.key[3 * spec.dim + 1]) = kNan;
    for (const TestResult& result :
         {tile.Forward(&kernels), tile.Forward({0, 4, 6}, {1, 0}, &kernels)}) {
      for (int row = 0; row < 6; ++row) {
        EXPECT_EQ(std::isnan(result.output[row * spec.value_dim + 1]), row >= 3) << row;
        EXPECT_EQ(std::isnan(result.lse[row]), row >= 3 && !in_value) << row;
      }
    }
  }
}

TEST(GpuAttentionTest, ScoresOfMinusInfinityWeighNothing) {
  const KernelSpec spec = Spec(model::DType::kBF16, 1, 1);
  EmulatedGpuKernels kernels(spec, Module());
  TileCase tile(spec, {0, 1, 0, 200, model::Mask::Full()}, 5);
  std::fill(tile.query.begin(), tile.query.end(), 1.0f);
  for (int key = 0; key < 199; ++key) tile.key[key * spec.dim] = -kInfinity;
  for (const TestResult& result :
       {tile.Forward(&kernels), tile.Forward({0, 65, 200}, {0, 1}, &kernels)}) {
    for (int d = 0; d < spec.value_dim; ++d) {
      EXPECT_FLOAT_EQ(result.output[d], tile.value[199 * spec.value_dim + d]);
    }
    EXPECT_TRUE(std::isfinite(result.lse[0]));
  }
}

// Scores of up to 1e31, all different, so that each row is the value of one key.
TEST(GpuAttentionTest, ScoresOfAnySizeGiveNoNan) {
  const KernelSpec spec = Spec(model::DType::kBF16, 2, 1);
  EmulatedGpuKernels kernels(spec, Module());
  TileCase tile(spec, {0, 120, 0, 120, model::Mask::Causal()}, 6);
  std::fill(tile.query.begin(), tile.query.end(), 0.0f);
  std::fill(tile.key.begin(), tile.key.end(), 0.0f);
  for (int row = 0; row < 240; ++row) tile.query[row * spec.dim] = row % 3 == 0 ? -0x1p50 : 0x1p50;
  for (int key = 0; key < 120; ++key) tile.key[key * spec.dim] = 0x1p49 * (key * 77 % 120 - 60);
  const TestResult expected = tile.Forward();
  const TestResult found = tile.Forward(&kernels);
  EXPECT_LE(MaxError(ToDoubles(expected.output), found.output), OutputTolerance(spec.element));
  EXPECT_LE(MaxError(ToDoubles(expected.lse), found.lse), 2e-5 * 1e31);
  if (!Module().HasBackward()) return;
  const TestGradients gradients = tile.Backward(tile.SavedBy(expected), 1, &kernels);
  for (const std::vector<float>* sums : {&gradients.query, &gradients.key, &gradients.value}) {
    for (float sum : *sums) EXPECT_TRUE(std::isfinite(sum));
  }
}

}  // namespace
}  // namespace flashcp::testing
