// Decides whether the programs of all ranks together run to their end, and from when on what an
// exchange brings may be used.

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

// Runs one round of the programs of one pass on counters, an event at a time: O(instructions +
// waits
// + messages).
//
// One round is enough. In all rounds, what a step waits for belongs to its own round or to one
// before: the steps that it names, the one before it on its stream, and the partners of its
// messages, since each round has as many messages of a pair. So a circle of steps that wait for
// each other never leaves its round, and each round has the circles that this one has.
//
// An instruction starts when the one before it on its stream and those it waits for are done. One
// of the compute stream is then done; one of the communication stream is done when the partners of
// all its messages have started too.
class Simulation {
 public:
  Simulation(const std::vector<ProgramView>& programs, const Meetings& meetings)
      : programs_(programs) {
    offset_.push_back(0);
    for (const ProgramView& program : programs) {
      offset_.push_back(offset_.back() + program.instructions.size());
    }
    for (uint32_t rank = 0; rank < programs.size(); ++rank) ReadProgram(rank, meetings[rank]);
    first_partner_.push_back(partners_.size());
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
  // Notes dependencies and partners. Instructions of all ranks are numbered through.
  void ReadProgram(uint32_t rank, const std::vector<Meeting>& meetings) {
    const ProgramView& program = programs_[rank];
    uint32_t last[] = {kNone, kNone};  // by stream
    size_t next = 0;                   // meeting
    for (uint32_t i = 0; i < program.instructions.size(); ++i) {
      const fbs::Instruction& instruction = program.instructions[i];
      uint32_t id = offset_[rank] + i;
      rank_of_.push_back(rank);
      to_start_.push_back(0);
      uint32_t& before = last[static_cast<int>(instruction.stream())];
      if (before != kNone) edges_.push_back({before, id});
      before = id;
      for (const fbs::Wait& wait : program.WaitsOf(instruction)) {
        if (wait.rounds() == 0) edges_.push_back({offset_[rank] + wait.instruction(), id});
      }
      first_partner_.push_back(partners_.size());
      for (; next < meetings.size() && meetings[next].instruction == i; ++next) {
        partners_.push_back(offset_[meetings[next].partner.rank] + meetings[next].partner.index);
      }
      // One more than its messages: its own start counts as well.
      to_finish_.push_back(1 + partners_.size() - first_partner_.back());
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
    InstructionId mine = {rank_of_[id], id - offset_[rank_of_[id]]};
    bool communication =
        programs_[mine.rank].instructions[mine.index].stream() == fbs::Stream::communication;
    if (communication) started_.push_back(mine);
    for (uint32_t p = first_partner_[id]; p < first_partner_[id + 1]; ++p) Advance(partners_[p]);
    Advance(id);
  }

  void Advance(uint32_t id) {
    if (--to_finish_[id] == 0) done_.push_back(id);
  }

  absl::Status CheckAllDone() const {
    for (uint32_t id = 0; id < to_finish_.size(); ++id) {
      if (to_finish_[id] == 0) continue;
      uint32_t rank = rank_of_[id];
      return Broken("P12", "rank ", rank, ", ", programs_[rank].noun, " ", id - offset_[rank],
                    ": never ends, because ranks wait for each other in a circle");
    }
    return absl::OkStatus();
  }

  static constexpr uint32_t kNone = ~uint32_t{0};

  const std::vector<ProgramView>& programs_;
  std::vector<uint32_t> offset_;         // by rank: its first instruction
  std::vector<uint32_t> rank_of_;        // by instruction, as all below
  std::vector<uint32_t> to_start_;       // dependencies that are not done
  std::vector<uint32_t> to_finish_;      // starts that it still waits for
  std::vector<uint32_t> first_partner_;  // in partners_: one for each of its messages
  std::vector<uint32_t> partners_;
  std::vector<std::pair<uint32_t, uint32_t>> edges_;
  std::vector<uint32_t> first_dependent_;
  std::vector<uint32_t> dependents_;
  std::vector<uint32_t> done_;          // done, dependents not told yet
  std::vector<InstructionId> started_;  // of the communication stream
};

// Sets Arrival::group in the first round.
void GroupArrivals(const ProgramView& program, std::vector<Arrival>* arrivals) {
  constexpr int kCompute = static_cast<int>(fbs::Stream::compute);
  uint32_t group = Arrival::kNever;
  for (uint32_t i = 0; i < program.instructions.size(); ++i) {
    if (program.instructions[i].stream() != fbs::Stream::communication) continue;
    bool same = group != Arrival::kNever &&
                program.instructions[group].stage() == program.instructions[i].stage() &&
                (*arrivals)[group].first[kCompute] == (*arrivals)[i].first[kCompute];
    if (!same) group = i;
    (*arrivals)[i].group = group;
  }
}

}  // namespace

std::vector<uint32_t> ExchangesOf(const RankView& rank) {
  std::vector<uint32_t> exchanges(rank.messages.size());
  for (uint32_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.instructions[i];
    if (instruction.opcode() != fbs::Opcode::exchange) continue;
    std::fill(exchanges.begin() + instruction.begin(), exchanges.begin() + instruction.end(), i);
  }
  return exchanges;
}

Meetings ForwardMeetings(const PlanView& view, const Matches& matches) {
  std::vector<std::vector<uint32_t>> exchanges;
  for (const RankView& rank : view.ranks) exchanges.push_back(ExchangesOf(rank));
  Meetings meetings(view.ranks.size());
  for (const RankView& rank : view.ranks) {
    for (uint32_t m = 0; m < rank.messages.size(); ++m) {
      uint32_t peer = rank.messages[m].peer();
      meetings[rank.rank].push_back(
          {exchanges[rank.rank][m], {peer, exchanges[peer][matches[rank.rank][m]]}});
    }
  }
  return meetings;
}

absl::StatusOr<std::vector<InstructionId>> CheckProgress(const std::vector<ProgramView>& programs,
                                                         const Meetings& meetings) {
  return Simulation(programs, meetings).Run();
}

// A step may use what those that it waits for leave behind, and what they themselves may use. So
// may all after it on its stream: a step of the compute stream starts when the one before it is
// done, one of the communication stream when the one before it has started, which alone does not
// tell that it is done. Each stream therefore learns of an exchange once, and of those that the
// other stream knows in the order in which that one learned of them; the communication stream
// learns of computing steps in their order.
std::vector<Arrival> FindArrivals(const ProgramView& program, uint32_t rounds) {
  constexpr int kCompute = static_cast<int>(fbs::Stream::compute);
  constexpr int kCommunication = static_cast<int>(fbs::Stream::communication);
  const uint32_t size = program.instructions.size();
  std::vector<Arrival> arrivals(size_t{size} * rounds);
  std::vector<uint32_t> known[2];  // by stream: exchanges, in the order of Arrival::first
  size_t copied[2] = {0, 0};       // by stream: how many of those that the other one knows
  std::vector<uint32_t> computed;  // steps of the compute stream
  size_t told = 0;                 // how many of them the communication stream knows done
  auto learn = [&](int stream, uint32_t exchange, uint32_t by) {
    uint32_t& first = arrivals[exchange].first[stream];
    if (first != Arrival::kNever) return;
    first = by;
    known[stream].push_back(exchange);
  };
  for (uint32_t step = 0; step < arrivals.size(); ++step) {
    const fbs::Instruction& instruction = program.instructions[step % size];
    const int stream = static_cast<int>(instruction.stream());
    for (const fbs::Wait& entry : program.WaitsOf(instruction)) {
      if (entry.rounds() > step / size) continue;
      const uint32_t wait = (step / size - entry.rounds()) * size + entry.instruction();
      const int other = static_cast<int>(program.instructions[entry.instruction()].stream());
      if (other == kCommunication) learn(stream, wait, step);
      if (other == stream) continue;
      for (; copied[stream] < known[other].size(); ++copied[stream]) {
        uint32_t exchange = known[other][copied[stream]];
        if (arrivals[exchange].first[other] > wait) break;
        learn(stream, exchange, step);
      }
      if (other != kCompute) continue;
      for (; told < computed.size() && computed[told] <= wait; ++told) {
        arrivals[computed[told]].first[kCommunication] = step;
      }
    }
    if (stream != kCompute) continue;
    if (!computed.empty()) arrivals[computed.back()].first[kCompute] = step;
    computed.push_back(step);
  }
  GroupArrivals(program, &arrivals);
  return arrivals;
}

}  // namespace flashcp::verifier
