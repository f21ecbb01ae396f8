// Data races of kernels: what lacks an order is found, whatever the schedule, and what has one is
// not reported.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/memory.h"

namespace flashcp::emulator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// %rd0 points to 4 KiB of global memory; %r0 is the thread, %r1 the CTA, %p0 whether the thread is
// 0, %rd1 points to word %r0 of global memory and %r2 to that of `tile`; %r3 and %rd2 to the word
// of the thread 32 on.
constexpr char kBegin[] = R"(.version 8.6
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 values)
{
  .reg .pred %p<9>; .reg .b32 %r<40>; .reg .b64 %rd<9>; .reg .f32 %f<9>;
  .shared .align 1024 .b8 tile[4096];
  .shared .align 8 .b64 full;
  ld.param.u64 %rd0, [values];
  mov.u32 %r0, %tid.x;
  mov.u32 %r1, %ctaid.x;
  setp.eq.u32 %p0, %r0, 0;
  shl.b32 %r4, %r0, 2;
  xor.b32 %r5, %r4, 128;
  mov.u32 %r6, tile;
  add.u32 %r2, %r6, %r4;
  add.u32 %r3, %r6, %r5;
  cvt.u64.u32 %rd1, %r4;
  add.s64 %rd1, %rd0, %rd1;
  cvt.u64.u32 %rd2, %r5;
  add.s64 %rd2, %rd0, %rd2;
)";

std::string Error(const absl::Status& status) { return std::string(status.message()); }

class Races : public ::testing::Test {
 protected:
  Races() : values_(1024) { memory_.Register("values", values_); }

  absl::Status LaunchBody(const std::string& body, int ctas, Schedule schedule) {
    const auto module = Module::Load(absl::StrCat(kBegin, body, "\nret;\n}\n"));
    if (!module.ok()) return module.status();
    const auto kernel = (*module)->FindKernel("k");
    if (!kernel.ok()) return kernel.status();
    const void* const data = values_.data();
    LaunchOptions options;
    options.grid = {ctas, 1, 1};
    options.block = {64, 1, 1};
    options.schedule = schedule;
    options.schedule.resident_ctas = ctas;
    options.races = true;
    return Launch(**kernel, {&data}, memory_, options);
  }

  // Returns the error of the body, which must be none, or a race, under all schedules.
  std::string RaceOf(const std::string& body, int ctas = 1) {
    std::string first;
    for (const auto copies : {Schedule::Copies::kLate, Schedule::Copies::kEarly}) {
      for (const auto warps : {Schedule::Order::kForward, Schedule::Order::kReverse}) {
        Schedule schedule;
        schedule.copies = copies;
        schedule.warps = warps;
        const std::string error = Error(LaunchBody(body, ctas, schedule));
        if (first.empty()) first = error;
        EXPECT_EQ(error.empty(), first.empty()) << error << first;
        EXPECT_TRUE(error.empty() || error.find("data race") != std::string::npos) << error;
      }
    }
    return first;
  }

  std::vector<uint32_t> values_;
  GlobalMemory memory_;
};

constexpr char kExchange[] = R"(
  st.shared.b32 [%r2], %r0;
  bar.sync 0;
  ld.shared.b32 %r7, [%r3];
)";

TEST_F(Races, BarriersOrderWarps) {
  EXPECT_EQ(RaceOf(kExchange), "");
  EXPECT_THAT(
      RaceOf(absl::StrReplaceAll(kExchange, {{"bar.sync 0;", ""}})),
      AllOf(HasSubstr("data race at shared address 0x4000"), HasSubstr("nothing orders them"),
            HasSubstr("st.shared.b32 [%r2], %r0"), HasSubstr("of 4 bytes")));
}

TEST_F(Races, TheNextStoreNeedsABarrierToo) {
  EXPECT_EQ(RaceOf(absl::StrCat(kExchange, "bar.sync 0;", kExchange)), "");
  EXPECT_THAT(RaceOf(absl::StrCat(kExchange, kExchange)), HasSubstr("conflicts with the"));
}

