// The queue of a warp is made at its first instruction: then its threads have their frames.

#include "tests/emulator/wgmma_operations.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "tests/emulator/engine.h"

namespace flashcp::emulator {
namespace {

constexpr int kWarps = WarpgroupProducts::kWarps;

WgmmaQueue::Timing TimingOf(const Schedule& schedule) {
  return schedule.products == Schedule::Products::kAtIssue ? WgmmaQueue::Timing::kAtIssue
                                                           : WgmmaQueue::Timing::kAtWait;
}

void Report(const Meeting& meeting, const absl::Status& status) {
  if (!status.ok()) {
    meeting.engine.FailMeeting(meeting, __builtin_ctz(meeting.mask), status.message());
  }
}

// Returns the queue of the warp; null after an error.
WgmmaQueue* QueueOf(const Meeting& meeting) {
  if (meeting.mask != ~0u) {
    Report(meeting, absl::FailedPreconditionError("all 32 lanes of the warp must execute it"));
    return nullptr;
  }
  Warp& warp = meeting.warp;
  if (warp.products == nullptr) {
    WarpFrames frames;
    frames.registers = meeting.engine.frame_registers();
    for (int lane = 0; lane < kLanes; ++lane) {
      frames.frames[lane] = warp.threads[lane].context.frame;
    }
    warp.products = std::make_unique<WgmmaQueue>(warp.index % kWarps, frames,
                                                 meeting.engine.SharedMemoryOf(*warp.cta),
                                                 TimingOf(meeting.engine.schedule()));
  }
  return warp.products.get();
}

absl::Status CheckLanesAgree(const Meeting& meeting) {
  for (int lane = 1; lane < kLanes; ++lane) {
    for (int i = 0; i < 3; ++i) {
      if (meeting.argument(lane, i) != meeting.argument(0, i)) {
        return absl::FailedPreconditionError("lanes give different descriptors or predicates");
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WarpgroupProducts::Issue(int warp, const Product& product) {
  const uint64_t place = num_issued_[warp]++ - num_dropped_;
  if (place == products_.size()) {
    products_.push_back(product);
  } else if (!(products_[place] == product)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "another warp of the warpgroup issued the product of line ",
        products_[place].instruction->line, " with other operands, or another product, here"));
  }
  while (num_dropped_ < *std::min_element(num_issued_.begin(), num_issued_.end())) {
    products_.pop_front();
    ++num_dropped_;
  }
  return absl::OkStatus();
}

void FenceProducts(const Meeting& meeting) {
  if (WgmmaQueue* const queue = QueueOf(meeting)) queue->Fence();
}

void IssueProduct(const WgmmaInstruction& instruction, const Meeting& meeting) {
  WgmmaQueue* const queue = QueueOf(meeting);
  if (queue == nullptr) return;
  const uint64_t a = meeting.argument(0, 0);
  const uint64_t b = meeting.argument(0, 1);
  const bool accumulate = meeting.argument(0, 2) & 1;
  absl::Status status = CheckLanesAgree(meeting);
  if (status.ok()) {
    status = meeting.warp.cta->warpgroups[meeting.warp.index / kWarps].Issue(
        meeting.warp.index % kWarps, {&instruction, a, b, accumulate});
  }
  if (status.ok()) status = queue->Issue(instruction, a, b, accumulate);
  Report(meeting, status);
}

void CommitProducts(const Meeting& meeting) {
  if (WgmmaQueue* const queue = QueueOf(meeting)) queue->Commit();
}

void WaitProducts(int pending, const Meeting& meeting) {
  if (WgmmaQueue* const queue = QueueOf(meeting)) Report(meeting, queue->Wait(pending).status());
}

}  // namespace flashcp::emulator
