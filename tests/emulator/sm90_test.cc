// mbarriers, bulk copies, tensor maps and wgmma as kernels use them, under the extremes of
// schedules, and the errors of those who use them wrongly.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/evaluate.h"
#include "tests/emulator/memory.h"
#include "tests/emulator/tensor_map.h"
#include "tests/emulator/wgmma_queue.h"

namespace flashcp::emulator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// %rd0 and %rd1 are the first two parameters, %r0 is the thread, %p0 whether it is thread 0. Shared
// memory is `tile`, of 4 KiB, and `full`, an mbarrier.
constexpr char kBegin[] = R"(.version 8.6
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 first, .param .u64 second)
{
  .reg .pred %p<9>; .reg .b32 %r<40>; .reg .b64 %rd<9>; .reg .f32 %f<9>;
  .shared .align 1024 .b8 tile[4096];
  .shared .align 8 .b64 full;
  ld.param.u64 %rd0, [first];
  ld.param.u64 %rd1, [second];
  mov.u32 %r0, %tid.x;
  setp.eq.u32 %p0, %r0, 0;
)";

// Thread 0 inits the mbarrier for one arrival.
constexpr char kInit[] = R"(
  @%p0 mbarrier.init.shared::cta.b64 [full], 1;
  @%p0 fence.mbarrier_init.release.cluster;
  bar.sync 0;
)";

// All threads wait for phase 0.
constexpr char kWait[] = R"(
wait:
  mbarrier.try_wait.parity.shared::cta.b64 %p1, [full], 0;
  @!%p1 bra wait;
)";

// Thread i writes word i of the tile to the second parameter.
constexpr char kCopyOut[] = R"(
  mov.u32 %r10, tile;
  shl.b32 %r11, %r0, 2;
  add.u32 %r10, %r10, %r11;
  ld.shared.b32 %r12, [%r10];
  cvt.u64.u32 %rd2, %r11;
  add.s64 %rd2, %rd1, %rd2;
  st.global.b32 [%rd2], %r12;
  ret;
)";

std::string Error(const absl::Status& status) { return std::string(status.message()); }

std::vector<Schedule> Schedules() {
  std::vector<Schedule> schedules;
  for (const auto copies :
       {Schedule::Copies::kEarly, Schedule::Copies::kLate, Schedule::Copies::kAny}) {
    for (const auto products : {Schedule::Products::kAtIssue, Schedule::Products::kAtWait}) {
      Schedule schedule;
      schedule.copies = copies;
      schedule.products = products;
      schedules.push_back(schedule);
      schedule.warps = Schedule::Order::kReverse;
      schedules.push_back(schedule);
    }
  }
  return schedules;
}

absl::Status LaunchBody(const std::string& body, const void* first, const void* second,
                        const GlobalMemory& memory, int threads, const Schedule& schedule = {}) {
  const auto module = Module::Load(absl::StrCat(kBegin, body, "}\n"));
  if (!module.ok()) return module.status();
  const auto kernel = (*module)->FindKernel("k");
  if (!kernel.ok()) return kernel.status();
  LaunchOptions options;
  options.block = {threads, 1, 1};
  options.schedule = schedule;
  return Launch(**kernel, {&first, &second}, memory, options);
}

std::vector<uint32_t> Iota(int count) {
  std::vector<uint32_t> values(count);
  std::iota(values.begin(), values.end(), 1);
  return values;
}

// 256 words are copied to the tile and from there to the output.
class Bulk : public ::testing::Test {
 protected:
  static constexpr int kWords = 256;
  static constexpr char kLoad[] = R"(
    @%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 1024;
    @%p0 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [tile], [%rd0], 1024, [full];
  )";

  Bulk() : from_(Iota(kWords)), to_(kWords) {
    memory_.Register("from", from_);
    memory_.Register("to", to_);
  }
  absl::Status RunBody(const std::string& body, const Schedule& schedule = {}) {
    return LaunchBody(body, from_.data(), to_.data(), memory_, kWords, schedule);
  }

  std::vector<uint32_t> from_, to_;
  GlobalMemory memory_;
};

