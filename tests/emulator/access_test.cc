// Loads, stores and atomic operations: widths, signs, vectors, spaces, old values, and their
// checks.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/emulator/evaluate.h"

namespace flashcp::emulator {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(const std::string& code) {
  return std::string(Evaluate(code, {{0}}).status().message());
}

TEST(AccessTest, LoadsExtendToTheRegister) {
  const std::string store = "mov.u32 %x, tile; st.shared.b64 [%x], %A; ";
  EXPECT_EQ(EvaluateOne(store + "ld.shared.u8 %d, [%x+1];", {0xf1f2f3f4}), 0xf3);
  EXPECT_EQ(EvaluateOne(store + "ld.shared.s8 %d, [%x+1];", {0xf1f2f3f4}), 0xfffffff3);
  EXPECT_EQ(EvaluateOne(store + "ld.shared.s16 %D, [%x+2];", {0xf1f2f3f4}), 0xfffffffffffff1f2);
  EXPECT_EQ(EvaluateOne(store + "ld.shared.u32 %D, [%x];", {0xf1f2f3f4}), 0xf1f2f3f4);
}

TEST(AccessTest, StoresTakeTheLowBits) {
  EXPECT_EQ(EvaluateOne("mov.u32 %x, tile; st.shared.b64 [%x], 0; st.shared.u8 [%x+2], %a; "
                        "st.shared.b16 [%x+4], %ha; ld.shared.b64 %D, [%x];",
                        {0xf1f2f3f4}),
            0xf3f400f40000);
}

TEST(AccessTest, VectorsAreInOrderOfAddress) {
  EXPECT_EQ(EvaluateOne("mov.u32 %x, tile; st.shared.v4.b32 [%x], {%a, %b, %c, 7}; "
                        "ld.shared.v2.b64 {%X, %Y}, [%x]; add.s64 %D, %X, %Y;",
                        {1, 2, 3}),
            0x900000004);
}

TEST(AccessTest, GenericAddressesReachSharedMemory) {
  EXPECT_EQ(EvaluateOne("mov.u64 %X, tile; cvta.shared.u64 %X, %X; st.b32 [%X], %a; "
                        "cvta.to.shared.u64 %Y, %X; cvt.u32.u64 %y, %Y; ld.shared.b32 %d, [%y];",
                        {77}),
            77);
  EXPECT_EQ(EvaluateOne("mov.u64 %X, tile; isspacep.shared %p, %X; isspacep.global %q, %X; "
                        "selp.u32 %x, 1, 0, %p; selp.u32 %y, 2, 0, %q; add.u32 %d, %x, %y;",
                        {0}),
            1);
}

TEST(AccessTest, LocalMemoryBelongsToTheThread) {
  const auto results = Evaluate(
      ".local .align 8 .b8 depot[16]; mov.u64 %X, depot; cvta.local.u64 %Y, %X; "
      "st.local.b32 [%X+8], %a; bar.sync 0; ld.b32 %d, [%Y+8];",
      {{5, 6, 7}});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_THAT(*results, ElementsAre(5, 6, 7));
  EXPECT_THAT(
      ErrorOf(".local .align 8 .b8 depot[16]; mov.u64 %X, depot; ld.local.b32 %d, [%X+128];"),
      HasSubstr("outside of the thread's local memory"));
}

TEST(AccessTest, UnwrittenSharedMemoryIsPoison) {
  EXPECT_EQ(EvaluateOne("mov.u32 %x, tile; ld.shared.b32 %d, [%x+16];", {0}), 0x7fff7fff);
}

TEST(AccessTest, Errors) {
  EXPECT_THAT(ErrorOf("ld.global.b32 %d, [%A];"), HasSubstr("bytes before"));
  EXPECT_THAT(ErrorOf("mov.u32 %x, tile; ld.shared.v4.b32 {%d, _, _, _}, [%x+8];"),
              HasSubstr("is not a multiple of 16"));
  EXPECT_THAT(ErrorOf("mov.u32 %x, tile; ld.shared.b32 %d, [%x+1022];"),
              HasSubstr("out of bounds"));
  EXPECT_THAT(ErrorOf("ld.param.b64 %D, [to+4];"), HasSubstr("past the 8 bytes of the parameter"));
  EXPECT_THAT(ErrorOf("ld.shared.v2.b32 %d, [tile];"), HasSubstr("expected a vector of registers"));
  EXPECT_THAT(ErrorOf("mov.b64 %D, %a;"), HasSubstr("operand %a has 32 bits, expected 64"));
}

// Runs an operation of 32 lanes on one word of shared memory that starts at 100.
absl::StatusOr<std::vector<uint64_t>> OnOneWord(const std::string& operation) {
  std::vector<uint64_t> lanes(32);
  for (int i = 0; i < 32; ++i) lanes[i] = i;
  return Evaluate(
      "setp.eq.u32 %p, %a, 0; mov.u32 %x, tile; @%p st.shared.b32 [%x], 100; "
      "bar.sync 0; " +
          operation + " bar.sync 0; ld.shared.b32 %d, [%x];",
      {lanes});
}

TEST(AtomicsTest, EveryLaneCounts) {
  const auto expect = [](const std::string& operation, uint64_t result) {
    const auto results = OnOneWord(operation);
    ASSERT_TRUE(results.ok()) << results.status();
    EXPECT_THAT(*results, Each(result)) << operation;
  };
  expect("red.shared.add.u32 [%x], %a;", 100 + 31 * 32 / 2);
  expect("red.relaxed.cta.shared.max.u32 [%x], %a;", 100);
  expect("atom.shared.min.s32 %y, [%x], -5;", 0xfffffffb);
  expect("red.shared.or.b32 [%x], %a;", 127);
  expect("red.shared.xor.b32 [%x], 1;", 100);
  // inc wraps to 0 beyond its operand, dec to its operand below 0.
  expect("atom.shared.inc.u32 %y, [%x], 9;", 1);
  expect("atom.shared.dec.u32 %y, [%x], 9;", 8);
}

TEST(AtomicsTest, ResultsAreOldValues) {
  const std::string start = "mov.u32 %x, tile; st.shared.b64 [%x], %A; ";
  EXPECT_EQ(EvaluateOne(start + "atom.shared.add.u32 %d, [%x], 3;", {40}), 40);
  EXPECT_EQ(EvaluateOne(start + "atom.acq_rel.gpu.shared.exch.b32 %d, [%x], 3;", {40}), 40);
  EXPECT_EQ(EvaluateOne(start + "atom.shared.exch.b64 %X, [%x], 3; ld.shared.b64 %D, [%x];", {40}),
            3);
  EXPECT_EQ(EvaluateOne(start + "atom.shared.cas.b32 %d, [%x], 40, 7;", {40}), 40);
  EXPECT_EQ(
      EvaluateOne(start + "atom.shared.cas.b32 %y, [%x], 40, 7; ld.shared.b32 %d, [%x];", {40}), 7);
  EXPECT_EQ(
      EvaluateOne(start + "atom.shared.cas.b32 %y, [%x], 41, 7; ld.shared.b32 %d, [%x];", {40}),
      40);
}

TEST(AtomicsTest, Floats) {
  const std::string start = "mov.u32 %x, tile; st.shared.v2.b32 [%x], {%a, %b}; ";
  EXPECT_EQ(FloatOf(EvaluateOne(start + "atom.shared.add.f32 %y, [%x], 0f3F800000; "
                                        "ld.shared.b32 %d, [%x];",
                                {BitsOf(0.5f), 0})),
            1.5f);
  EXPECT_EQ(FloatOf(EvaluateOne(start + "red.shared.add.v2.f32 [%x], {%a, %c}; "
                                        "ld.shared.b32 %d, [%x+4];",
                                {BitsOf(0.5f), BitsOf(2.0f), BitsOf(0.25f)})),
            2.25f);
}

}  // namespace
}  // namespace flashcp::emulator
