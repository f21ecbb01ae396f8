// Buffers that share bytes: correct plans pass, each wait that keeps them apart is needed, and the
// verifier agrees with all pairs of steps.

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/mask.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/verify.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

using testing::MakeToyPlan;
using testing::MakeToyPlanT;
using testing::SealPlanT;
using testing::ToyProblem;

// Documents that have rows in each of many stages.
ToyProblem StagedProblem(int ranks, int stages) {
  ToyProblem problem;
  problem.ranks = ranks;
  problem.query_heads = 8;
  problem.key_value_heads = 4;
  problem.remote_stages = stages;
  problem.reuse = true;
  for (uint32_t length : {23, 17, 9, 40, 7}) {
    problem.documents.push_back(
        {length, testing::DealZigzag(length, 2 * ranks, ranks), model::Mask::Causal()});
  }
  return problem;
}

std::string NameOf(const ToyProblem& problem) {
  return absl::StrCat(problem.ranks, " ranks, ", problem.ranks_per_node, " a node, ",
                      problem.remote_stages, " stages, ", problem.head_groups, " groups, ",
                      problem.places, " places, ", problem.reuse ? "reuse" : "no reuse",
                      problem.documents[0].saved ? ", saved" : "", ", ",
                      fbs::EnumNameExchange(problem.exchange));
}

std::vector<ToyProblem> AllProblems() {
  std::vector<ToyProblem> problems;
  for (auto [ranks, node] : {std::pair(1, 1), std::pair(3, 1), std::pair(4, 2), std::pair(5, 3)}) {
    for (int stages : {1, 2, 5}) {
      for (auto [groups, places] :
           {std::pair(1, 1), std::pair(2, 1), std::pair(2, 2), std::pair(4, 1), std::pair(4, 3)}) {
        for (bool reuse : {false, true}) {
          for (bool saved : {false, true}) {
            for (fbs::Exchange exchange : fbs::EnumValuesExchange()) {
              ToyProblem problem = StagedProblem(ranks, stages);
              problem.ranks_per_node = node;
              problem.head_groups = groups;
              problem.places = places;
              problem.reuse = reuse;
              problem.documents[0].saved = saved;
              problem.exchange = exchange;
              problems.push_back(problem);
            }
          }
        }
      }
    }
  }
  return problems;
}

TEST(VerifyReuseTest, AllPass) {
  for (const ToyProblem& problem : AllProblems()) {
    EXPECT_EQ(VerifyPlan(MakeToyPlan(problem)), absl::OkStatus()) << NameOf(problem);
  }
}

// A step of a program in one of its rounds, by number: what is done before it starts.
constexpr size_t kMaxSteps = 512;
using Steps = std::bitset<kMaxSteps>;
using Reach = std::vector<Steps>;

// By step, of all rounds: the steps that are done before it starts, as waits and streams say it.
Reach FindReach(const std::vector<fbs::Instruction>& instructions,
                const std::vector<fbs::Wait>& waits, uint32_t rounds) {
  const uint32_t size = instructions.size();
  Reach reach(size * rounds);
  EXPECT_LE(reach.size(), kMaxSteps);
  uint32_t last[2] = {~uint32_t{0}, ~uint32_t{0}};
  for (uint32_t step = 0; step < reach.size(); ++step) {
    const fbs::Instruction& instruction = instructions[step % size];
    uint32_t& before = last[static_cast<int>(instruction.stream())];
    if (before != ~uint32_t{0}) {
      reach[step] |= reach[before];
      if (instruction.stream() == fbs::Stream::compute) reach[step][before] = true;
    }
    before = step;
    for (uint32_t w = instruction.wait_begin(); w < instruction.wait_end(); ++w) {
      if (waits[w].rounds() > step / size) continue;
      const uint32_t wait = step - step % size - waits[w].rounds() * size + waits[w].instruction();
      reach[step] |= reach[wait];
      reach[step][wait] = true;
    }
  }
  return reach;
}