TEST_F(Bulk, BytesLandBeforeThePhaseCompletes) {
  for (const Schedule& schedule : Schedules()) {
    std::fill(to_.begin(), to_.end(), 0);
    ASSERT_EQ(RunBody(absl::StrCat(kInit, kLoad, kWait, kCopyOut), schedule), absl::OkStatus());
    EXPECT_EQ(to_, from_);
  }
}

TEST_F(Bulk, WithoutAWaitThereIsPoison) {
  const std::string wait_at_end = absl::StrReplaceAll(absl::StrCat(kInit, kLoad, kCopyOut),
                                                      {{"ret;", absl::StrCat(kWait, "ret;")}});
  ASSERT_EQ(RunBody(wait_at_end), absl::OkStatus());
  EXPECT_EQ(to_[0], 0x7fff7fff);
}

// try_wait may give up: code that does not ask again goes on too early.
TEST_F(Bulk, TryWaitGivesUpOnce) {
  const std::string once = absl::StrReplaceAll(kWait, {{"@!%p1 bra wait;", ""}, {"wait:", ""}});
  const std::string body = absl::StrReplaceAll(absl::StrCat(kInit, kLoad, once, kCopyOut),
                                               {{"ret;", absl::StrCat(kWait, "ret;")}});
  ASSERT_EQ(RunBody(body), absl::OkStatus());
  EXPECT_EQ(to_[0], 0x7fff7fff);
}

TEST_F(Bulk, StoresAndTheirGroups) {
  for (const Schedule& schedule : Schedules()) {
    std::fill(to_.begin(), to_.end(), 0);
    const char store[] = R"(
      @%p0 cp.async.bulk.global.shared::cta.bulk_group [%rd1], [tile], 1024;
      cp.async.bulk.commit_group;
      cp.async.bulk.wait_group.read 0;
      @%p0 st.shared.b32 [tile], -1;
      cp.async.bulk.wait_group 0;
      ret;)";
    ASSERT_EQ(RunBody(absl::StrCat(kInit, kLoad, kWait, store), schedule), absl::OkStatus());
    EXPECT_EQ(to_, from_);
  }
}

TEST_F(Bulk, AStoreReadsUntilItsWait) {
  const char store[] = R"(
    @%p0 cp.async.bulk.global.shared::cta.bulk_group [%rd1], [tile], 1024;
    cp.async.bulk.commit_group;
    @%p0 st.shared.b32 [tile], -1;
    cp.async.bulk.wait_group 0;
    ret;)";
  ASSERT_EQ(RunBody(absl::StrCat(kInit, kLoad, kWait, store)), absl::OkStatus());
  EXPECT_EQ(to_[0], ~0u);
}

TEST_F(Bulk, ACtaMustNotLeaveCopies) {
  EXPECT_THAT(Error(RunBody(absl::StrCat(kInit, kLoad, "ret;"))),
              AllOf(HasSubstr("the CTA exits while the copy is in flight"),
                    HasSubstr("thread 0 (warp 0, lane 0)"), HasSubstr("cp.async.bulk")));
}

TEST_F(Bulk, MissingBytesAreADeadlock) {
  const std::string fewer = absl::StrReplaceAll(kLoad, {{"[%rd0], 1024", "[%rd0], 512"}});
  EXPECT_THAT(Error(RunBody(absl::StrCat(kInit, fewer, kWait, "ret;"))),
              AllOf(HasSubstr("deadlock"), HasSubstr("mbarrier.try_wait"),
                    HasSubstr("lacks 0 of 1 arrivals and 512 bytes")));
}

TEST_F(Bulk, MissingArrivalsAreADeadlock) {
  EXPECT_THAT(Error(RunBody(absl::StrCat(kInit, kWait, "ret;"))),
              AllOf(HasSubstr("deadlock"), HasSubstr("lacks 1 of 1 arrivals")));
}

