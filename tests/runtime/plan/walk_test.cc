// Executors that do one thing at a time walk each list from its first entry to its last and block
// in every exchange: docs/plan.md promises them that they never wait for each other in a circle.

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/verify.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

// A message as both sides know it: from, to, tag.
using Key = std::tuple<uint32_t, uint32_t, uint32_t>;
// What a rank posts together; nothing for instructions that are no exchanges.
using Step = std::vector<Key>;
using List = std::vector<Step>;

// Reads the messages of one rank, by the words of docs/plan.md.
class Messages {
 public:
  Messages(const fbs::Program& program, uint32_t rank) : program_(program), rank_(rank) {
    for (const fbs::Message& message : Items(program.messages())) {
      ++of_pair_[{message.direction(), message.peer()}];
    }
  }

  Step Post(const fbs::Instruction& instruction, uint32_t round) const {
    Step step;
    const bool gradients = instruction.opcode() == fbs::Opcode::exchange_gradients;
    const bool again = instruction.opcode() == fbs::Opcode::resend;
    if (!gradients && !again && instruction.opcode() != fbs::Opcode::exchange) return step;
    for (uint32_t m = instruction.begin(); m < instruction.end(); ++m) {
      const fbs::Message& message = *program_.messages()->Get(m);
      if (again && IsSaved(message)) continue;
      const uint32_t tag =
          message.tag() + round * of_pair_.at({message.direction(), message.peer()});
      const bool sends = (message.direction() == fbs::Direction::send) != gradients;
      step.push_back({sends ? rank_ : message.peer(), sends ? message.peer() : rank_,
                      gradients ? tag | kGradientTag : tag});
    }
    return step;
  }

 private:
  bool IsSaved(const fbs::Message& message) const {
    for (uint32_t p = message.part_begin(); p < message.part_end(); ++p) {
      if (!program_.parts()->Get(p)->saved()) return false;
    }
    return true;
  }

  const fbs::Program& program_;
  const uint32_t rank_;
  std::map<std::pair<fbs::Direction, uint32_t>, uint32_t> of_pair_;
};

std::vector<List> ListsOf(const Plan& plan, bool backward) {
  std::vector<List> lists(plan.num_ranks());
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    const fbs::RankPlan& mine = *plan->ranks()->Get(rank);
    const Messages messages(*mine.forward(), rank);
    const auto instructions =
        Items(backward ? mine.backward()->instructions() : mine.forward()->instructions());
    for (uint32_t round = 0; round < plan->head_groups(); ++round) {
      for (const fbs::Instruction& instruction : instructions) {
        lists[rank].push_back(messages.Post(instruction, round));
      }
    }
  }
  return lists;
}

// Returns whether all ranks come to the end of their lists. A rank leaves an exchange when the
// partners of all its messages have come to theirs.
bool WalkEnds(const std::vector<List>& lists) {
  std::vector<size_t> position(lists.size());
  std::set<std::pair<Key, size_t>> posted;  // with the rank that did
  for (bool moved = true; moved;) {
    moved = false;
    for (size_t rank = 0; rank < lists.size(); ++rank) {
      for (; position[rank] < lists[rank].size(); ++position[rank], moved = true) {
        bool met = true;
        for (const Key& key : lists[rank][position[rank]]) {
          moved |= posted.insert({key, rank}).second;
          const size_t partner = std::get<0>(key) + std::get<1>(key) - rank;
          met &= posted.count({key, partner}) > 0;
        }
        if (!met) break;
      }
    }
  }
  for (size_t rank = 0; rank < lists.size(); ++rank) {
    if (position[rank] < lists[rank].size()) return false;
  }
  return true;
}

testing::ToyProblem MakeProblem(int ranks, int node, int stages, int groups, bool saved) {
  testing::ToyProblem problem;
  problem.ranks = ranks;
  problem.ranks_per_node = node;
  problem.remote_stages = stages;
  problem.head_groups = groups;
  problem.reuse = stages > 1;
  for (uint32_t length : {23, 9, 40}) {
    problem.documents.push_back({length, testing::DealZigzag(length, 2 * ranks, ranks)});
  }
  problem.documents[0].saved = saved;
  return problem;
}

TEST(WalkTest, ListsMayBeWalkedInOrder) {
  for (auto [ranks, node] : {std::pair(2, 1), std::pair(3, 1), std::pair(4, 2), std::pair(5, 3)}) {
    for (int stages : {1, 3}) {
      for (int groups : {1, 2}) {
        for (bool saved : {false, true}) {
          const Plan plan = testing::MakeToyPlan(MakeProblem(ranks, node, stages, groups, saved));
          const std::string name = absl::StrCat(ranks, " ranks, ", node, " a node, ", stages,
                                                " stages, ", groups, " groups");
          ASSERT_EQ(VerifyPlan(plan), absl::OkStatus()) << name;
          EXPECT_TRUE(WalkEnds(ListsOf(plan, /*backward=*/false))) << name;
          EXPECT_TRUE(WalkEnds(ListsOf(plan, /*backward=*/true))) << name;
        }
      }
    }
  }
}

// Ranks that exchange in different orders do wait in a circle.
TEST(WalkTest, OtherOrdersMayNot) {
  std::vector<List> lists =
      ListsOf(testing::MakeToyPlan(MakeProblem(3, 1, 3, 1, false)), /*backward=*/false);
  std::vector<size_t> exchanges;
  for (size_t i = 0; i < lists[0].size(); ++i) {
    if (!lists[0][i].empty()) exchanges.push_back(i);
  }
  ASSERT_GE(exchanges.size(), 2);
  std::swap(lists[0][exchanges[0]], lists[0][exchanges[1]]);
  EXPECT_FALSE(WalkEnds(lists));
}

}  // namespace
}  // namespace flashcp
