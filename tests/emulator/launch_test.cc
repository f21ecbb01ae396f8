// Kernels of a few lines from launch to result, and the errors of launches and kernels.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/evaluate.h"

namespace flashcp::emulator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kHeader[] = ".version 8.6\n.target sm_80\n.address_size 64\n";

// A kernel with one pointer, run on `values`.
absl::Status RunOn(std::vector<uint32_t>& values, const std::string& body,
                   const LaunchOptions& options) {
  const auto module = Module::Load(
      absl::StrCat(kHeader, ".visible .entry k(.param .u64 values)\n{\n",
                   ".reg .pred %p<9>; .reg .b32 %r<20>; .reg .b64 %rd<9>;\n",
                   "ld.param.u64 %rd0, [values];\n", "mov.u32 %r0, %tid.x;\n",
                   "mul.wide.u32 %rd1, %r0, 4;\n", "add.s64 %rd1, %rd0, %rd1;\n", body, "\n}\n"));
  if (!module.ok()) return module.status();
  const auto kernel = (*module)->FindKernel("k");
  if (!kernel.ok()) return kernel.status();
  GlobalMemory memory;
  memory.Register("values", values);
  const void* const data = values.data();
  return Launch(**kernel, {&data}, memory, options);
}

std::string Error(const absl::Status& status) { return std::string(status.message()); }

std::vector<uint32_t> Iota(int count) {
  std::vector<uint32_t> values(count);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

TEST(LaunchTest, EveryThreadOfTheGridRuns) {
  std::vector<uint32_t> values(6 * 64, 7);
  const char body[] = R"(
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mad.lo.s32 %r3, %r1, %r2, %r0;
    mul.wide.u32 %rd2, %r3, 4;
    add.s64 %rd2, %rd0, %rd2;
    st.global.u32 [%rd2], %r3;
    ret;)";
  LaunchOptions options;
  options.grid = {6, 1, 1};
  options.block = {64, 1, 1};
  ASSERT_EQ(RunOn(values, body, options), absl::OkStatus());
  EXPECT_EQ(values, Iota(6 * 64));
}

// Each thread stores its number, and loads that of the thread opposite after the barrier.
constexpr char kReverse[] = R"(
    .shared .align 4 .b8 buffer[512];
    mov.u32 %r1, buffer;
    shl.b32 %r2, %r0, 2;
    add.u32 %r3, %r1, %r2;
    st.shared.u32 [%r3], %r0;
    bar.sync 0;
    sub.u32 %r4, 508, %r2;
    add.u32 %r4, %r1, %r4;
    ld.shared.u32 %r5, [%r4];
    st.global.u32 [%rd1], %r5;
    ret;)";

TEST(LaunchTest, BarrierSeparatesStoresAndLoads) {
  for (const auto order :
       {Schedule::Order::kForward, Schedule::Order::kReverse, Schedule::Order::kSeeded}) {
    std::vector<uint32_t> values(128);
    LaunchOptions options;
    options.block = {128, 1, 1};
    options.schedule.warps = order;
    ASSERT_EQ(RunOn(values, kReverse, options), absl::OkStatus());
    for (int i = 0; i < 128; ++i) EXPECT_EQ(values[i], 127 - i);
  }
}

TEST(LaunchTest, MissingBarrierShowsPoison) {
  std::vector<uint32_t> values(128);
  std::string body = kReverse;
  body.replace(body.find("bar.sync 0;"), 11, "");
  LaunchOptions options;
  options.block = {128, 1, 1};
  ASSERT_EQ(RunOn(values, body, options), absl::OkStatus());
  EXPECT_EQ(values[0], 0x7fff7fff);
}