TEST_F(Bulk, MisuseOfBarriersNamesTheInstruction) {
  EXPECT_THAT(Error(RunBody("mbarrier.arrive.shared.b64 _, [full];\nret;")),
              AllOf(HasSubstr("mbarrier.arrive.shared.b64"), HasSubstr("not initialised")));
  EXPECT_THAT(Error(RunBody(absl::StrCat(kInit, "mbarrier.arrive.shared.b64 _, [full], 2; ret;"))),
              HasSubstr("2 arrivals, but the phase waits for 1"));
  EXPECT_THAT(Error(RunBody("mbarrier.init.shared.b64 [tile+4], 1;\nret;")),
              HasSubstr("is not a multiple of 8"));
  EXPECT_THAT(Error(RunBody(absl::StrCat(
                  kInit, absl::StrReplaceAll(kLoad, {{"[%rd0]", "[%rd0+8]"}}), "ret;"))),
              HasSubstr("must be multiples of 16"));
}

TEST_F(Bulk, CopiesOutOfBounds) {
  EXPECT_THAT(Error(RunBody(absl::StrCat(
                  kInit, absl::StrReplaceAll(kLoad, {{"[%rd0]", "[%rd0+16]"}}), "ret;"))),
              AllOf(HasSubstr("1024 bytes"), HasSubstr("\"from\"")));
  EXPECT_THAT(Error(RunBody(absl::StrCat(
                  kInit, absl::StrReplaceAll(kLoad, {{"[tile]", "[tile+262144]"}}), "ret;"))),
              HasSubstr("shared memory of the CTA"));
}

// The state of an arrival stands for its phase; test_wait does not block.
TEST_F(Bulk, StatesOfArrivals) {
  const char states[] = R"(
    @!%p0 bra others;
    mbarrier.init.shared::cta.b64 [full], 2;
    mbarrier.arrive.shared::cta.b64 %rd3, [full];
    mbarrier.test_wait.shared::cta.b64 %p2, [full], %rd3;
    selp.b32 %r5, 1, 0, %p2;
    mbarrier.arrive.shared::cta.b64 %rd4, [full];
    mbarrier.test_wait.shared::cta.b64 %p3, [full], %rd3;
    selp.b32 %r6, 2, 0, %p3;
    add.u32 %r5, %r5, %r6;
    st.global.b32 [%rd1], %r5;
    mbarrier.inval.shared::cta.b64 [full];
  others:
    ret;)";
  ASSERT_EQ(RunBody(states), absl::OkStatus());
  EXPECT_EQ(to_[0], 2) << "complete after the second arrival, not after the first";
}

// Tiles of a tensor of f32: 8 rows of 32, 20 rows in all.
class Tiles : public ::testing::Test {
 protected:
  static constexpr int kRows = 20, kColumns = 32;
  static constexpr char kLoad[] = R"(
    mov.u32 %r20, 0;
    mov.u32 %r21, 16;
    @%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 1024;
    @%p0 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [tile], [%rd0, {%r20, %r21}], [full];
  )";

  Tiles() : tensor_(kRows * kColumns), to_(8 * kColumns) {
    std::iota(tensor_.begin(), tensor_.end(), 1);
    map_.type = TensorMapType::kF32;
    map_.global = reinterpret_cast<std::byte*>(tensor_.data());
    map_.dims = {kColumns, kRows};
    map_.strides = {kColumns * sizeof(float)};
    map_.box = {kColumns, 8};
    map_.swizzle = Swizzle::k128Bytes;
    memory_.Register("tensor", tensor_);
    memory_.Register("to", to_);
    memory_.Register("images", images_, sizeof(images_));
  }
  absl::Status RunBody(const std::string& body, const Schedule& schedule = {}) {
    images_[0] = EncodeTiled(map_).value();
    return LaunchBody(body, images_, to_.data(), memory_, 256, schedule);
  }

  std::vector<float> tensor_, to_;
  TensorMap map_;
  TensorMapImage images_[2] = {};  // The second is none.
  GlobalMemory memory_;
};

