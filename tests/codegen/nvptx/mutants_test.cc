// Mutants of a small text, one by one.

#include "tests/codegen/nvptx/mutants.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kText[] = R"(
.visible .entry other(
)
{
	bar.sync 	0;
}
.visible .entry kernel(
)
{
	mov.u32 	%r1, %tid.x;
	@%p1 bra 	$L__BB0_2;
	cp.async.wait_group 	1;
	ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 	{%r1, %r2, %r3, %r4}, [%r5+16];
	{ .reg .pred z; wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%f1}, {%r1}, %rd1, z, 1, 1, 0; }
	mbarrier.try_wait.parity.shared::cta.b64 p, [%r1], %r2;
	setp.lt.s32 	%p2, %r1, 7;
	ldmatrix.sync.aligned.m8n8.x2.shared.b16 	{%r1, %r2}, [%r5];
	ld.global.b32 	%r1, [%rd1];
}
)";

// Returns the instructions that take the place of `before`.
std::vector<std::string> After(const std::string& kind) {
  std::vector<std::string> after;
  for (const Mutant& mutant : MutantsOf(kText, "kernel")) {
    if (mutant.kind == kind) after.push_back(mutant.after);
  }
  return after;
}

TEST(MutantsTest, BelongToTheKernel) {
  EXPECT_THAT(After("drop a barrier"), IsEmpty());
  EXPECT_THAT(MutantsOf(kText, "other"), SizeIs(2));  // dropped, and another barrier
  EXPECT_THAT(MutantsOf(kText, "none"), IsEmpty());
}

TEST(MutantsTest, ChangeOneInstruction) {
  EXPECT_THAT(After("wait for less"), Contains("cp.async.wait_group \t2;"));
  EXPECT_THAT(After("drop a wait"), Contains("setp.eq.u32 p, 0, 0;"));
  EXPECT_THAT(After("drop wgmma.fence"), SizeIs(1));
  EXPECT_THAT(After("compare otherwise"), Contains("setp.le.s32 \t%p2, %r1, 7;"));
  EXPECT_THAT(After("reverse a predicate"), Contains("@!%p1 bra \t$L__BB0_2;"));
  EXPECT_THAT(After("drop a predicate"), Contains("bra \t$L__BB0_2;"));
  EXPECT_THAT(After("transpose"), SizeIs(3));
  EXPECT_THAT(After("another address"), Contains("ld.global.b32 \t%r1, [%rd1+16];"));
}

TEST(MutantsTest, AreAppliedInPlace) {
  for (const Mutant& mutant : MutantsOf(kText, "kernel")) {
    const std::string text = Apply(kText, mutant);
    EXPECT_NE(text, kText);
    EXPECT_EQ(text.size(), sizeof(kText) - 1 - mutant.before.size() + mutant.after.size());
    EXPECT_EQ(text.substr(mutant.offset, mutant.after.size()), mutant.after);
  }
}

TEST(MutantsTest, SamplesKeepEachFamily) {
  std::vector<Mutant> many;
  for (int i = 0; i < 100; ++i) many.push_back({i, "drop", "bar.sync 0;", "", 0});
  many.push_back({100, "drop", "fence.sc;", "", 0});
  EXPECT_THAT(Sample(many, 1), SizeIs(4));
  EXPECT_THAT(Sample(many, 0), SizeIs(3));
}

TEST(MutantsTest, NamesForgetNumbers) {
  EXPECT_EQ(Anonymous("@%p12 bra \t$L__BB0_2;"), "@%p bra $L__BB;");
}

}  // namespace
}  // namespace flashcp
