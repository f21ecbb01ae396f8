// Float arithmetic, comparisons and conversions against the ISA's text, with the special values
// that it names: NaN, infinities, signed zeros, subnormals, ties.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "tests/emulator/evaluate.h"

namespace flashcp::emulator {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint32_t kTiny = 1;  // the least subnormal
constexpr uint32_t kMinusTiny = 0x80000001;
constexpr uint64_t kCanonicalNan = 0x7fffffff;

float Float(const std::string& code, float a, float b = 0, float c = 0) {
  return FloatOf(EvaluateOne(code, {BitsOf(a), BitsOf(b), BitsOf(c)}));
}
uint64_t Bits(const std::string& code, float a, float b = 0) {
  return EvaluateOne(code, {BitsOf(a), BitsOf(b)});
}

TEST(FloatTest, Arithmetic) {
  EXPECT_EQ(Float("add.f32 %d, %a, %b;", 1.5f, 2.25f), 3.75f);
  EXPECT_EQ(Float("sub.rn.f32 %d, %a, %b;", 1.5f, 2.25f), -0.75f);
  EXPECT_EQ(Float("mul.f32 %d, %a, 0f40000000;", 1.5f), 3.0f);
  EXPECT_EQ(Float("mul.f32 %d, %a, 2.5;", 1.5f), 3.75f);
  EXPECT_EQ(Float("div.rn.f32 %d, %a, %b;", 1.0f, 3.0f), 1.0f / 3.0f);
  EXPECT_EQ(Float("neg.f32 %d, %a;", 1.5f), -1.5f);
  EXPECT_EQ(Float("abs.f32 %d, %a;", -1.5f), 1.5f);
  EXPECT_EQ(Float("copysign.f32 %d, %a, %b;", -1.0f, 3.0f), -3.0f);
  EXPECT_EQ(Float("sqrt.rn.f32 %d, %a;", 2.25f), 1.5f);
  EXPECT_EQ(EvaluateOne("add.f64 %D, %A, 0d3FF0000000000000;", {0x4000000000000000}),
            0x4008000000000000);
}

TEST(FloatTest, FmaRoundsOnce) {
  const float a = 1.0f + std::ldexp(1.0f, -12);
  // a * a = 1 + 2^-11 + 2^-24, which f32 cannot hold.
  EXPECT_EQ(Float("fma.rn.f32 %d, %a, %b, %c;", a, a, -1.0f - std::ldexp(1.0f, -11)),
            std::ldexp(1.0f, -24));
  EXPECT_EQ(Float("mul.f32 %x, %a, %b; add.f32 %d, %x, %c;", a, a, -1.0f - std::ldexp(1.0f, -11)),
            0.0f);
}

TEST(FloatTest, FlushToZeroKeepsTheSign) {
  EXPECT_EQ(EvaluateOne("add.f32 %d, %a, %b;", {kTiny, kTiny}), 2);
  EXPECT_EQ(EvaluateOne("add.ftz.f32 %d, %a, %b;", {kTiny, kTiny}), 0);
  EXPECT_EQ(EvaluateOne("mul.ftz.f32 %d, %a, %b;", {kMinusTiny, BitsOf(8)}), 0x80000000);
  // The result is flushed as well.
  EXPECT_EQ(EvaluateOne("mul.ftz.f32 %d, %a, %b;", {0x00800000, BitsOf(0.5f)}), 0);
  EXPECT_EQ(EvaluateOne("mul.f32 %d, %a, %b;", {0x00800000, BitsOf(0.5f)}), 0x00400000);
}

TEST(FloatTest, Saturation) {
  EXPECT_EQ(Float("add.sat.f32 %d, %a, %b;", 1.0f, 1.0f), 1.0f);
  EXPECT_EQ(Float("add.sat.f32 %d, %a, %b;", -1.0f, 0.5f), 0.0f);
  EXPECT_EQ(Float("add.sat.f32 %d, %a, %b;", kNan, 0.5f), 0.0f);
}

TEST(FloatTest, MinAndMaxPassOverNan) {
  EXPECT_EQ(Float("max.f32 %d, %a, %b;", kNan, -2.0f), -2.0f);
  EXPECT_EQ(Float("max.f32 %d, %a, %b;", -2.0f, kNan), -2.0f);
  EXPECT_EQ(Float("min.f32 %d, %a, %b;", kInfinity, kNan), kInfinity);
  EXPECT_EQ(Bits("max.f32 %d, %a, %b;", kNan, kNan), kCanonicalNan);
  EXPECT_EQ(Bits("max.NaN.f32 %d, %a, %b;", kNan, 1.0f), kCanonicalNan);
  EXPECT_EQ(Bits("max.f32 %d, %a, %b;", -0.0f, 0.0f), 0);
  EXPECT_EQ(Bits("max.f32 %d, %a, %b;", 0.0f, -0.0f), 0);
  EXPECT_EQ(Bits("min.f32 %d, %a, %b;", 0.0f, -0.0f), 0x80000000);
  EXPECT_EQ(EvaluateOne("max.ftz.f32 %d, %a, %b;", {kTiny, 0x80000000}), 0);
}

TEST(FloatTest, Approximations) {
  EXPECT_EQ(Float("ex2.approx.ftz.f32 %d, %a;", 3.0f), 8.0f);
  EXPECT_EQ(Float("ex2.approx.ftz.f32 %d, %a;", -kInfinity), 0.0f);
  EXPECT_EQ(Float("ex2.approx.f32 %d, %a;", kInfinity), kInfinity);
  EXPECT_NEAR(Float("ex2.approx.f32 %d, %a;", 0.3f), std::exp2(0.3), 3e-7);
  // 2^-130 is subnormal.
  EXPECT_EQ(Bits("ex2.approx.ftz.f32 %d, %a;", -130.0f), 0);
  EXPECT_EQ(Float("ex2.approx.f32 %d, %a;", -130.0f), std::ldexp(1.0f, -130));
  EXPECT_EQ(Float("lg2.approx.f32 %d, %a;", 32.0f), 5.0f);
  EXPECT_EQ(Float("lg2.approx.ftz.f32 %d, %a;", 0.0f), -kInfinity);
  EXPECT_EQ(EvaluateOne("lg2.approx.ftz.f32 %d, %a;", {kTiny}), BitsOf(-kInfinity));
  EXPECT_TRUE(std::isnan(Float("lg2.approx.f32 %d, %a;", -1.0f)));
  EXPECT_EQ(Float("rcp.approx.ftz.f32 %d, %a;", 4.0f), 0.25f);
  EXPECT_EQ(Float("rcp.approx.ftz.f32 %d, %a;", -0.0f), -kInfinity);
  EXPECT_EQ(Float("rsqrt.approx.f32 %d, %a;", 4.0f), 0.5f);
  EXPECT_NEAR(Float("sin.approx.f32 %d, %a;", 0.5f), std::sin(0.5), 1e-6);
  EXPECT_NEAR(Float("cos.approx.ftz.f32 %d, %a;", 0.5f), std::cos(0.5), 1e-6);
  EXPECT_NEAR(Float("tanh.approx.f32 %d, %a;", 0.5f), std::tanh(0.5), 1e-6);
}

TEST(FloatTest, NarrowArithmetic) {
  // bf16 1.0 is 0x3f80, f16 1.0 is 0x3c00; pairs are computed apart.
  EXPECT_EQ(EvaluateOne("add.rn.bf16x2 %d, %a, %b;", {0x3f804000, 0x3f803f80}), 0x40004040);
  EXPECT_EQ(EvaluateOne("mul.f16x2 %d, %a, %b;", {0x3c004000, 0x42004200}), 0x42004600);
  EXPECT_EQ(EvaluateOne("fma.rn.bf16x2 %d, %a, %b, %c;", {0x40004000, 0x40404040, 0x3f80bf80}),
            0x40e040a0);
  EXPECT_EQ(EvaluateOne("neg.bf16x2 %d, %a;", {0x3f80bf80}), 0xbf803f80);
  EXPECT_EQ(EvaluateOne("max.bf16x2 %d, %a, %b;", {0x3f807fc0, 0x40003f80}), 0x40003f80);
  EXPECT_EQ(EvaluateOne("add.f16 %h, %ha, %hb;", {0x3c00, 0x3c00}), 0x4000);
}

TEST(ConvertTest, BfloatRoundsToNearestEven) {
  const auto round = [](uint32_t bits) { return EvaluateOne("cvt.rn.bf16.f32 %h, %a;", {bits}); };
  EXPECT_EQ(round(0x3f808000), 0x3f80);  // a tie: down to even
  EXPECT_EQ(round(0x3f818000), 0x3f82);  // a tie: up to even
  EXPECT_EQ(round(0x3f808001), 0x3f81);
  EXPECT_EQ(round(0x7f7fffff), 0x7f80);  // overflows to infinity
  EXPECT_EQ(round(0x7f800001), 0x7fff);  // NaN
  EXPECT_EQ(EvaluateOne("cvt.rz.bf16.f32 %h, %a;", {0x3f81ffff}), 0x3f81);
  EXPECT_EQ(EvaluateOne("cvt.rn.relu.bf16.f32 %h, %a;", {BitsOf(-2.0f)}), 0);
  EXPECT_EQ(EvaluateOne("cvt.f32.bf16 %d, %ha;", {0x3f81}), 0x3f810000);
}

TEST(ConvertTest, PairsHoldTheFirstOperandAbove) {
  EXPECT_EQ(Bits("cvt.rn.bf16x2.f32 %d, %a, %b;", 1.0f, -2.0f), 0x3f80c000);
  EXPECT_EQ(Bits("cvt.rn.f16x2.f32 %d, %a, %b;", 1.0f, -2.0f), 0x3c00c000);
}

TEST(ConvertTest, Half) {
  EXPECT_EQ(Bits("cvt.rn.f16.f32 %h, %a;", 65519.0f), 0x7bff);
  EXPECT_EQ(Bits("cvt.rn.f16.f32 %h, %a;", 65520.0f), 0x7c00);
  EXPECT_EQ(Bits("cvt.rn.f16.f32 %h, %a;", 1.0f + std::ldexp(1.0f, -11)), 0x3c00);
  EXPECT_EQ(Bits("cvt.rn.f16.f32 %h, %a;", 1.0f + std::ldexp(3.0f, -11)), 0x3c02);
  EXPECT_EQ(Bits("cvt.rn.f16.f32 %h, %a;", std::ldexp(1.0f, -24)), 1);
  EXPECT_EQ(EvaluateOne("cvt.f32.f16 %d, %ha;", {0x3555}), BitsOf(0.333251953125f));
}

TEST(ConvertTest, FloatToInteger) {
  EXPECT_EQ(Bits("cvt.rzi.s32.f32 %d, %a;", -2.7f), 0xfffffffe);
  EXPECT_EQ(Bits("cvt.rni.s32.f32 %d, %a;", 2.5f), 2);
  EXPECT_EQ(Bits("cvt.rmi.s32.f32 %d, %a;", -2.5f), 0xfffffffd);
  EXPECT_EQ(Bits("cvt.rpi.s32.f32 %d, %a;", 2.1f), 3);
  EXPECT_EQ(Bits("cvt.rzi.u32.f32 %d, %a;", -1.0f), 0);
  EXPECT_EQ(Bits("cvt.rzi.s32.f32 %d, %a;", 1e20f), 0x7fffffff);
  EXPECT_EQ(Bits("cvt.rzi.s32.f32 %d, %a;", kNan), 0);
  EXPECT_EQ(Bits("cvt.rzi.s64.f32 %D, %a;", kNan), 0x8000000000000000);
  EXPECT_EQ(Float("cvt.rmi.f32.f32 %d, %a;", -2.5f), -3.0f);
}

TEST(ConvertTest, IntegerToFloat) {
  EXPECT_EQ(EvaluateOne("cvt.rn.f32.u32 %d, %a;", {0xffffffff}), BitsOf(4294967296.0f));
  EXPECT_EQ(EvaluateOne("cvt.rn.f32.s32 %d, %a;", {0xffffffff}), BitsOf(-1.0f));
  EXPECT_EQ(EvaluateOne("cvt.rn.f32.s32 %d, %a;", {16777217}), BitsOf(16777216.0f));
  EXPECT_EQ(EvaluateOne("cvt.rn.f64.s32 %D, %a;", {2}), 0x4000000000000000);
}

TEST(ConvertTest, Integers) {
  EXPECT_EQ(EvaluateOne("cvt.s64.s32 %D, %a;", {0x80000000}), 0xffffffff80000000);
  EXPECT_EQ(EvaluateOne("cvt.u64.u32 %D, %a;", {0x80000000}), 0x80000000);
  EXPECT_EQ(EvaluateOne("cvt.u32.u64 %d, %A;", {0x123456789}), 0x23456789);
  EXPECT_EQ(EvaluateOne("cvt.s32.s8 %d, %a;", {0x180}), 0xffffff80);
  EXPECT_EQ(EvaluateOne("cvt.sat.u8.s32 %d, %a;", {0xfffffff0}), 0);
  EXPECT_EQ(EvaluateOne("cvt.sat.u8.s32 %d, %a;", {300}), 255);
  EXPECT_EQ(EvaluateOne("cvt.sat.s16.u32 %h, %a;", {70000}), 0x7fff);
}

TEST(CompareTest, Integers) {
  const auto holds = [](const std::string& comparison, uint64_t a, uint64_t b) {
    return EvaluateOne("setp." + comparison + " %p, %a, %b; selp.u32 %d, 1, 0, %p;", {a, b});
  };
  EXPECT_EQ(holds("lt.s32", 0xffffffff, 0), 1);
  EXPECT_EQ(holds("lt.u32", 0xffffffff, 0), 0);
  EXPECT_EQ(holds("hi.u32", 0xffffffff, 0), 1);
  EXPECT_EQ(holds("ls.u32", 4, 4), 1);
  EXPECT_EQ(holds("ne.b32", 4, 4), 0);
  EXPECT_EQ(holds("ge.s32", 4, 4), 1);
}

TEST(CompareTest, FloatsAreFalseForNanUnlessUnordered) {
  const auto holds = [](const std::string& comparison, float a, float b) {
    return Bits("setp." + comparison + ".f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", a, b);
  };
  for (const char* name : {"eq", "ne", "lt", "le", "gt", "ge", "num"}) {
    EXPECT_EQ(holds(name, kNan, 1.0f), 0) << name;
  }
  for (const char* name : {"equ", "neu", "ltu", "leu", "gtu", "geu", "nan"}) {
    EXPECT_EQ(holds(name, 1.0f, kNan), 1) << name;
  }
  EXPECT_EQ(holds("eq", -0.0f, 0.0f), 1);
  EXPECT_EQ(holds("gtu", 2.0f, 1.0f), 1);
  EXPECT_EQ(holds("gtu", 1.0f, 2.0f), 0);
  EXPECT_EQ(EvaluateOne("setp.eq.ftz.f32 %p, %a, 0f00000000; selp.u32 %d, 1, 0, %p;", {kTiny}), 1);
  EXPECT_EQ(EvaluateOne("setp.eq.f32 %p, %a, 0f00000000; selp.u32 %d, 1, 0, %p;", {kTiny}), 0);
}

TEST(CompareTest, CombinedPredicates) {
  // p = (a < b) and c, q = not (a < b) and c.
  const std::string code =
      "setp.ne.u32 %p, %c, 0; setp.lt.and.s32 %p|%q, %a, %b, %p; "
      "selp.u32 %x, 1, 0, %p; selp.u32 %y, 2, 0, %q; add.u32 %d, %x, %y;";
  EXPECT_EQ(EvaluateOne(code, {1, 2, 1}), 1);
  EXPECT_EQ(EvaluateOne(code, {2, 1, 1}), 2);
  EXPECT_EQ(EvaluateOne(code, {1, 2, 0}), 0);
  EXPECT_EQ(EvaluateOne("setp.ne.u32 %p, %c, 0; setp.lt.or.s32 %p, %a, %b, !%p; "
                        "selp.u32 %d, 1, 0, %p;",
                        {2, 1, 0}),
            1);
}

}  // namespace
}  // namespace flashcp::emulator
