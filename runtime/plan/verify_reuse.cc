// Decides whether buffers that share bytes are used one after the other: all steps that use one are
// done before any that uses the other starts, in all rounds.
//
// Memory is filled with the buffers of all rounds, in the order of the first step that uses each,
// the only one that can be right, since no step waits for a later one. Whoever takes bytes must come
// after all that held them until then; comparing with these alone is enough, because "done before it
// starts" is transitive: O(n log n) for n buffers of all rounds.

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};

// The workspace of a pass, and the program that uses it.
struct Workspace {
  const char* name;
  bool (*holds)(fbs::BufferKind kind);
  ProgramView program;
  void (*for_each_use)(const RankView& rank, const UseVisitor& use);
};

// When the instructions that use a buffer in the first round start, and when they are done.
struct Uses {
  uint32_t first[2] = {kNone, kNone};  // by stream: its first one
  // By stream: its first step that starts when all uses are done, and the use that is done last.
  uint32_t after[2] = {0, 0};
  uint32_t last[2] = {kNone, kNone};

  uint32_t Begin() const { return std::min(first[0], first[1]); }
  bool Any() const { return Begin() != kNone; }

  void Add(uint32_t index, fbs::Stream stream, const Arrival& arrival) {
    uint32_t& mine = first[static_cast<int>(stream)];
    mine = std::min(mine, index);
    for (int s : {0, 1}) {
      if (last[s] != kNone && arrival.first[s] < after[s]) continue;
      after[s] = arrival.first[s];
      last[s] = index;
    }
  }
};

// One round of a buffer that holds bytes.
struct Holder {
  uint32_t buffer;
  uint32_t round;
};

// Fills a workspace.
class Filling {
 public:
  Filling(const RankView& rank, const Workspace& workspace, const std::vector<Uses>& uses)
      : rank_(rank), workspace_(workspace), uses_(uses) {}

  // Puts a buffer, which comes after all that were put before or shares no bytes with them.
  absl::Status Put(const Holder& holder) {
    const fbs::Buffer& buffer = rank_.buffers[holder.buffer];
    const uint64_t begin = buffer.offset() + holder.round % buffer.places() * StrideOf(buffer);
    const uint64_t end = begin + BytesOf(buffer);
    auto run = runs_.lower_bound(begin);
    if (run != runs_.begin() && std::prev(run)->second.end > begin) {
      --run;
      const Run before = run->second;
      run->second.end = begin;
      run = runs_.insert_or_assign(begin, before).first;
    }
    while (run != runs_.end() && run->first < end) {
      RETURN_IF_ERROR(Check(run->second.holder, holder, run->first));
      const Run held = run->second;
      run = runs_.erase(run);
      if (held.end > end) run = runs_.emplace_hint(run, end, held);
    }
    runs_[begin] = {end, holder};
    return absl::OkStatus();
  }

 private:
  // Bytes up to `end` that one holder has.
  struct Run {
    uint64_t end;
    Holder holder;
  };

  absl::Status Check(const Holder& before, const Holder& holder, uint64_t offset) const {
    const Uses& old_uses = uses_[before.buffer];
    const Uses& new_uses = uses_[holder.buffer];
    const uint64_t rounds = holder.round - before.round;
    for (int s : {0, 1}) {
      const uint64_t first = new_uses.first[s];
      if (first == kNone ||
          old_uses.after[s] <= first + rounds * workspace_.program.instructions.size())
        continue;
      return Broken("P6", "rank ", rank_.rank, ", ", workspace_.program.noun, " ", first,
                    ": uses buffer ", holder.buffer, " without waiting for ",
                    workspace_.program.noun, " ", old_uses.last[s], RoundsBefore(rounds),
                    ", which uses buffer ", before.buffer, "; both have offset ", offset,
                    " of the ", workspace_.name);
    }
    return absl::OkStatus();
  }

  static std::string RoundsBefore(uint64_t rounds) {
    if (rounds == 0) return "";
    return absl::StrCat(" of ", rounds, rounds == 1 ? " round" : " rounds", " before");
  }

  const RankView& rank_;
  const Workspace& workspace_;
  const std::vector<Uses>& uses_;
  std::map<uint64_t, Run> runs_;  // by first byte
};

// Whether a workspace has no bytes that two of its buffers hold, nor one buffer in two rounds.
bool IsHeldOnce(const PlanView& view, const RankView& rank, const Workspace& workspace) {
  if (view.head_groups > 1) return false;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const fbs::Buffer& buffer : rank.buffers) {
    if (!workspace.holds(buffer.kind()) || buffer.rows() == 0) continue;
    ranges.push_back({buffer.offset(), buffer.offset() + BytesOf(buffer)});
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i - 1].second > ranges[i].first) return false;
  }
  return true;
}

// The buffers of a workspace that hold bytes.
struct Held {
  std::vector<uint32_t> buffers;
  uint32_t most = 1;    // most places of one
  uint32_t period = 1;  // rounds until all are in the same places again, or as many as there are
};

Held FindHeld(const PlanView& view, const RankView& rank, const Workspace& workspace) {
  Held held;
  for (uint32_t i = 0; i < rank.buffers.size(); ++i) {
    const fbs::Buffer& buffer = rank.buffers[i];
    if (!workspace.holds(buffer.kind()) || buffer.rows() == 0) continue;
    held.buffers.push_back(i);
    const uint32_t places = buffer.places();
    held.most = std::max(held.most, places);
    held.period = std::min(std::lcm(held.period, places), view.head_groups);
  }
  return held;
}

// P6 of one workspace.
//
// Since order within a program does not depend on the round, two steps are as far apart in the
// first rounds as in any others. A buffer comes back to its place after at most `most` rounds, so
// that whoever held bytes last did so at most `most` rounds before: arrivals of so many rounds are
// enough. After `period` rounds all holders follow each other as before: with those that take over
// from them, period + most rounds are enough.
absl::Status CheckReuse(const PlanView& view, const RankView& rank, const Workspace& workspace) {
  if (IsHeldOnce(view, rank, workspace)) return absl::OkStatus();
  Held held = FindHeld(view, rank, workspace);
  const auto instructions = workspace.program.instructions;
  const std::vector<Arrival> arrivals =
      FindArrivals(workspace.program, std::min(view.head_groups, held.most + 1));
  std::vector<Uses> uses(rank.buffers.size());
  workspace.for_each_use(rank, [&](uint32_t i, uint32_t buffer) {
    uses[buffer].Add(i, instructions[i].stream(), arrivals[i]);
  });
  auto& buffers = held.buffers;
  buffers.erase(std::remove_if(buffers.begin(), buffers.end(),
                               [&](uint32_t buffer) { return !uses[buffer].Any(); }),
                buffers.end());
  std::sort(buffers.begin(), buffers.end(),
            [&](uint32_t a, uint32_t b) { return uses[a].Begin() < uses[b].Begin(); });
  Filling filling(rank, workspace, uses);
  const uint32_t rounds = std::min(view.head_groups, held.period + held.most);
  for (uint32_t round = 0; round < rounds; ++round) {
    for (uint32_t buffer : buffers) RETURN_IF_ERROR(filling.Put({buffer, round}));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckForwardReuse(const PlanView& view, const RankView& rank) {
  return CheckReuse(view, rank,
                    {"forward workspace", IsInForwardWorkspace, rank.forward(), ForEachForwardUse});
}

absl::Status CheckBackwardReuse(const PlanView& view, const RankView& rank) {
  return CheckReuse(
      view, rank, {"backward workspace", IsInBackwardWorkspace, rank.backward, ForEachBackwardUse});
}

}  // namespace flashcp::verifier
