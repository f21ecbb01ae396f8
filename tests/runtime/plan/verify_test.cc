// Correct plans pass, heads are told apart, and nothing that a file may hold makes the verifier
// crash.

#include "runtime/plan/verify.h"

#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/statistics.h"
#include "tests/testing/toy_backward.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

using testing::MakeToyPlan;
using testing::MakeToyPlanT;
using testing::SealPlanT;
using testing::SmallToyProblem;
using testing::ToyProblem;

// Documents of several lengths, dealt zigzag.
ToyProblem MixedProblem(int ranks, const model::Mask& mask) {
  ToyProblem problem;
  problem.ranks = ranks;
  for (uint32_t length : {23, 1, 0, 40, 7}) {
    problem.documents.push_back({length, testing::DealZigzag(length, 2 * ranks, ranks), mask});
  }
  return problem;
}

TEST(VerifyTest, ToyPlansPass) {
  for (int ranks : {1, 2, 3, 4}) {
    for (const model::Mask& mask :
         {model::Mask::Causal(), model::Mask::Full(), model::Mask::Window(5), model::Mask({-4, 3}),
          model::Mask({-2, model::Band::kNoUpper}), model::Mask({model::Band::kNoLower, 6})}) {
      for (fbs::Exchange exchange : fbs::EnumValuesExchange()) {
        for (int stages : {1, 2}) {
          ToyProblem problem = MixedProblem(ranks, mask);
          problem.exchange = exchange;
          problem.remote_stages = stages;
          EXPECT_EQ(VerifyPlan(MakeToyPlan(problem)), absl::OkStatus())
              << ranks << " ranks, " << model::MaskText(mask) << ", "
              << fbs::EnumNameExchange(exchange) << ", " << stages << " stages";
        }
      }
    }
  }
}

TEST(VerifyTest, RelayedPlansPass) {
  for (auto [ranks, node] : {std::pair(4, 2), std::pair(6, 3), std::pair(5, 3)}) {
    for (fbs::Exchange exchange : fbs::EnumValuesExchange()) {
      for (int stages : {1, 2}) {
        ToyProblem problem = MixedProblem(ranks, model::Mask::Causal());
        problem.exchange = exchange;
        problem.remote_stages = stages;
        problem.ranks_per_node = node;
        EXPECT_EQ(VerifyPlan(MakeToyPlan(problem)), absl::OkStatus())
            << ranks << " ranks, " << node << " a node, " << fbs::EnumNameExchange(exchange) << ", "
            << stages << " stages";
      }
    }
  }
}

// Documents of random bands pass; a tile with a random band passes if and only if it shows, pair by
// pair, what its document's band shows.
TEST(VerifyTest, BandsOfTilesAreThoseOfTheirDocuments) {
  std::mt19937 random(3);
  auto limit = [&](int32_t none) { return random() % 4 == 0 ? none : int32_t(random() % 12); };
  int same = 0;
  for (int i = 0; i < 300; ++i) {
    const int32_t lower = -limit(model::Band::kNoUpper), upper = limit(model::Band::kNoUpper);
    fbs::PlanT plan = MakeToyPlanT(MixedProblem(2, model::Mask({lower, upper})));
    ASSERT_EQ(VerifyPlan(SealPlanT(plan)), absl::OkStatus()) << lower << " to " << upper;
    std::vector<fbs::Tile>& tiles = plan.ranks[random() % 2]->forward->tiles;
    fbs::Tile& tile = tiles[random() % tiles.size()];
    const fbs::Band other(random() % 2 == 0 ? lower : -limit(model::Band::kNoUpper),
                          random() % 2 == 0 ? upper : limit(model::Band::kNoUpper));
    bool agrees = true;
    for (int64_t q = tile.query_position(); q < tile.query_position() + tile.query_count(); ++q) {
      for (int64_t k = tile.key_position(); k < tile.key_position() + tile.key_count(); ++k) {
        agrees &= (lower <= k - q && k - q <= upper) ==
                  (other.lower() <= k - q && k - q <= other.upper());
      }
    }
    tile.mutable_band() = other;
    EXPECT_EQ(VerifyPlan(SealPlanT(plan)).ok(), agrees)
        << lower << " to " << upper << ", " << other.lower() << " to " << other.upper();
    same += agrees;
  }
  EXPECT_GT(same, 50);
  EXPECT_LT(same, 280);
}