TEST(LaunchTest, LoopsAndPredicates) {
  std::vector<uint32_t> values(32);
  // Sum of the odd numbers up to the thread's.
  const char body[] = R"(
    mov.u32 %r1, 0;
    mov.u32 %r2, 0;
  loop:
    setp.gt.u32 %p0, %r1, %r0;
    @%p0 bra done;
    and.b32 %r3, %r1, 1;
    setp.eq.u32 %p1, %r3, 1;
    @%p1 add.u32 %r2, %r2, %r1;
    add.u32 %r1, %r1, 1;
    bra.uni loop;
  done:
    st.global.u32 [%rd1], %r2;
    @!%p0 trap;
    ret;)";
  LaunchOptions options;
  options.block = {32, 1, 1};
  ASSERT_EQ(RunOn(values, body, options), absl::OkStatus());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(values[i], (i + 1) / 2 * ((i + 1) / 2));
}

// CTA 0 waits for a flag that CTA 1 sets, and adds to its value.
constexpr char kFlag[] = R"(
    mov.u32 %r1, %ctaid.x;
    setp.eq.u32 %p0, %r1, 1;
    @%p0 bra set;
  wait:
    ld.acquire.gpu.global.u32 %r2, [%rd0];
    setp.eq.u32 %p1, %r2, 0;
    @%p1 bra wait;
    ld.global.u32 %r3, [%rd0+4];
    add.u32 %r3, %r3, 1;
    st.global.u32 [%rd0+4], %r3;
    ret;
  set:
    st.global.u32 [%rd0+4], 41;
    st.release.gpu.global.u32 [%rd0], 1;
    ret;)";

TEST(LaunchTest, ResidentCtasWaitForEachOther) {
  std::vector<uint32_t> values(2);
  LaunchOptions options;
  options.grid = {2, 1, 1};
  options.schedule.resident_ctas = 2;
  ASSERT_EQ(RunOn(values, kFlag, options), absl::OkStatus());
  EXPECT_EQ(values[1], 42);
}

TEST(LaunchTest, WaitForACtaThatIsNotResidentIsADeadlock) {
  std::vector<uint32_t> values(2);
  LaunchOptions options;
  options.grid = {2, 1, 1};
  EXPECT_THAT(Error(RunOn(values, kFlag, options)),
              AllOf(HasSubstr("deadlock"), HasSubstr("CTA 0, warp 0, lanes 0"),
                    HasSubstr("ld.acquire.gpu.global.u32 %r2, [%rd0]"), HasSubstr("polls")));
}

TEST(LaunchTest, OutOfBoundsNamesTheThreadAndTheAllocation) {
  std::vector<uint32_t> values(37);
  LaunchOptions options;
  options.block = {64, 1, 1};
  EXPECT_THAT(Error(RunOn(values, "st.global.u32 [%rd1], %r0;\nret;", options)),
              AllOf(HasSubstr("kernel k, CTA 0, thread 37 (warp 1, lane 5), line 11: st.global"),
                    HasSubstr("0 bytes past the end of \"values\" (148 bytes)")));
}

TEST(LaunchTest, MisalignedAccess) {
  std::vector<uint32_t> values(4);
  EXPECT_THAT(Error(RunOn(values, "ld.global.u32 %r1, [%rd0+2];\nret;", {})),
              HasSubstr("is not a multiple of 4"));
}

TEST(LaunchTest, SharedMemoryHasTheDeclaredAlignmentAndNoMore) {
  std::vector<uint32_t> values(4);
  const char body[] = R"(
    .shared .align 8 .b8 buffer[64];
    mov.u32 %r1, buffer;
    ld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [%r1];
    ret;)";
  EXPECT_THAT(Error(RunOn(values, body, {})), HasSubstr("is not a multiple of 16"));
}

TEST(LaunchTest, SharedMemoryOutOfBounds) {
  std::vector<uint32_t> values(4);
  const char body[] = R"(
    .shared .align 8 .b8 buffer[64];
    mov.u32 %r1, buffer;
    ld.shared.u32 %r2, [%r1+64];
    ret;)";
  EXPECT_THAT(Error(RunOn(values, body, {})), HasSubstr("out of bounds: shared memory"));
}

