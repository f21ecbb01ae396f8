// Decides whether the instructions of each rank are well formed, and whether the programs of all
// ranks together run to their end.

#include <cstddef>
#include <utility>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

absl::string_view NameOf(fbs::Opcode opcode) { return fbs::EnumNameOpcode(opcode); }

// P7 of one rank: instructions take messages and tiles in the order of their tables, each once.
absl::Status CheckInstructions(const RankView& rank) {
  uint64_t next[] = {0, 0};  // message, tile: by opcode
  const uint64_t size[] = {rank.messages.size(), rank.tiles.size()};
  uint32_t exchange_stage = 1;
  for (size_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.instructions[i];
    if (instruction.opcode() > fbs::Opcode::MAX || instruction.stream() > fbs::Stream::MAX) {
      return Broken("P7", "rank ", rank.rank, ", instruction ", i, ": unknown opcode ",
                    static_cast<int>(instruction.opcode()), " or stream ",
                    static_cast<int>(instruction.stream()));
    }
    bool exchange = instruction.opcode() == fbs::Opcode::exchange;
    if (exchange != (instruction.stream() == fbs::Stream::communication)) {
      return Broken("P7", "rank ", rank.rank, ", instruction ", i, ": ",
                    NameOf(instruction.opcode()), " on stream ",
                    fbs::EnumNameStream(instruction.stream()));
    }
    uint64_t& first = next[static_cast<int>(instruction.opcode())];
    uint64_t end = size[static_cast<int>(instruction.opcode())];
    bool empty = instruction.begin() == instruction.end();
    if (!InBounds(instruction.begin(), instruction.end(), end) ||
        (!empty && instruction.begin() != first)) {
      return Broken("P7", "rank ", rank.rank, ", instruction ", i, " (",
                    NameOf(instruction.opcode()), "): a range from ", first, " up to ", end,
                    " expected, [", instruction.begin(), ", ", instruction.end(), ") found");
    }
    if (!empty) first = instruction.end();
    if (!exchange) continue;
    if (instruction.stage() < exchange_stage) {
      return Broken("P7", "rank ", rank.rank, ", instruction ", i, ": an exchange of stage ",
                    exchange_stage, " or later expected, ", instruction.stage(), " found");
    }
    exchange_stage = instruction.stage();
  }
  if (next[0] != size[0] || next[1] != size[1]) {
    return Broken("P7", "rank ", rank.rank, ": instructions for ", size[0], " messages and ",
                  size[1], " tiles expected, ", next[0], " and ", next[1], " found");
  }
  return absl::OkStatus();
}

// P8 of one rank. No two instructions share waits, which bounds the work of all that follow them.
absl::Status CheckWaits(const RankView& rank) {
  uint64_t total = 0;
  for (size_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.instructions[i];
    if (!InBounds(instruction.wait_begin(), instruction.wait_end(), rank.waits.size())) {
      return Broken("P8", "rank ", rank.rank, ", instruction ", i, ": waits in [0, ",
                    rank.waits.size(), ") expected, [", instruction.wait_begin(), ", ",
                    instruction.wait_end(), ") found");
    }
    total += instruction.wait_end() - instruction.wait_begin();
    if (total > rank.waits.size()) {
      return Broken("P8", "rank ", rank.rank, ", instruction ", i,
                    ": shares waits with another instruction");
    }
    for (uint32_t w = instruction.wait_begin(); w < instruction.wait_end(); ++w) {
      if (rank.waits[w] >= i) {
        return Broken("P8", "rank ", rank.rank, ", instruction ", i,
                      ": a wait for an earlier instruction expected, for ", rank.waits[w],
                      " found");
      }
    }
  }
  return absl::OkStatus();
}

// Runs all programs on counters, an event at a time: O(instructions + waits + messages).
//
// An instruction starts when the one before it on its stream and those it waits for are done. An
// attend is then done; an exchange is done when the partners of all its messages have started too.
class Simulation {
 public:
  Simulation(const PlanView& view, const Matches& matches) : view_(view), matches_(matches) {
    offset_.push_back(0);
    for (const RankView& rank : view.ranks) {
      offset_.push_back(offset_.back() + rank.instructions.size());
    }
    exchange_of_.resize(view.ranks.size());
    for (const RankView& rank : view.ranks) ReadProgram(rank);
    LinkDependents();
  }

  absl::StatusOr<std::vector<InstructionId>> Run() {
    for (uint32_t i = 0; i < to_start_.size(); ++i) {
      if (to_start_[i] == 0) Start(i);
    }
    while (!done_.empty()) {
      uint32_t instruction = done_.back();
      done_.pop_back();
      for (uint32_t d = first_dependent_[instruction]; d < first_dependent_[instruction + 1]; ++d) {
        if (--to_start_[dependents_[d]] == 0) Start(dependents_[d]);
      }
    }
    RETURN_IF_ERROR(CheckAllDone());
    return std::move(started_);
  }