TEST(VerifyTest, RanksWithoutTokensPass) {
  ToyProblem problem;
  problem.ranks = 3;
  EXPECT_EQ(VerifyPlan(MakeToyPlan(problem)), absl::OkStatus());
  problem.documents = {{2, {{0, 1, 0}, {1, 2, 1}}}};
  EXPECT_EQ(VerifyPlan(MakeToyPlan(problem)), absl::OkStatus());
}

// Rows of every second document, or of all of them, are saved for backward.
TEST(VerifyTest, SavedRowsPass) {
  for (auto [ranks, node] : {std::pair(2, 1), std::pair(4, 2), std::pair(5, 3)}) {
    for (int stages : {1, 2}) {
      for (int step : {1, 2}) {
        ToyProblem problem = MixedProblem(ranks, model::Mask::Causal());
        problem.ranks_per_node = node;
        problem.remote_stages = stages;
        for (size_t d = 0; d < problem.documents.size(); d += step) {
          problem.documents[d].saved = true;
        }
        EXPECT_EQ(VerifyPlan(MakeToyPlan(problem)), absl::OkStatus())
            << ranks << " ranks, " << node << " a node, " << stages << " stages, every " << step;
      }
    }
  }
}

fbs::Instruction MakeInstruction(uint32_t begin, uint32_t end, uint32_t wait_begin,
                                 uint32_t wait_end, fbs::Opcode opcode, uint32_t stage = 0) {
  bool communication = opcode == fbs::Opcode::exchange || opcode == fbs::Opcode::resend ||
                       opcode == fbs::Opcode::exchange_gradients;
  return fbs::Instruction(begin, end, wait_begin, wait_end, stage, opcode,
                          communication ? fbs::Stream::communication : fbs::Stream::compute);
}

// Tiles in another order than forward; K and V that are saved come again, in an exchange without
// messages; a stage without messages is cleared; what one instruction waits for, those after it on
// its stream need not.
TEST(VerifyTest, BackwardMayTakeItsOwnOrder) {
  using Opcode = fbs::Opcode;
  ToyProblem problem = SmallToyProblem();
  for (testing::ToyDocument& document : problem.documents) document.saved = true;
  fbs::PlanT plan = MakeToyPlanT(problem);
  for (auto& rank : plan.ranks) {
    const uint32_t local = rank->forward->instructions[0].end();
    const uint32_t tiles = rank->forward->tiles.size();
    rank->backward->waits = {{6, 0}, {3, 0}};
    rank->backward->instructions = {MakeInstruction(0, 0, 0, 0, Opcode::clear_gradients),
                                    MakeInstruction(0, 2, 0, 0, Opcode::clear_gradients, 1),
                                    MakeInstruction(local, tiles, 0, 0, Opcode::attend_backward),
                                    MakeInstruction(0, 2, 0, 0, Opcode::pack_gradients),
                                    MakeInstruction(0, local, 0, 0, Opcode::attend_backward),
                                    MakeInstruction(0, 2, 1, 2, Opcode::resend),
                                    MakeInstruction(0, 2, 0, 0, Opcode::exchange_gradients),
                                    MakeInstruction(0, 0, 0, 0, Opcode::pack_gradients),
                                    MakeInstruction(0, 2, 0, 1, Opcode::add_gradients),
                                    MakeInstruction(0, 0, 0, 0, Opcode::clear_gradients, 2),
                                    MakeInstruction(0, 0, 0, 0, Opcode::store_gradients)};
  }
  EXPECT_EQ(VerifyPlan(SealPlanT(plan)), absl::OkStatus());
}

// Cuts every tile and the K part of every message by heads.
fbs::PlanT PlanByHeads() {
  fbs::PlanT plan = MakeToyPlanT(SmallToyProblem());
  for (auto& rank : plan.ranks) {
    fbs::ProgramT& program = *rank->forward;
    std::vector<fbs::Tile> tiles;
    for (const fbs::Tile& tile : program.tiles) {
      for (auto [begin, end] : {std::pair(0, 1), std::pair(1, 2), std::pair(2, 4)}) {
        tiles.push_back(tile);
        tiles.back().mutate_head_begin(begin);
        tiles.back().mutate_head_end(end);
      }
    }
    program.tiles = tiles;
    for (fbs::Instruction& instruction : program.instructions) {
      if (instruction.opcode() != fbs::Opcode::attend) continue;
      instruction.mutate_begin(3 * instruction.begin());
      instruction.mutate_end(3 * instruction.end());
    }
    std::vector<fbs::Part> parts;
    for (const fbs::Part& part : program.parts) {
      parts.push_back(part);
      if (part.buffer() % 2 == 0) continue;
      parts.back().mutate_head_end(1);
      parts.push_back(part);
      parts.back().mutate_head_begin(1);
    }
    program.parts = parts;
    for (fbs::Message& message : program.messages) {
      message.mutate_part_begin(message.part_begin() / 2 * 3);
      message.mutate_part_end(message.part_end() / 2 * 3);
    }
    rank->backward = testing::MakeToyBackward(*rank);
  }
  return plan;
}

