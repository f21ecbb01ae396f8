// Groups the lanes of a warp by the place where they are stopped, and says what each lacks.

#include "tests/emulator/deadlock.h"

#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace flashcp::emulator {
namespace {

constexpr size_t kMostText = 120;

// Returns "0-3, 7".
std::string DescribeLanes(uint32_t mask) {
  std::vector<std::string> runs;
  for (int lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    const int first = lane;
    while (lane + 1 < kLanes && (mask >> (lane + 1) & 1)) ++lane;
    runs.push_back(first == lane ? absl::StrCat(first) : absl::StrCat(first, "-", lane));
  }
  return absl::StrJoin(runs, ", ");
}

std::string DescribeMeeting(const Warp& warp, uint32_t came, const Thread& thread) {
  const Site& site = *thread.site;
  const bool named = site.mask_argument != Site::kLiveLanes;
  const uint32_t needed =
      named ? thread.arguments[site.mask_argument] & warp.existing() : warp.live();
  if (came & ~needed) return "a lane that comes is not in the mask";
  const uint32_t done = warp.InState(Thread::State::kDone);
  std::string text = absl::StrCat("lanes ", DescribeLanes(needed & ~came), " do not come");
  if (needed & done) absl::StrAppend(&text, "; ", DescribeLanes(needed & done), " have exited");
  return text;
}

std::string DescribeState(const Warp& warp, uint32_t lanes, const Thread& thread) {
  switch (thread.state()) {
    case Thread::State::kMeeting:
      return DescribeMeeting(warp, lanes, thread);
    case Thread::State::kBlocked:
      return thread.wait->describe(thread);
    case Thread::State::kPolling:
      return "polls and sees no change";
    default:
      return "can go on";
  }
}

}  // namespace

std::string DescribeThread(const Thread& thread) {
  return absl::StrCat("thread ", thread.index, " (warp ", thread.index / kLanes, ", lane ",
                      thread.index % kLanes, ")");
}

std::string DescribeInstruction(const ptx::Instruction& instruction) {
  const std::string& text = instruction.text;
  const std::string shown = text.size() > kMostText ? text.substr(0, kMostText) + "..." : text;
  return absl::StrCat("line ", instruction.line, ": ", shown);
}

void AppendWaits(const Warp& warp, std::string* report) {
  using Key = std::tuple<const Site*, Thread::State, std::array<uint64_t, 2>>;
  std::map<Key, uint32_t> groups;
  for (int lane = 0; lane < warp.lanes; ++lane) {
    const Thread& thread = warp.threads[lane];
    if (thread.state() == Thread::State::kDone) continue;
    groups[{thread.site, thread.state(), thread.wait_data}] |= 1u << lane;
  }
  for (const auto& [key, lanes] : groups) {
    const Thread& thread = warp.threads[__builtin_ctz(lanes)];
    const std::string place =
        thread.site == nullptr ? "no place" : DescribeInstruction(*thread.site->instruction);
    absl::StrAppend(report, "\n  CTA ", warp.cta->number, ", warp ", warp.index, ", lanes ",
                    DescribeLanes(lanes), ", ", place, ": ", DescribeState(warp, lanes, thread));
  }
}

}  // namespace flashcp::emulator