TEST_F(Tiles, LoadsAreSwizzledAndFilledWithZeros) {
  for (const Schedule& schedule : Schedules()) {
    ASSERT_EQ(RunBody(absl::StrCat(kInit, kLoad, kWait, kCopyOut), schedule), absl::OkStatus());
    for (int row = 0; row < 8; ++row) {
      for (int column = 0; column < kColumns; ++column) {
        const int at = row * kColumns + ((column / 4) ^ row) * 4 + column % 4;
        EXPECT_EQ(to_[at], 16 + row < kRows ? (16 + row) * kColumns + column + 1 : 0);
      }
    }
  }
}

TEST_F(Tiles, StoresAndReductionsStayInBounds) {
  const std::vector<float> before = tensor_;
  for (const Schedule& schedule : Schedules()) {
    tensor_ = before;
    const char body[] = R"(
      mov.u32 %r22, 17;
      @%p0 fence.proxy.async.shared::cta;
      @%p0 cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%rd0, {%r20, %r20}], [tile];
      @%p0 cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%rd0, {%r20, %r22}], [tile];
      @%p0 cp.async.bulk.commit_group;
      @%p0 cp.async.bulk.wait_group 0;
      ret;)";
    ASSERT_EQ(RunBody(absl::StrCat(kInit, kLoad, kWait, body), schedule), absl::OkStatus());
    for (int row = 0; row < kRows; ++row) {
      const float loaded = 16 * kColumns + 1;
      const float expected = row < 4    ? loaded + row * kColumns
                             : row < 8  ? 0
                             : row < 17 ? before[row * kColumns]
                                        : before[row * kColumns] + loaded + (row - 17) * kColumns;
      EXPECT_EQ(tensor_[row * kColumns], expected) << "row " << row;
    }
  }
}

TEST_F(Tiles, MapsBeyondTheirAllocationAreFoundOut) {
  map_.dims[1] = kRows + 1;
  EXPECT_THAT(Error(RunBody(absl::StrCat(kInit, kLoad, kWait, "ret;"))),
              AllOf(HasSubstr("cp.async.bulk.tensor"), HasSubstr("\"tensor\"")));
}

TEST_F(Tiles, WrongOperands) {
  const std::string no_map = absl::StrReplaceAll(kLoad, {{"[%rd0, {", "[%rd3, {"}});
  EXPECT_THAT(Error(RunBody(absl::StrCat(kInit, "add.s64 %rd3, %rd0, 128;", no_map, "ret;"))),
              HasSubstr("not that of a tensor map"));
  const std::string misaligned = absl::StrReplaceAll(kLoad, {{"[tile]", "[tile+64]"}});
  EXPECT_THAT(Error(RunBody(absl::StrCat(kInit, misaligned, "ret;"))),
              HasSubstr("not a multiple of 128"));
  const std::string rank = absl::StrReplaceAll(kLoad, {{"tensor.2d", "tensor.3d"}});
  EXPECT_THAT(Error(RunBody(absl::StrCat(kInit, rank, "ret;"))), HasSubstr("2 coordinates"));
}

// A warpgroup multiplies ones in registers by a tile of `value` in shared memory: 16 times that.
class Products : public ::testing::Test {
 protected:
  // Fills the tile, which is K-major without a swizzle: LBO 128, SBO 128.
  static constexpr char kFill[] = R"(
    mov.u32 %r10, tile;
    shl.b32 %r11, %r0, 2;
    add.u32 %r11, %r10, %r11;
    st.shared.b32 [%r11], 0x40004000;
    fence.proxy.async.shared::cta;
    bar.sync 0;
    mov.b32 %r1, 0x3f803f80;
    mov.f32 %f0, 0f3f800000; mov.f32 %f1, 0f3f800000; mov.f32 %f2, 0f3f800000; mov.f32 %f3, 0f3f800000;
    setp.eq.u32 %p2, %r10, %r10;
    and.b32 %r12, %r10, 262143;
    shr.u32 %r12, %r12, 4;
    cvt.u64.u32 %rd3, %r12;
    or.b64 %rd3, %rd3, 34360262656;
  )";
  static constexpr char kProduct[] = R"(
    wgmma.fence.sync.aligned;
    wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, {%r1, %r1, %r1, %r1}, %rd3, %p2, 1, 1, 0;
    wgmma.commit_group.sync.aligned;
  )";
  static constexpr char kWaitGroup[] = "wgmma.wait_group.sync.aligned 0;\n";
  static constexpr char kStore[] = R"(
    shl.b32 %r11, %r0, 2;
    cvt.u64.u32 %rd2, %r11;
    add.s64 %rd2, %rd1, %rd2;
    st.global.f32 [%rd2], %f2;
    ret;)";

  Products() : to_(128) { memory_.Register("to", to_); }
  absl::Status RunBody(const std::string& body, const Schedule& schedule = {}) {
    return LaunchBody(body, nullptr, to_.data(), memory_, 128, schedule);
  }

  std::vector<float> to_;
  GlobalMemory memory_;
};

