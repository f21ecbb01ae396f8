// Runs a kernel on the CPU, compares its result, and shows that its barrier is needed.

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "tests/emulator/emulator.h"

using namespace flashcp::emulator;

// Each thread of a block gives its value to the thread opposite.
constexpr char kPtx[] = R"(
.version 8.0
.target sm_80
.visible .entry reverse(.param .u64 values) {
  .reg .b32 %r<8>; .reg .b64 %rd<4>;
  .shared .align 4 .b8 tile[512];
  ld.param.u64 %rd0, [values];
  mov.u32 %r0, %tid.x;
  mad.wide.u32 %rd1, %r0, 4, %rd0;
  ld.global.f32 %r1, [%rd1];
  mov.u32 %r2, tile;
  mad.lo.u32 %r3, %r0, 4, %r2;
  st.shared.f32 [%r3], %r1;
  bar.sync 0;
  mad.lo.u32 %r4, %r0, -4, %r2;
  ld.shared.f32 %r5, [%r4+508];
  st.global.f32 [%rd1], %r5;
  ret;
})";

absl::Status Reverse(const std::string& ptx, std::vector<float>& values, Schedule schedule) {
  auto module = Module::Load(ptx);
  if (!module.ok()) return module.status();
  auto kernel = (*module)->FindKernel("reverse");
  if (!kernel.ok()) return kernel.status();
  GlobalMemory memory;
  memory.Register("values", values);  // Any other address is an error.
  const float* data = values.data();
  LaunchOptions options;
  options.block = {128, 1, 1};
  options.schedule = schedule;
  options.races = true;
  return Launch(**kernel, {&data}, memory, options);
}

TEST(Example, ReversesABlock) {
  for (auto order : {Schedule::Order::kForward, Schedule::Order::kReverse}) {
    std::vector<float> values(128);
    std::iota(values.begin(), values.end(), 0);
    Schedule schedule;
    schedule.warps = order;
    ASSERT_EQ(Reverse(kPtx, values, schedule), absl::OkStatus());
    EXPECT_EQ(values[5], 122);
  }
}

TEST(Example, NeedsItsBarrier) {
  std::string ptx = kPtx;
  ptx.replace(ptx.find("bar.sync 0;"), 11, "");
  std::vector<float> values(128);
  const absl::Status race = Reverse(ptx, values, {});
  EXPECT_NE(std::string(race.message()).find("data race at shared address"), std::string::npos);
}