// Drops each wait of a program in turn: the verifier refuses the plan, or all that was done before
// a step starts still is. Counts both.
void DropEachWait(fbs::PlanT* plan, std::vector<fbs::Instruction>* instructions,
                  std::vector<fbs::Wait>* waits, int* refused, int* implied) {
  const Reach reach = FindReach(*instructions, *waits, plan->head_groups);
  const std::vector<fbs::Instruction> all = *instructions;
  const std::vector<fbs::Wait> all_waits = *waits;
  for (size_t i = 0; i < all.size(); ++i) {
    for (uint32_t w = all[i].wait_begin(); w < all[i].wait_end(); ++w) {
      std::swap((*waits)[w], (*waits)[all[i].wait_end() - 1]);
      (*instructions)[i].mutate_wait_end(all[i].wait_end() - 1);
      const bool same = FindReach(*instructions, *waits, plan->head_groups) == reach;
      const absl::Status status = VerifyPlan(SealPlanT(*plan));
      EXPECT_EQ(status.ok(), same)
          << "instruction " << i << " (" << fbs::EnumNameOpcode(all[i].opcode()) << " of stage "
          << all[i].stage() << ") without its wait for " << all_waits[w].instruction() << " ("
          << fbs::EnumNameOpcode(all[all_waits[w].instruction()].opcode()) << "), "
          << all_waits[w].rounds() << " rounds before: " << status;
      ++*(same ? implied : refused);
      *waits = all_waits;
      *instructions = all;
    }
  }
}