TEST(LaunchTest, BarrierThatAWarpMissesIsADeadlock) {
  std::vector<uint32_t> values(4);
  const char body[] = R"(
    setp.lt.u32 %p0, %r0, 32;
    @%p0 bar.sync 1, 64;
    ret;)";
  LaunchOptions options;
  options.block = {64, 1, 1};
  EXPECT_THAT(Error(RunOn(values, body, options)),
              AllOf(HasSubstr("deadlock"), HasSubstr("warp 0, lanes 0-31"),
                    HasSubstr("bar.sync 1, 64"), HasSubstr("32 of 64")));
}

TEST(LaunchTest, CollectiveInDivergentFlowIsADeadlock) {
  std::vector<uint32_t> values(4);
  const char body[] = R"(
    setp.lt.u32 %p0, %r0, 20;
    @%p0 shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;
    ret;)";
  LaunchOptions options;
  options.block = {32, 1, 1};
  EXPECT_THAT(Error(RunOn(values, body, options)),
              AllOf(HasSubstr("lanes 0-19"), HasSubstr("lanes 20-31 do not come"),
                    HasSubstr("20-31 have exited")));
}

TEST(LaunchTest, LaunchBoundsAreChecked) {
  const auto module =
      Module::Load(absl::StrCat(kHeader, ".entry k()\n.reqntid 64, 1, 1\n{ ret; }\n"));
  ASSERT_EQ(module.status(), absl::OkStatus());
  const auto kernel = (*module)->FindKernel("k");
  ASSERT_EQ(kernel.status(), absl::OkStatus());
  EXPECT_EQ(RequiredThreadsOf(**kernel), (std::array<int, 3>{64, 1, 1}));
  EXPECT_THAT(Error(Launch(**kernel, {}, GlobalMemory(), {})),
              HasSubstr("block of 1 x 1 x 1 threads: .reqntid asks for 64 x 1 x 1"));
  LaunchOptions options;
  options.block = {64, 1, 1};
  EXPECT_EQ(Launch(**kernel, {}, GlobalMemory(), options), absl::OkStatus());
  const int argument = 1;
  EXPECT_THAT(Error(Launch(**kernel, {&argument}, GlobalMemory(), options)),
              HasSubstr("1 arguments, expected 0"));
}

TEST(LaunchTest, UnsupportedInstructionsNameTheirLine) {
  std::vector<uint32_t> values(4);
  EXPECT_THAT(Error(RunOn(values, "tcgen05.alloc.b32 %r1;\nret;", {})),
              AllOf(HasSubstr("PTX line 11"), HasSubstr("unknown opcode")));
  EXPECT_THAT(Error(RunOn(values, "add.rz.f32 %r1, %r1, %r1;\nret;", {})),
              HasSubstr("the modifier .rz"));
}

TEST(LaunchTest, VariablesOfTheModule) {
  const auto module = Module::Load(absl::StrCat(
      kHeader, ".const .align 4 .b32 table[3] = {5, -6, 7};\n.global .align 4 .u32 sum;\n",
      ".entry k()\n{ .reg .b32 %r<4>;\nld.const.b32 %r0, [table];\nld.const.b32 %r1, "
      "[table+4];\nadd.s32 %r2, %r0, %r1;\nred.global.add.u32 [sum], %r2;\nret; }\n"));
  ASSERT_EQ(module.status(), absl::OkStatus());
  const auto kernel = (*module)->FindKernel("k");
  ASSERT_EQ(kernel.status(), absl::OkStatus());
  const auto sum = (*module)->FindVariable("sum");
  ASSERT_EQ(sum.status(), absl::OkStatus());
  ASSERT_EQ(Launch(**kernel, {}, GlobalMemory(), {}), absl::OkStatus());
  ASSERT_EQ(Launch(**kernel, {}, GlobalMemory(), {}), absl::OkStatus());
  EXPECT_EQ(*reinterpret_cast<int32_t*>(sum->data()), -2);
}

}  // namespace
}  // namespace flashcp::emulator
