// The queue of a warp is made at its first instruction: then its threads have their frames.

#include "tests/emulator/wgmma_operations.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "tests/emulator/engine.h"
#include "tests/emulator/race_tracker.h"

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

// Returns the products of the warp; null after an error.
WarpProducts* ProductsOf(const Meeting& meeting) {
  if (meeting.mask != ~0u) {
    Report(meeting, absl::FailedPreconditionError("all 32 lanes of the warp must execute it"));
    return nullptr;
  }
  Warp& warp = meeting.warp;
  if (warp.products == nullptr) {
    warp.products.reset(new WarpProducts{WgmmaQueue(warp.index % kWarps, absl::MakeSpan(warp.frame),
                                                    meeting.engine.SharedMemoryOf(*warp.cta),
                                                    TimingOf(meeting.engine.schedule()))});
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

// Records what the product issued last reads, as part of its group.
void TrackReads(const WgmmaInstruction& instruction, const Meeting& meeting,
                WarpProducts* products) {
  RaceTracker& races = *meeting.engine.races();
  std::optional<Actor>& group = products->groups.back();
  if (group.has_value()) {
    races.Follow(*group, meeting);
  } else {
    group = races.Fork(meeting);
  }
  const Cta& cta = *meeting.warp.cta;
  const uint64_t window = reinterpret_cast<uintptr_t>(cta.window);
  VisitReads(instruction.shape, products->queue.last_operands(),
             [&](uint32_t offset, uint32_t bytes) {
               races.Access(cta, *group, *meeting.site.instruction, window + offset, bytes,
                            AccessKind::kRead, Proxy::kAsync);
             });
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
  if (WarpProducts* const products = ProductsOf(meeting)) products->queue.Fence();
}

void IssueProduct(const WgmmaInstruction& instruction, const Meeting& meeting) {
  WarpProducts* const products = ProductsOf(meeting);
  if (products == nullptr) return;
  const uint64_t a = meeting.argument(0, 0);
  const uint64_t b = meeting.argument(0, 1);
  const bool accumulate = meeting.argument(0, 2) & 1;
  absl::Status status = CheckLanesAgree(meeting);
  if (status.ok()) {
    status = meeting.warp.cta->warpgroups[meeting.warp.index / kWarps].Issue(
        meeting.warp.index % kWarps, {&instruction, a, b, accumulate});
  }
  if (status.ok()) status = products->queue.Issue(instruction, a, b, accumulate);
  Report(meeting, status);
  if (status.ok() && meeting.engine.races() != nullptr) TrackReads(instruction, meeting, products);
}

void CommitProducts(const Meeting& meeting) {
  WarpProducts* const products = ProductsOf(meeting);
  if (products == nullptr) return;
  products->queue.Commit();
  products->groups.push_back(std::nullopt);
}

void WaitProducts(int pending, const Meeting& meeting) {
  WarpProducts* const products = ProductsOf(meeting);
  if (products == nullptr) return;
  Report(meeting, products->queue.Wait(pending).status());
  auto& groups = products->groups;
  while (groups.size() > static_cast<size_t>(pending) + 1) {
    if (groups.front().has_value()) meeting.engine.races()->Join(meeting, *groups.front());
    groups.pop_front();
  }
}

}  // namespace flashcp::emulator