TEST(VerifyReuseTest, EachWaitIsNeededOrImplied) {
  int refused = 0, implied = 0, across = 0;
  for (ToyProblem& problem : AllProblems()) {
    if (problem.exchange != fbs::Exchange::needed || problem.ranks == 5) continue;
    if (problem.remote_stages == 2) continue;
    fbs::PlanT plan = MakeToyPlanT(problem);
    for (auto& rank : plan.ranks) {
      SCOPED_TRACE(NameOf(problem));
      for (const fbs::Wait& wait : rank->forward->waits) across += wait.rounds() > 0;
      for (const fbs::Wait& wait : rank->backward->waits) across += wait.rounds() > 0;
      DropEachWait(&plan, &rank->forward->instructions, &rank->forward->waits, &refused, &implied);
      DropEachWait(&plan, &rank->backward->instructions, &rank->backward->waits, &refused,
                   &implied);
      if (::testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(implied, 100);
  EXPECT_GT(across, 100);
}

using Kind = fbs::BufferKind;

// By buffer: the instructions of one program of a rank that use it, as docs/plan.md says.
class Users {
 public:
  Users(const fbs::RankPlanT& rank, bool backward)
      : rank_(rank), forward_(*rank.forward), users_(rank.buffers.size()) {
    Pair({Kind::key}, Kind::key_sum, &sum_);
    Pair({Kind::value}, Kind::value_sum, &sum_);
    Pair({Kind::remote_key, Kind::saved_key}, Kind::remote_key_sum, &sum_);
    Pair({Kind::remote_value, Kind::saved_value}, Kind::remote_value_sum, &sum_);
    for (uint32_t i = 0; i < rank.buffers.size(); ++i) gradient_[i] = i;
    Pair({Kind::saved_key}, Kind::outgoing_key, &gradient_);
    Pair({Kind::saved_value}, Kind::outgoing_value, &gradient_);
    const auto& instructions = backward ? rank.backward->instructions : rank.forward->instructions;
    for (now_ = 0; now_ < instructions.size(); ++now_) Note(instructions[now_]);
  }

  const std::set<uint32_t>& Of(uint32_t buffer) const { return users_[buffer]; }

 private:
  using Map = std::map<uint32_t, uint32_t>;
  using Parts = std::vector<uint32_t>;  // their buffers

  std::vector<uint32_t> Find(const std::set<Kind>& kinds) const {
    std::vector<uint32_t> found;
    for (uint32_t i = 0; i < rank_.buffers.size(); ++i) {
      if (kinds.count(rank_.buffers[i].kind()) > 0) found.push_back(i);
    }
    return found;
  }

  void Pair(const std::set<Kind>& kinds, Kind other, Map* map) const {
    for (size_t i = 0; i < Find(kinds).size(); ++i) (*map)[Find(kinds)[i]] = Find({other})[i];
  }

  Parts PartsOf(const fbs::Instruction& instruction, fbs::Direction direction) const {
    Parts parts;
    for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
      const fbs::Message& message = forward_.messages[m];
      if (message.direction() != direction) continue;
      for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
        parts.push_back(forward_.parts[p].buffer());
      }
    }
    return parts;
  }

  void Use(const Parts& buffers) {
    for (uint32_t buffer : buffers) users_[buffer].insert(now_);
  }
  void Use(const Map& map, const Parts& buffers) {
    for (uint32_t buffer : buffers) users_[map.at(buffer)].insert(now_);
  }

  void UseIncoming(const fbs::Instruction& instruction) {
    size_t number = 0;
    for (const fbs::Instruction& exchange : forward_.instructions) {
      if (exchange.opcode() != fbs::Opcode::exchange) continue;
      if (PartsOf(exchange, fbs::Direction::send).empty()) continue;
      if (exchange.begin() == instruction.begin()) Use({Find({Kind::incoming})[number]});
      ++number;
    }
  }

  void Note(const fbs::Instruction& i) {
    const bool tiles =
        i.opcode() == fbs::Opcode::attend || i.opcode() == fbs::Opcode::attend_backward;
    if (tiles) return UseTiles(i);
    const Parts sent = PartsOf(i, fbs::Direction::send);
    const Parts received = PartsOf(i, fbs::Direction::receive);
    switch (i.opcode()) {
      case fbs::Opcode::exchange:
      case fbs::Opcode::resend:
        Use(sent);
        return Use(received);
      case fbs::Opcode::clear_gradients:
        if (i.stage() == 0) {
          Use(Find({Kind::delta, Kind::query_sum, Kind::key_sum, Kind::value_sum}));
        }
        return Use(sum_, received);
      case fbs::Opcode::pack_gradients:
        Use(sum_, received);
        return Use(gradient_, received);
      case fbs::Opcode::exchange_gradients:
        UseIncoming(i);
        return Use(gradient_, received);
      case fbs::Opcode::add_gradients:
        UseIncoming(i);
        return Use(sum_, sent);
      case fbs::Opcode::store_gradients:
        return Use(Find({Kind::query_sum, Kind::key_sum, Kind::value_sum}));
      default:
        break;
    }
  }

  void UseTiles(const fbs::Instruction& i) {
    for (uint32_t t = i.begin(); t < i.end(); ++t) {
      const fbs::Tile& tile = forward_.tiles[t];
      const Parts keys = {tile.key_buffer(), tile.value_buffer()};
      Use(keys);
      if (i.opcode() == fbs::Opcode::attend_backward) {
        Use(sum_, keys);
        Use(Find({Kind::delta, Kind::query_sum}));
      } else if (!tile.first() || !tile.last()) {
        Use({tile.accumulator_buffer()});
      }
    }
  }

  const fbs::RankPlanT& rank_;
  const fbs::ProgramT& forward_;
  std::vector<std::set<uint32_t>> users_;
  Map sum_, gradient_;
  uint32_t now_ = 0;
};

// Whether a workspace of a rank holds nothing that is overwritten while it is used: takes all pairs
// of buffers, rounds and steps.
bool IsReusedInTurn(const fbs::PlanT& plan, const fbs::RankPlanT& rank, bool backward) {
  const auto& instructions = backward ? rank.backward->instructions : rank.forward->instructions;
  const Users users(rank, backward);
  const Reach reach = FindReach(instructions, backward ? rank.backward->waits : rank.forward->waits,
                                plan.head_groups);
  const auto begin = [&](uint32_t b, uint32_t round) {
    const fbs::Buffer& buffer = rank.buffers[b];
    const uint64_t bytes =
        buffer.rows() * buffer.heads() * buffer.dim() * DTypeBytes(buffer.dtype());
    const uint64_t stride = (bytes + 63) / 64 * 64;
    return std::pair(buffer.offset() + round % buffer.places() * stride, bytes);
  };
  const auto precedes = [&](uint32_t a, uint32_t round_a, uint32_t b, uint32_t round_b) {
    for (uint32_t i : users.Of(a)) {
      for (uint32_t j : users.Of(b)) {
        if (!reach[round_b * instructions.size() + j][round_a * instructions.size() + i]) {
          return false;
        }
      }
    }
    return true;
  };
  const auto lies = [&](Kind kind) {
    if (kind == Kind::remote_key || kind == Kind::remote_value) return true;
    return backward ? kind >= Kind::delta : kind == Kind::accumulator;
  };
  for (uint32_t a = 0; a < rank.buffers.size(); ++a) {
    for (uint32_t b = 0; b <= a; ++b) {
      if (!lies(rank.buffers[a].kind()) || !lies(rank.buffers[b].kind())) continue;
      for (uint32_t i = 0; i < plan.head_groups * plan.head_groups; ++i) {
        const uint32_t round_a = i / plan.head_groups, round_b = i % plan.head_groups;
        if (a == b && round_a >= round_b) continue;
        const auto [begin_a, bytes_a] = begin(a, round_a);
        const auto [begin_b, bytes_b] = begin(b, round_b);
        if (begin_a + bytes_a <= begin_b || begin_b + bytes_b <= begin_a) continue;
        if (!precedes(a, round_a, b, round_b) && !precedes(b, round_b, a, round_a)) return false;
      }
    }
  }
  return true;
}

// Lets the workspaces of a rank end with their buffers.
void FitWorkspaces(fbs::RankPlanT* rank) {
  rank->workspace_bytes = rank->backward_workspace_bytes = 0;
  for (const fbs::Buffer& buffer : rank->buffers) {
    const Kind kind = buffer.kind();
    if (kind < Kind::remote_key || kind == Kind::saved_key || kind == Kind::saved_value) continue;
    const uint64_t bytes =
        buffer.rows() * buffer.heads() * buffer.dim() * DTypeBytes(buffer.dtype());
    const uint64_t end = buffer.offset() + (buffer.places() - 1) * ((bytes + 63) / 64 * 64) + bytes;
    const bool remote = kind == Kind::remote_key || kind == Kind::remote_value;
    if (remote || kind == Kind::accumulator) {
      rank->workspace_bytes = std::max(rank->workspace_bytes, end);
    }
    if (remote || kind >= Kind::delta) {
      rank->backward_workspace_bytes = std::max(rank->backward_workspace_bytes, end);
    }
  }
}

// Moves buffers, and gives them places, by chance: the verifier agrees with all pairs.
TEST(VerifyReuseTest, MovedBuffersAreToldApart) {
  std::mt19937 random(5);
  int good = 0, bad = 0;
  for (int trial = 0; trial < 600; ++trial) {
    ToyProblem problem = StagedProblem(3 + trial % 2, 4);
    problem.ranks_per_node = 1 + trial % 2;
    problem.head_groups = 1 << random() % 3;
    problem.places = 1 + random() % 3;
    problem.reuse = random() % 2;
    problem.documents[3].saved = random() % 2;
    fbs::PlanT plan = MakeToyPlanT(problem);
    fbs::RankPlanT& rank = *plan.ranks[random() % problem.ranks];
    for (int change = 0; change < 2; ++change) {
      fbs::Buffer& buffer = rank.buffers[9 + random() % (rank.buffers.size() - 9)];
      if (buffer.kind() == Kind::saved_key || buffer.kind() == Kind::saved_value) continue;
      if (random() % 3 == 0) buffer.mutate_places(1 + random() % 4);
      if (random() % 2 == 0) {
        const uint64_t near = rank.buffers[9 + random() % (rank.buffers.size() - 9)].offset();
        buffer.mutate_offset(near + random() % 3 * 64);
      }
    }
    FitWorkspaces(&rank);
    const bool expected =
        IsReusedInTurn(plan, rank, /*backward=*/false) && IsReusedInTurn(plan, rank, true);
    const absl::Status status = VerifyPlan(SealPlanT(plan));
    ASSERT_EQ(status.ok(), expected) << NameOf(problem) << ": " << status;
    ++(expected ? good : bad);
  }
  EXPECT_GT(good, 100);
  EXPECT_GT(bad, 100);
}

}  // namespace
}  // namespace flashcp