TEST_F(Products, AddToTheirSums) {
  for (const Schedule& schedule : Schedules()) {
    ASSERT_EQ(RunBody(absl::StrCat(kFill, kProduct, kWaitGroup, kStore), schedule),
              absl::OkStatus());
    for (const float sum : to_) EXPECT_EQ(sum, 16 * 2 + 1);
  }
}

TEST_F(Products, SumsInFlightArePoison) {
  ASSERT_EQ(RunBody(absl::StrCat(kFill, kProduct, absl::StrReplaceAll(kStore, {{"ret;", ""}}),
                                 kWaitGroup, "ret;")),
            absl::OkStatus());
  EXPECT_EQ(BitsOf(to_[0]), WgmmaQueue::kPoison);
}

TEST_F(Products, MissingWaitAtTheEnd) {
  EXPECT_THAT(Error(RunBody(absl::StrCat(kFill, kProduct, "ret;"))),
              HasSubstr("the warp exits with the wgmma.mma_async of line"));
}

TEST_F(Products, MissingFence) {
  const std::string unfenced = absl::StrReplaceAll(kProduct, {{"wgmma.fence.sync.aligned;", ""}});
  EXPECT_THAT(Error(RunBody(absl::StrCat(kFill, unfenced, kWaitGroup, kStore))),
              HasSubstr("before the first wgmma.fence"));
  EXPECT_THAT(Error(RunBody(absl::StrCat(kFill, kProduct, kWaitGroup, "add.f32 %f1, %f1, %f1;",
                                         unfenced, kWaitGroup, kStore))),
              HasSubstr("accumulator 1 was written after the last wgmma.fence"));
}

TEST_F(Products, WarpsAndLanesMustAgree) {
  // The descriptor depends on the warp, then on the lane.
  const char by_warp[] =
      "shr.u32 %r13, %r0, 5; cvt.u64.u32 %rd4, %r13; add.s64 %rd3, %rd3, %rd4;\n";
  EXPECT_THAT(Error(RunBody(absl::StrCat(kFill, by_warp, kProduct, kWaitGroup, kStore))),
              HasSubstr("another warp of the warpgroup issued"));
  const char by_lane[] = "cvt.u64.u32 %rd4, %r0; add.s64 %rd3, %rd3, %rd4;\n";
  EXPECT_THAT(Error(RunBody(absl::StrCat(kFill, by_lane, kProduct, kWaitGroup, kStore))),
              HasSubstr("lanes give different descriptors"));
}

TEST_F(Products, UnsupportedForms) {
  const std::string type = absl::StrReplaceAll(kProduct, {{".bf16.bf16", ".e4m3.e4m3"}});
  EXPECT_THAT(Error(RunBody(absl::StrCat(kFill, type, "ret;"))), HasSubstr("unsupported"));
  const std::string sign = absl::StrReplaceAll(kProduct, {{"%p2, 1, 1", "%p2, 2, 1"}});
  EXPECT_THAT(Error(RunBody(absl::StrCat(kFill, sign, "ret;"))), HasSubstr("1 or -1"));
}

}  // namespace
}  // namespace flashcp::emulator
