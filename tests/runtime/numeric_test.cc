// bf16 and f16, every value of them, and every tie between two neighbours.

#include "runtime/numeric.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp {
namespace {

template <typename Element>
uint16_t Round(float value) {
  Element element;
  FromFloat(value, &element);
  return element.bits;
}

// The value of 16 bits with a sign, `exponent_bits` and a fraction, by the definition of the
// format.
double ValueOf(uint16_t bits, int exponent_bits) {
  int fraction_bits = 15 - exponent_bits;
  int bias = (1 << (exponent_bits - 1)) - 1;
  int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
  int fraction = bits & ((1 << fraction_bits) - 1);
  double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  }
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

template <typename Element>
void ExpectAllValues(int exponent_bits) {
  for (int i = 0; i < 65536; ++i) {
    uint16_t bits = static_cast<uint16_t>(i);
    double expected = ValueOf(bits, exponent_bits);
    float value = ToFloat(Element{bits});
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(ToFloat(Element{Round<Element>(value)}))) << bits;
      ASSERT_EQ(std::signbit(value), bits >> 15) << bits;
      continue;
    }
    ASSERT_EQ(value, expected) << bits;
    ASSERT_EQ(std::signbit(value), bits >> 15) << bits;
    ASSERT_EQ(Round<Element>(value), bits);
  }
}

// Between each two finite neighbours, and between the largest and infinity: the middle goes to the
// even one, anything beside it to the nearer one. Both signs.
template <typename Element>
void ExpectAllTies(int exponent_bits, uint16_t infinity) {
  for (uint16_t low = 0; low < infinity; ++low) {
    uint16_t high = static_cast<uint16_t>(low + 1);
    double low_value = ValueOf(low, exponent_bits);
    // Where `high` is infinity, the spacing continues.
    double step = high == infinity ? low_value - ValueOf(low - 1, exponent_bits)
                                   : ValueOf(high, exponent_bits) - low_value;
    float middle = static_cast<float>(low_value + step / 2);
    ASSERT_EQ(Round<Element>(middle), low % 2 == 0 ? low : high) << low;
    ASSERT_EQ(Round<Element>(std::nextafter(middle, 0.0f)), low) << low;
    ASSERT_EQ(Round<Element>(std::nextafter(middle, HUGE_VALF)), high) << low;
    ASSERT_EQ(Round<Element>(-middle), 0x8000 | (low % 2 == 0 ? low : high)) << low;
  }
}

TEST(NumericTest, BFloat16HoldsItsValues) { ExpectAllValues<BFloat16>(8); }
TEST(NumericTest, Float16HoldsItsValues) { ExpectAllValues<Float16>(5); }
TEST(NumericTest, BFloat16RoundsToNearestEven) { ExpectAllTies<BFloat16>(8, 0x7f80); }
TEST(NumericTest, Float16RoundsToNearestEven) { ExpectAllTies<Float16>(5, 0x7c00); }

TEST(NumericTest, LargeValuesBecomeInfinity) {
  EXPECT_EQ(Round<Float16>(65519.996f), 0x7bff);
  EXPECT_EQ(Round<Float16>(65520.0f), 0x7c00);
  EXPECT_EQ(Round<Float16>(-1e30f), 0xfc00);
  EXPECT_EQ(Round<BFloat16>(std::numeric_limits<float>::max()), 0x7f80);
}

TEST(NumericTest, NanOfAnyPayloadStaysNan) {
  // A payload in the low bits alone must not be cut off to infinity.
  float nan = FloatFromBits(0xff800001);
  EXPECT_TRUE(std::isnan(ToFloat(BFloat16{Round<BFloat16>(nan)})));
  EXPECT_TRUE(std::isnan(ToFloat(Float16{Round<Float16>(nan)})));
  EXPECT_EQ(Round<BFloat16>(nan) >> 15, 1);
  EXPECT_EQ(Round<Float16>(nan) >> 15, 1);
}

TEST(NumericTest, ConvertsArrays) {
  const std::vector<float> floats = {1.0f, -2.5f, 1e-7f, 3.14159f};
  for (model::DType type : {model::DType::kF32, model::DType::kBF16, model::DType::kF16}) {
    std::vector<char> elements(floats.size() * BytesPerElement(type));
    std::vector<float> back(floats.size());
    FloatsToElements(type, floats.data(), floats.size(), elements.data());
    ElementsToFloats(type, elements.data(), floats.size(), back.data());
    float relative = type == model::DType::kF32    ? 0
                     : type == model::DType::kBF16 ? 0x1p-8f
                                                   : 0x1p-11f;
    for (size_t i = 0; i < floats.size(); ++i) {
      EXPECT_NEAR(back[i], floats[i], relative * std::abs(floats[i]) + 0x1p-25f);
    }
  }
}

}  // namespace
}  // namespace flashcp