TEST_F(Races, ArrivalsOrderOneWay) {
  // Warp 1 writes and arrives, warp 0 waits and reads.
  const char body[] = R"(
    setp.ge.u32 %p1, %r0, 32;
    @%p1 bra writer;
    bar.sync 1, 64;
    ld.shared.b32 %r7, [%r3];
    bra.uni done;
  writer:
    st.shared.b32 [%r2], %r0;
    bar.arrive 1, 64;
  done:
  )";
  EXPECT_EQ(RaceOf(body), "");
  EXPECT_NE(RaceOf(absl::StrCat(body, "st.shared.b32 [%r2], %r0;")), "");
}

TEST_F(Races, LanesOfAWarpNeedAnOrderToo) {
  const char body[] = R"(
    xor.b32 %r8, %r4, 4;
    add.u32 %r8, %r6, %r8;
    st.shared.b32 [%r2], %r0;
    bar.warp.sync -1;
    ld.shared.b32 %r7, [%r8];
  )";
  EXPECT_EQ(RaceOf(body), "");
  EXPECT_NE(RaceOf(absl::StrReplaceAll(body, {{"bar.warp.sync -1;", ""}})), "");
}

TEST_F(Races, CtasShareGlobalMemory) {
  EXPECT_THAT(RaceOf("st.global.b32 [%rd1], %r0;", 2), HasSubstr("by thread 0 of CTA"));
  EXPECT_EQ(RaceOf("@%p0 atom.global.add.u32 %r7, [%rd0], 1;", 2), "");
  EXPECT_EQ(RaceOf("red.global.add.u32 [%rd1], 1;", 2), "");
  EXPECT_NE(RaceOf("@%p0 atom.global.add.u32 %r7, [%rd0], 1; @%p0 ld.global.b32 %r8, [%rd0];", 2),
            "");
}

// CTA 1 writes its words and releases a counter, which CTA 0 acquires before it reads.
constexpr char kTurns[] = R"(
    setp.eq.u32 %p1, %r1, 1;
    @%p1 bra writer;
    @!%p0 bra waited;
  wait:
    ld.acquire.gpu.global.u32 %r7, [%rd0+1024];
    setp.eq.u32 %p2, %r7, 0;
    @%p2 bra wait;
  waited:
    bar.sync 0;
    ld.global.b32 %r8, [%rd2];
    bra.uni done;
  writer:
    st.global.b32 [%rd1], %r0;
    bar.sync 0;
    @%p0 red.release.gpu.global.add.u32 [%rd0+1024], 1;
  done:
)";

TEST_F(Races, CountersOrderCtas) {
  const auto race_of = [&](const std::string& body) {
    values_.assign(1024, 0);
    Schedule schedule;
    return Error(LaunchBody(body, 2, schedule));
  };
  EXPECT_EQ(race_of(kTurns), "");
  EXPECT_NE(race_of(absl::StrReplaceAll(kTurns, {{"release", "relaxed"}})), "");
  EXPECT_NE(race_of(absl::StrReplaceAll(kTurns, {{"ld.acquire", "ld.relaxed"}})), "");
  const std::string fences =
      absl::StrReplaceAll(kTurns, {{"ld.acquire", "ld.relaxed"},
                                   {"waited:", "fence.acq_rel.gpu; waited:"},
                                   {"@%p0 red.release", "membar.gl; @%p0 red.relaxed"}});
  EXPECT_EQ(race_of(fences), "");
}

// cp.async: the thread that copies sees its copy after the wait, others after a barrier besides.
constexpr char kCopy[] = R"(
  cp.async.ca.shared.global [%r2], [%rd1], 4;
  cp.async.commit_group;
  cp.async.wait_group 0;
  bar.sync 0;
  ld.shared.b32 %r7, [%r3];
)";