 private:
  // Notes dependencies, and which exchange each message belongs to. Instructions of all ranks are
  // numbered through.
  void ReadProgram(const RankView& rank) {
    std::vector<uint32_t>& exchange_of = exchange_of_[rank.rank];
    exchange_of.resize(rank.messages.size());
    uint32_t last[] = {kNone, kNone};  // by stream
    for (const fbs::Instruction& instruction : rank.instructions) {
      uint32_t id = rank_of_.size();
      rank_of_.push_back(rank.rank);
      to_start_.push_back(0);
      bool exchange = instruction.opcode() == fbs::Opcode::exchange;
      // One more than its messages: its own start counts as well.
      to_finish_.push_back(1 + (exchange ? instruction.end() - instruction.begin() : 0));
      uint32_t& before = last[static_cast<int>(instruction.stream())];
      if (before != kNone) edges_.push_back({before, id});
      before = id;
      for (uint32_t w = instruction.wait_begin(); w < instruction.wait_end(); ++w) {
        edges_.push_back({offset_[rank.rank] + rank.waits[w], id});
      }
      if (!exchange) continue;
      for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) exchange_of[m] = id;
    }
  }

  // Turns edges into a table of dependents by instruction.
  void LinkDependents() {
    first_dependent_.assign(rank_of_.size() + 1, 0);
    for (const auto& [from, to] : edges_) {
      ++first_dependent_[from + 1];
      ++to_start_[to];
    }
    for (size_t i = 1; i < first_dependent_.size(); ++i) {
      first_dependent_[i] += first_dependent_[i - 1];
    }
    dependents_.resize(edges_.size());
    std::vector<uint32_t> next(first_dependent_.begin(), first_dependent_.end() - 1);
    for (const auto& [from, to] : edges_) dependents_[next[from]++] = to;
  }

  void Start(uint32_t id) {
    const RankView& rank = view_.ranks[rank_of_[id]];
    const fbs::Instruction& instruction = rank.instructions[id - offset_[rank.rank]];
    if (instruction.opcode() == fbs::Opcode::exchange) {
      started_.push_back({rank.rank, id - offset_[rank.rank]});
      for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
        Advance(exchange_of_[rank.messages[m].peer()][matches_[rank.rank][m]]);
      }
    }
    Advance(id);
  }

  void Advance(uint32_t id) {
    if (--to_finish_[id] == 0) done_.push_back(id);
  }

  absl::Status CheckAllDone() const {
    for (uint32_t id = 0; id < to_finish_.size(); ++id) {
      if (to_finish_[id] == 0) continue;
      uint32_t rank = rank_of_[id];
      return Broken("P12", "rank ", rank, ", instruction ", id - offset_[rank],
                    ": never ends, because ranks wait for each other in a circle");
    }
    return absl::OkStatus();
  }

  static constexpr uint32_t kNone = ~uint32_t{0};

  const PlanView& view_;
  const Matches& matches_;
  std::vector<uint32_t> offset_;                    // by rank: its first instruction
  std::vector<std::vector<uint32_t>> exchange_of_;  // by rank and message
  std::vector<uint32_t> rank_of_;                   // by instruction, as all below
  std::vector<uint32_t> to_start_;                  // dependencies that are not done
  std::vector<uint32_t> to_finish_;                 // starts that it still waits for
  std::vector<std::pair<uint32_t, uint32_t>> edges_;
  std::vector<uint32_t> first_dependent_;
  std::vector<uint32_t> dependents_;
  std::vector<uint32_t> done_;          // done, dependents not told yet
  std::vector<InstructionId> started_;  // exchanges
};

// Sets Arrival::group.
void GroupArrivals(const RankView& rank, std::vector<Arrival>* arrivals) {
  constexpr int kCompute = static_cast<int>(fbs::Stream::compute);
  uint32_t group = Arrival::kNever;
  for (uint32_t i = 0; i < rank.instructions.size(); ++i) {
    if (rank.instructions[i].opcode() != fbs::Opcode::exchange) continue;
    bool same = group != Arrival::kNever &&
                rank.instructions[group].stage() == rank.instructions[i].stage() &&
                (*arrivals)[group].first[kCompute] == (*arrivals)[i].first[kCompute];
    if (!same) group = i;
    (*arrivals)[i].group = group;
  }
}

}  // namespace

absl::Status CheckPrograms(const PlanView& view) {
  for (const RankView& rank : view.ranks) {
    RETURN_IF_ERROR(CheckInstructions(rank));
    RETURN_IF_ERROR(CheckWaits(rank));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<InstructionId>> CheckProgress(const PlanView& view,
                                                         const Matches& matches) {
  return Simulation(view, matches).Run();
}

// An instruction may use what those that it waits for bring, and what they themselves may use. So
// may all after it on its stream: an attend starts when the one before it is done, an exchange when
// the one before it has started, which alone does not tell that it is done. Each stream therefore
// learns of an exchange once, and of those that the other stream knows in the order in which that
// one learned of them.
std::vector<Arrival> FindArrivals(const RankView& rank) {
  std::vector<Arrival> arrivals(rank.instructions.size());
  std::vector<uint32_t> known[2];  // by stream: exchanges, in the order of Arrival::first
  size_t copied[2] = {0, 0};       // by stream: how many of those that the other one knows
  auto learn = [&](int stream, uint32_t exchange, uint32_t by) {
    uint32_t& first = arrivals[exchange].first[stream];
    if (first != Arrival::kNever) return;
    first = by;
    known[stream].push_back(exchange);
  };
  for (uint32_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.instructions[i];
    int stream = static_cast<int>(instruction.stream());
    for (uint32_t w = instruction.wait_begin(); w < instruction.wait_end(); ++w) {
      uint32_t wait = rank.waits[w];
      int other = static_cast<int>(rank.instructions[wait].stream());
      if (rank.instructions[wait].opcode() == fbs::Opcode::exchange) learn(stream, wait, i);
      if (other == stream) continue;
      for (; copied[stream] < known[other].size(); ++copied[stream]) {
        uint32_t exchange = known[other][copied[stream]];
        if (arrivals[exchange].first[other] > wait) break;
        learn(stream, exchange, i);
      }
    }
  }
  GroupArrivals(rank, &arrivals);
  return arrivals;
}

}  // namespace flashcp