TEST(VerifyTest, HeadRangesAreToldApart) {
  EXPECT_EQ(VerifyPlan(SealPlanT(PlanByHeads())), absl::OkStatus());
  // Each head group has its own chain, pairs and rows.
  fbs::PlanT plan = PlanByHeads();
  plan.ranks[0]->forward->tiles[4].mutate_head_begin(0);
  plan.ranks[0]->forward->tiles[4].mutate_head_end(1);
  EXPECT_THAT(std::string(VerifyPlan(SealPlanT(plan)).message()), ::testing::StartsWith("P20"));
  plan = PlanByHeads();
  for (int rank : {0, 1}) {
    for (fbs::Part& part : plan.ranks[rank]->forward->parts) {
      if (part.head_begin() != 1) continue;
      part.mutate_head_begin(0);
      part.mutate_head_end(1);
    }
  }
  EXPECT_THAT(std::string(VerifyPlan(SealPlanT(plan)).message()), ::testing::StartsWith("P13"));
}

TEST(VerifyTest, AllGatherMaySendWhatNobodyNeeds) {
  ToyProblem problem = SmallToyProblem();
  problem.exchange = fbs::Exchange::all_gather;
  fbs::PlanT plan = MakeToyPlanT(problem);
  EXPECT_EQ(VerifyPlan(SealPlanT(plan)), absl::OkStatus());
  plan.exchange = fbs::Exchange::needed;
  EXPECT_THAT(std::string(VerifyPlan(SealPlanT(plan)).message()), ::testing::StartsWith("P19"));
}

// Loads bytes with the hash that they should have; an error where they are not well formed.
absl::StatusOr<Plan> LoadWithRightHash(std::string bytes) {
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (fbs::VerifyPlanBuffer(verifier)) {
    fbs::Plan* plan = fbs::GetMutablePlan(bytes.data());
    plan->mutate_content_hash(ContentHash(*plan, bytes));
  }
  return Plan::FromBytes(std::move(bytes));
}

TEST(VerifyTest, NoBytesCrash) {
  std::mt19937 random(1);
  ToyProblem problem = MixedProblem(2, model::Mask::Window(5));
  problem.remote_stages = 2;
  ToyProblem reused = MixedProblem(3, model::Mask::Causal());
  reused.remote_stages = 5;
  reused.reuse = true;
  reused.head_groups = 2;
  reused.places = 2;
  const std::string good[] = {std::string(MakeToyPlan(SmallToyProblem()).bytes()),
                              std::string(MakeToyPlan(problem).bytes()),
                              std::string(MakeToyPlan(testing::RelayedToyProblem()).bytes()),
                              std::string(MakeToyPlan(testing::SavedToyProblem()).bytes()),
                              std::string(MakeToyPlan(reused).bytes())};
  const uint8_t interesting[] = {0, 1, 2, 3, 4, 8, 64, 127, 128, 255};
  int loaded = 0;
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = good[i % std::size(good)];
    for (int flips = 1 + random() % 4; flips > 0; --flips) {
      bool any = random() % 2;
      uint8_t byte = any ? random() : interesting[random() % std::size(interesting)];
      bytes[random() % bytes.size()] = static_cast<char>(byte);
    }
    absl::StatusOr<Plan> plan = LoadWithRightHash(std::move(bytes));
    if (!plan.ok()) continue;
    ++loaded;
    EXPECT_EQ(ComputeStatistics(*plan).ranks.size(), plan->num_ranks());
    absl::Status status = VerifyPlan(*plan);
    if (status.ok()) continue;
    ++refused;
    ASSERT_EQ(status.message()[0], 'P') << status;
  }
  EXPECT_GT(loaded, 5000);
  EXPECT_GT(refused, 5000);
}

}  // namespace
}  // namespace flashcp
