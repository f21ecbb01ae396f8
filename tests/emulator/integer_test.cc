// Integer arithmetic and bit operations against the ISA's text: expected values are computed by
// hand or by the pseudo code there.

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/emulator/evaluate.h"

namespace flashcp::emulator {
namespace {

constexpr uint64_t kMinus1 = ~uint64_t{0};
uint64_t Low(int64_t value) { return static_cast<uint32_t>(value); }
uint64_t All(int64_t value) { return static_cast<uint64_t>(value); }

TEST(IntegerTest, AddAndSubtractWrap) {
  EXPECT_EQ(EvaluateOne("add.u32 %d, %a, %b;", {0xffffffff, 2}), 1);
  EXPECT_EQ(EvaluateOne("add.s64 %D, %A, -3;", {1}), All(-2));
  EXPECT_EQ(EvaluateOne("sub.s16 %h, %ha, %hb;", {1, 2}), 0xffff);
}

TEST(IntegerTest, Multiply) {
  EXPECT_EQ(EvaluateOne("mul.lo.s32 %d, %a, %b;", {0x10001, 0x10001}), 0x20001);
  EXPECT_EQ(EvaluateOne("mul.hi.u32 %d, %a, %b;", {0xffffffff, 0xffffffff}), 0xfffffffe);
  EXPECT_EQ(EvaluateOne("mul.hi.s32 %d, %a, %b;", {Low(-1), Low(-1)}), 0);
  EXPECT_EQ(EvaluateOne("mul.hi.s32 %d, %a, %b;", {Low(-2), 3}), Low(-1));
  EXPECT_EQ(EvaluateOne("mul.hi.u64 %D, %A, %B;", {kMinus1, 16}), 15);
  EXPECT_EQ(EvaluateOne("mul.wide.s32 %D, %a, %b;", {Low(-5), 7}), All(-35));
  EXPECT_EQ(EvaluateOne("mul.wide.u32 %D, %a, %b;", {Low(-5), 2}), 0x1fffffff6);
  EXPECT_EQ(EvaluateOne("mul.wide.u16 %d, %ha, %hb;", {0xffff, 0xffff}), 0xfffe0001);
  EXPECT_EQ(EvaluateOne("mad.lo.s32 %d, %a, %b, %c;", {Low(-5), 7, 1}), Low(-34));
  EXPECT_EQ(EvaluateOne("mad.wide.u32 %D, %a, %b, %C;", {0x80000000, 4, 5}), 0x200000005);
}

TEST(IntegerTest, DivisionTruncates) {
  EXPECT_EQ(EvaluateOne("div.s32 %d, %a, %b;", {Low(-7), 2}), Low(-3));
  EXPECT_EQ(EvaluateOne("rem.s32 %d, %a, %b;", {Low(-7), 2}), Low(-1));
  EXPECT_EQ(EvaluateOne("div.u32 %d, %a, %b;", {Low(-7), 2}), 0x7ffffffc);
  EXPECT_EQ(EvaluateOne("rem.u64 %D, %A, %B;", {100, 7}), 2);
  // No trap of the host.
  EXPECT_EQ(EvaluateOne("div.s32 %d, %a, %b;", {Low(INT32_MIN), Low(-1)}), Low(INT32_MIN));
  EXPECT_EQ(EvaluateOne("div.u32 %d, %a, %b;", {5, 0}), 0xffffffff);
}

TEST(IntegerTest, MinMaxAbsNegSad) {
  EXPECT_EQ(EvaluateOne("min.s32 %d, %a, %b;", {Low(-1), 1}), Low(-1));
  EXPECT_EQ(EvaluateOne("min.u32 %d, %a, %b;", {Low(-1), 1}), 1);
  EXPECT_EQ(EvaluateOne("max.s64 %D, %A, %B;", {All(-1), 1}), 1);
  EXPECT_EQ(EvaluateOne("min.relu.s32 %d, %a, %b;", {Low(-9), 1}), 0);
  EXPECT_EQ(EvaluateOne("min.relu.s32 %d, %a, %b;", {9, 1}), 1);
  EXPECT_EQ(EvaluateOne("abs.s32 %d, %a;", {Low(-9)}), 9);
  EXPECT_EQ(EvaluateOne("neg.s32 %d, %a;", {9}), Low(-9));
  EXPECT_EQ(EvaluateOne("sad.u32 %d, %a, %b, %c;", {3, 10, 100}), 107);
  EXPECT_EQ(EvaluateOne("sad.s32 %d, %a, %b, %c;", {Low(-3), 10, 100}), 113);
}

TEST(BitsTest, LogicAndShifts) {
  EXPECT_EQ(EvaluateOne("and.b32 %d, %a, %b;", {0b1100, 0b1010}), 0b1000);
  EXPECT_EQ(EvaluateOne("xor.b64 %D, %A, %B;", {0b1100, 0b1010}), 0b0110);
  EXPECT_EQ(EvaluateOne("not.b32 %d, %a;", {0}), 0xffffffff);
  EXPECT_EQ(EvaluateOne("shl.b32 %d, %a, %b;", {3, 31}), 0x80000000);
  // Amounts beyond the width shift everything out.
  EXPECT_EQ(EvaluateOne("shl.b32 %d, %a, %b;", {3, 32}), 0);
  EXPECT_EQ(EvaluateOne("shr.u32 %d, %a, %b;", {0x80000000, 40}), 0);
  EXPECT_EQ(EvaluateOne("shr.s32 %d, %a, %b;", {0x80000000, 40}), 0xffffffff);
  EXPECT_EQ(EvaluateOne("shr.s64 %D, %A, %b;", {All(-16), 2}), All(-4));
  EXPECT_EQ(EvaluateOne("shl.b64 %D, %A, %b;", {1, 63}), 0x8000000000000000);
  EXPECT_EQ(EvaluateOne("shl.b16 %h, %ha, %b;", {0x00ff, 12}), 0xf000);
}

TEST(BitsTest, PredicateLogic) {
  EXPECT_EQ(EvaluateOne("setp.eq.u32 %p, %a, 1; setp.eq.u32 %q, %b, 1; xor.pred %p, %p, %q; "
                        "not.pred %q, %p; selp.u32 %d, 5, 6, %q;",
                        {1, 0}),
            6);
}

TEST(BitsTest, FunnelShift) {
  const uint64_t low = 0x89abcdef, high = 0x01234567;
  EXPECT_EQ(EvaluateOne("shf.l.wrap.b32 %d, %a, %b, %c;", {low, high, 8}), 0x23456789);
  EXPECT_EQ(EvaluateOne("shf.r.wrap.b32 %d, %a, %b, %c;", {low, high, 8}), 0x6789abcd);
  EXPECT_EQ(EvaluateOne("shf.l.wrap.b32 %d, %a, %b, %c;", {low, high, 32}), high);
  EXPECT_EQ(EvaluateOne("shf.l.clamp.b32 %d, %a, %b, %c;", {low, high, 32}), low);
  EXPECT_EQ(EvaluateOne("shf.r.clamp.b32 %d, %a, %b, %c;", {low, high, 99}), high);
}

TEST(BitsTest, Lop3) {
  const uint64_t a = 0xf0f0f0f0, b = 0xcccccccc, c = 0xaaaaaaaa;
  // By these operands the table itself appears in each byte of the result.
  for (int table : {0x80, 0xfe, 0x96, 0x1b, 0x00, 0xff}) {
    const std::string code = "lop3.b32 %d, %a, %b, %c, " + std::to_string(table) + ";";
    EXPECT_EQ(EvaluateOne(code, {a, b, c}), table * 0x01010101u);
  }
}

TEST(BitsTest, Prmt) {
  const uint64_t a = 0x33221100, b = 0x77665584;
  EXPECT_EQ(EvaluateOne("prmt.b32 %d, %a, %b, %c;", {a, b, 0x7531}), 0x77553311);
  // The high bit of a nibble spreads the sign of the byte; the upper half of %c is not used.
  EXPECT_EQ(EvaluateOne("prmt.b32 %d, %a, %b, %c;", {a, b, 0xabcdc840}), 0xff008400);
}

TEST(BitsTest, FieldsOfBits) {
  EXPECT_EQ(EvaluateOne("bfe.u32 %d, %a, 4, 8;", {0x12345678}), 0x67);
  EXPECT_EQ(EvaluateOne("bfe.s32 %d, %a, 4, 4;", {0x000000f0}), 0xffffffff);
  EXPECT_EQ(EvaluateOne("bfe.u32 %d, %a, 28, 8;", {0x92345678}), 0x9);
  // Beyond the highest bit a signed field is filled with that.
  EXPECT_EQ(EvaluateOne("bfe.s32 %d, %a, 28, 8;", {0x92345678}), 0xfffffff9);
  EXPECT_EQ(EvaluateOne("bfe.s32 %d, %a, 4, 0;", {0xffffffff}), 0);
  EXPECT_EQ(EvaluateOne("bfe.u64 %D, %A, 40, 16;", {0x0123456789abcdef}), 0x2345);
  EXPECT_EQ(EvaluateOne("bfe.u32 %d, %a, 0, 32;", {0x92345678}), 0x92345678);
  EXPECT_EQ(EvaluateOne("bfi.b32 %d, %a, %b, 8, 4;", {0xab, 0x12345678}), 0x12345b78);
  EXPECT_EQ(EvaluateOne("bfi.b32 %d, %a, %b, 28, 8;", {0xab, 0x12345678}), 0xb2345678);
  EXPECT_EQ(EvaluateOne("bfi.b32 %d, %a, %b, 8, 0;", {0xab, 0x12345678}), 0x12345678);
}

TEST(BitsTest, Counts) {
  EXPECT_EQ(EvaluateOne("popc.b32 %d, %a;", {0xf0f0}), 8);
  EXPECT_EQ(EvaluateOne("popc.b64 %d, %A;", {kMinus1}), 64);
  EXPECT_EQ(EvaluateOne("clz.b32 %d, %a;", {1}), 31);
  EXPECT_EQ(EvaluateOne("clz.b32 %d, %a;", {0}), 32);
  EXPECT_EQ(EvaluateOne("brev.b32 %d, %a;", {0x1}), 0x80000000);
  EXPECT_EQ(EvaluateOne("bfind.u32 %d, %a;", {0x900}), 11);
  EXPECT_EQ(EvaluateOne("bfind.u32 %d, %a;", {0}), 0xffffffff);
  EXPECT_EQ(EvaluateOne("bfind.s32 %d, %a;", {Low(-1)}), 0xffffffff);
  EXPECT_EQ(EvaluateOne("bfind.s32 %d, %a;", {Low(-5)}), 2);
  EXPECT_EQ(EvaluateOne("bfind.shiftamt.u32 %d, %a;", {0x900}), 20);
}

TEST(MoveTest, PackAndUnpack) {
  EXPECT_EQ(EvaluateOne("mov.b64 %D, {%a, %b};", {0x11111111, 0x22222222}), 0x2222222211111111);
  EXPECT_EQ(EvaluateOne("mov.b64 {_, %d}, %A;", {0x2222222211111111}), 0x22222222);
  EXPECT_EQ(EvaluateOne("mov.b32 %d, {%ha, %hb};", {0x1111, 0x2222}), 0x22221111);
  EXPECT_EQ(EvaluateOne("mov.b32 {%h, _}, %a;", {0x22221111}), 0x1111);
}

TEST(MoveTest, SpecialRegisters) {
  const std::vector<uint64_t> numbers(70);
  const auto lanes = Evaluate(
      "mov.u32 %x, %laneid; mov.u32 %y, %warpid; "
      "mad.lo.u32 %d, %y, 100, %x;",
      {numbers});
  ASSERT_TRUE(lanes.ok()) << lanes.status();
  EXPECT_EQ((*lanes)[69], 205);
  const auto masks = Evaluate("mov.u32 %d, %lanemask_lt;", {numbers});
  ASSERT_TRUE(masks.ok()) << masks.status();
  EXPECT_EQ((*masks)[5], 31);
  EXPECT_EQ(EvaluateOne("mov.u32 %d, WARP_SZ;", {0}), 32);
  EXPECT_EQ(EvaluateOne("mov.u32 %d, %ntid.x;", {0}), 1);
  EXPECT_EQ(EvaluateOne("mov.u32 %d, %cluster_nctarank;", {0}), 1);
}

TEST(MoveTest, RegistersStartPoisoned) {
  EXPECT_EQ(EvaluateOne("setp.eq.u32 %p, %a, 1; @%p mov.u32 %x, 3; mov.u32 %d, %x;", {0}),
            0x7fff7fff);
}

}  // namespace
}  // namespace flashcp::emulator