TEST_F(Races, AsyncCopiesEndAtTheirWait) {
  EXPECT_EQ(RaceOf(kCopy), "");
  EXPECT_NE(RaceOf(absl::StrReplaceAll(kCopy, {{"wait_group 0", "wait_group 1"}})), "");
  EXPECT_NE(RaceOf(absl::StrReplaceAll(kCopy, {{"bar.sync 0;", ""}})), "");
  EXPECT_NE(RaceOf(absl::StrReplaceAll(kCopy, {{"cp.async.commit_group;", ""}})), "");
}

// A bulk copy into the tile after all threads have read it, and out of it after they have written.
constexpr char kBulk[] = R"(
  @%p0 mbarrier.init.shared::cta.b64 [full], 1;
  @%p0 fence.mbarrier_init.release.cluster;
  st.shared.b32 [%r2], %r0;
  ld.shared.b32 %r7, [%r2];
  bar.sync 0;
  @%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 256;
  @%p0 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [tile+1024], [%rd0], 256, [full];
wait:
  mbarrier.try_wait.parity.shared::cta.b64 %p1, [full], 0;
  @!%p1 bra wait;
  ld.shared.b32 %r7, [%r2+1024];
  st.shared.b32 [%r2], %r7;
  fence.proxy.async.shared::cta;
  bar.sync 0;
  @%p0 cp.async.bulk.global.shared::cta.bulk_group [%rd0], [tile], 256;
  @%p0 cp.async.bulk.commit_group;
  @%p0 cp.async.bulk.wait_group.read 0;
  bar.sync 0;
  st.shared.b32 [%r2], %r7;
  @%p0 cp.async.bulk.wait_group 0;
  @%p0 ld.global.b32 %r8, [%rd0];
)";

TEST_F(Races, BulkCopies) {
  EXPECT_EQ(RaceOf(kBulk), "");
  const auto without = [&](const std::string& text) {
    const std::string body = absl::StrReplaceAll(kBulk, {{text, ""}});
    EXPECT_NE(body, kBulk);
    return RaceOf(body);
  };
  EXPECT_THAT(without("fence.proxy.async.shared::cta;"),
              HasSubstr("does not execute fence.proxy.async before"));
  EXPECT_THAT(without("@%p0 fence.mbarrier_init.release.cluster;"),
              HasSubstr("does not execute fence.proxy.async"));
  EXPECT_THAT(without("@%p0 cp.async.bulk.wait_group.read 0;"),
              HasSubstr("an operation that thread 0 started"));
  EXPECT_THAT(without("@%p0 cp.async.bulk.wait_group 0;"),
              HasSubstr("async write of 4 bytes by an operation that thread 0 started"));
}

// Threads that read what a copy brought must be known to be done before the next copy.
TEST_F(Races, BuffersMustBeReleased) {
  const auto load = [](int phase) {
    return absl::StrReplaceAll(R"(
      @%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 256;
      @%p0 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [tile], [%rd0], 256, [full];
    waitN:
      mbarrier.try_wait.parity.shared::cta.b64 %p1, [full], N;
      @!%p1 bra waitN;
      ld.shared.b32 %r7, [%r2];
    )",
                               {{"N", std::to_string(phase)}});
  };
  const char init[] = R"(
    @%p0 mbarrier.init.shared::cta.b64 [full], 1;
    @%p0 fence.mbarrier_init.release.cluster;
    bar.sync 0;
  )";
  EXPECT_EQ(RaceOf(absl::StrCat(init, load(0), "bar.sync 0;", load(1))), "");
  // Other schedules find a deadlock: some threads miss a phase.
  EXPECT_THAT(Error(LaunchBody(absl::StrCat(init, load(0), load(1)), 1, {})),
              AllOf(HasSubstr("data race"), HasSubstr("an operation that thread 0 started")));
}

}  // namespace
}  // namespace flashcp::emulator
