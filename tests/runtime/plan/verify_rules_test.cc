// Each rule, broken once, is the rule that refuses the plan.

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/verify.h"
#include "tests/runtime/plan/mutations.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

using testing::MakeToyPlan;
using testing::MakeToyPlanT;
using testing::RelayedToyProblem;
using testing::SealPlanT;
using testing::SmallToyProblem;
using testing::ToyProblem;

std::vector<Mutation> HeaderMutations() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  return {
      {"P1", "no ranks", [](auto& p) { p.ranks.clear(); }},
      {"P1", "no K/V head", [](auto& p) { p.heads->mutate_key_value(0); }},
      {"P1", "heads no multiple", [](auto& p) { p.heads->mutate_query(3); }},
      {"P1", "too many heads", [](auto& p) { p.heads->mutate_query(2048); }},
      {"P1", "head dimension", [](auto& p) { p.heads->mutate_dim(12); }},
      {"P1", "unknown dtype", [](auto& p) { p.dtype = static_cast<fbs::DType>(3); }},
      {"P1", "unknown exchange", [](auto& p) { p.exchange = static_cast<fbs::Exchange>(2); }},
      {"P1", "no head groups", [](auto& p) { p.head_groups = 0; }},
      {"P1", "head groups that do not divide", [](auto& p) { p.head_groups = 4; }},
      {"P1", "slack", [nan](auto& p) { p.slack_percent = nan; }},
      {"P1", "no scale", [](auto& p) { p.scale = 0; }},
      {"P1", "negative scale", [](auto& p) { p.scale = -1; }},
      {"P1", "scale that is none", [nan](auto& p) { p.scale = static_cast<float>(nan); }},
      {"P1", "infinite scale", [](auto& p) { p.scale = std::numeric_limits<float>::infinity(); }},
      {"P1", "band without pairs",
       [](auto& p) { p.documents[0].mutable_band() = fbs::Band(1, 0); }},
      {"P1", "too many tokens", [](auto& p) { p.documents[0].mutate_length(3000000000u); }},
      {"P2", "no link class", [](auto& p) { p.cluster->inter_node = nullptr; }},
      {"P2", "no bandwidth", [](auto& p) { p.cluster->intra_node->mutate_bytes_per_us(0); }},
      {"P2", "no ranks in a node", [](auto& p) { p.cluster->ranks_per_node = 0; }},
      {"P2", "tile table too short", [](auto& p) { p.cluster->tiles->columns = {1}; }},
      {"P2", "columns that fall",
       [](auto& p) {
         p.cluster->tiles->columns = {2, 1};
       }},
      {"P2", "time that is none", [nan](auto& p) { p.cluster->tiles->forward_us[1] = nan; }},
      {"P2", "modelled time", [](auto& p) { p.modelled->mutate_backward_us(-1); }},
  };
}

std::vector<Mutation> LayoutMutations() {
  return {
      {"P3", "unknown document", [](auto& p) { Rank(p, 0).layout[0].mutate_document(2); }},
      {"P3", "empty range", [](auto& p) { Rank(p, 0).layout[0].mutate_end(0); }},
      {"P3", "range past the end", [](auto& p) { Rank(p, 0).layout[1].mutate_end(13); }},
      {"P3", "token without owner", [](auto& p) { Rank(p, 0).layout[1].mutate_end(11); }},
      {"P3", "token with two owners", [](auto& p) { Rank(p, 1).layout[0].mutate_begin(2); }},
      {"P4", "unequal at slack 0", [](auto& p) { p.slack_percent = 0; }},
      {"P5", "unknown kind",
       [](auto& p) { Rank(p, 0).buffers[0].mutate_kind(static_cast<fbs::BufferKind>(99)); }},
      {"P5", "two outputs",
       [](auto& p) { Rank(p, 0).buffers[0].mutate_kind(fbs::BufferKind::output); }},
      {"P5", "no buffers", [](auto& p) { Rank(p, 0).buffers.clear(); }},
      {"P5", "dtype", [](auto& p) { Rank(p, 0).buffers[1].mutate_dtype(fbs::DType::bf16); }},
      {"P5", "heads", [](auto& p) { Rank(p, 1).buffers[1].mutate_heads(4); }},
      {"P5", "rows", [](auto& p) { Rank(p, 1).buffers[4].mutate_rows(11); }},
      {"P5", "offset", [](auto& p) { Rank(p, 1).buffers[4].mutate_offset(64); }},
      {"P5", "places", [](auto& p) { Rank(p, 1).buffers[4].mutate_places(2); }},
      {"P5", "gradient rows", [](auto& p) { Rank(p, 1).buffers[7].mutate_rows(11); }},
      {"P5", "no gradient of V",
       [](auto& p) { Rank(p, 0).buffers[8].mutate_kind(fbs::BufferKind::key_gradient); }},
      {"P6", "remote shape", [](auto& p) { Rank(p, 0).buffers[9].mutate_dim(16); }},
      {"P6", "alignment", [](auto& p) { Rank(p, 0).buffers[10].mutate_offset(32); }},
      {"P6", "past the workspace", [](auto& p) { Rank(p, 0).workspace_bytes -= 1; }},
      {"P6", "offset that overflows",
       [](auto& p) { Rank(p, 0).buffers[10].mutate_offset(~uint64_t{63}); }},
      {"P6", "overlap", [](auto& p) { Rank(p, 0).buffers[10].mutate_offset(0); }},
      {"P6", "overlap with an accumulator",
       [](auto& p) { Rank(p, 0).buffers[11].mutate_offset(0); }},
      {"P6", "no place", [](auto& p) { Rank(p, 0).buffers[10].mutate_places(0); }},
      {"P6", "places past the workspace", [](auto& p) { Rank(p, 0).buffers[18].mutate_places(2); }},
      {"P35", "workspace above the limit",
       [](auto& p) { p.workspace_limit_bytes = Rank(p, 0).workspace_bytes; }},
      {"P36", "forward workspace longer than its buffers",
       [](auto& p) { Rank(p, 0).workspace_bytes += 64; }},
      {"P36", "backward workspace longer than its buffers",
       [](auto& p) { Rank(p, 1).backward_workspace_bytes += 64; }},
      {"P36", "saved memory without buffers", [](auto& p) { Rank(p, 1).saved_bytes = 1; }},
      {"P6", "shape of delta", [](auto& p) { Rank(p, 0).buffers[12].mutate_dim(8); }},
      {"P6", "past the backward workspace",
       [](auto& p) { Rank(p, 0).backward_workspace_bytes -= 1; }},
      {"P6", "overlap in backward", [](auto& p) { Rank(p, 0).buffers[12].mutate_offset(0); }},
  };
}

std::vector<Mutation> ProgramMutations() {
  return {
      {"P7", "unknown opcode",
       [](auto& p) { Program(p, 0).instructions[0].mutate_opcode(static_cast<fbs::Opcode>(99)); }},
      {"P7", "opcode of backward",
       [](auto& p) { Program(p, 0).instructions[0].mutate_opcode(fbs::Opcode::attend_backward); }},
      {"P7", "unknown stream",
       [](auto& p) { Program(p, 0).instructions[0].mutate_stream(static_cast<fbs::Stream>(2)); }},
      {"P7", "exchange on the compute stream",
       [](auto& p) { Program(p, 0).instructions[1].mutate_stream(fbs::Stream::compute); }},
      {"P7", "range past the tiles", [](auto& p) { Program(p, 0).instructions[2].mutate_end(9); }},
      {"P7", "tile skipped", [](auto& p) { Program(p, 0).instructions[0].mutate_begin(1); }},
      {"P7", "tile run twice", [](auto& p) { Program(p, 0).instructions[2].mutate_begin(3); }},
      {"P7", "message left out", [](auto& p) { Program(p, 0).instructions[1].mutate_end(0); }},
      {"P7", "exchange of stage 0", [](auto& p) { Program(p, 0).instructions[1].mutate_stage(0); }},
      {"P8", "range past the waits",
       [](auto& p) { Program(p, 0).instructions[2].mutate_wait_end(2); }},
      {"P8", "shared waits", [](auto& p) { Program(p, 0).instructions[1].mutate_wait_end(1); }},
      {"P12", "ranks wait in a circle",
       [](auto& p) {
         // Both send first and receive next: a send is done only once its receive has started.
         SplitExchange(&Rank(p, 0));
         SplitExchange(&Rank(p, 1));
       }},
      {"P8", "wait for itself",
       [](auto& p) {
         Program(p, 0).waits[0] = {2, 0};
       }},
      {"P8", "wait for a round of a program that has one",
       [](auto& p) {
         Program(p, 0).waits[0] = {1, 1};
       }},
  };
}

std::vector<Mutation> MessageMutations() {
  return {
      {"P9", "unknown direction",
       [](auto& p) { Program(p, 0).messages[0].mutate_direction(static_cast<fbs::Direction>(2)); }},
      {"P9", "unknown rank", [](auto& p) { Program(p, 0).messages[0].mutate_peer(2); }},
      {"P9", "tag of a gradient", [](auto& p) { Program(p, 0).messages[0].mutate_tag(1 << 30); }},
      {"P9", "to itself", [](auto& p) { Program(p, 0).messages[0].mutate_peer(0); }},
      {"P9", "no parts", [](auto& p) { Program(p, 0).messages[0].mutate_part_end(0); }},
      {"P9", "parts out of bounds", [](auto& p) { Program(p, 0).messages[1].mutate_part_end(5); }},
      {"P9", "unknown buffer", [](auto& p) { Program(p, 0).parts[0].mutate_buffer(99); }},
      {"P9", "sends Q", [](auto& p) { Program(p, 0).parts[0].mutate_buffer(0); }},
      {"P9", "receives into K", [](auto& p) { Program(p, 0).parts[2].mutate_buffer(1); }},
      {"P9", "heads", [](auto& p) { Program(p, 0).parts[0].mutate_head_end(3); }},
      {"P9", "no slices", [](auto& p) { Program(p, 0).parts[0].mutate_slice_end(0); }},
      {"P9", "slices out of bounds", [](auto& p) { Program(p, 0).parts[2].mutate_slice_end(9); }},
      {"P9", "empty slice", [](auto& p) { Program(p, 0).slices[0].mutate_count(0); }},
      {"P9", "rows out of bounds",
       [](auto& p) { Program(p, 0).slices[0].mutate_begin(0xffffffff); }},
      {"P9", "more rows than the buffer has",
       [](auto& p) {
         Program(p, 0).slices[0] = {0, 12};
       }},
      {"P10", "too many bytes", [](auto& p) { Program(p, 0).messages[0].mutate_bytes(4096); }},
      {"P10", "too few bytes", [](auto& p) { Program(p, 0).messages[0].mutate_bytes(64); }},
      {"P11", "tag", [](auto& p) { Program(p, 0).messages[0].mutate_tag(1); }},
      {"P11", "tensors swapped",
       [](auto& p) { std::swap(Program(p, 0).parts[0], Program(p, 0).parts[1]); }},
      {"P11", "another number of rows",
       [](auto& p) {
         Program(p, 0).slices[1].mutate_count(5);
         Program(p, 0).messages[0].mutate_bytes(2 * 8 * 2 * 8 * 4);
       }},
      {"P11", "send alone",
       [](auto& p) {
         Program(p, 1).messages.pop_back();
         Program(p, 1).instructions[1].mutate_end(1);
       }},
      {"P11", "receive alone",
       [](auto& p) {
         Program(p, 0).messages.erase(Program(p, 0).messages.begin());
         Program(p, 0).instructions[1].mutate_end(1);
       }},
      {"P13", "row received twice",
       [](auto& p) {
         Program(p, 1).slices[2] = {2, 6};
       }},
      {"P14", "token received twice",
       [](auto& p) {
         Program(p, 0).slices[1] = {1, 6};
       }},
  };
}

std::vector<Mutation> TileMutations() {
  return {
      {"P15", "unknown document", [](auto& p) { Tile(p, 0, 0).mutate_document(2); }},
      {"P15", "no queries", [](auto& p) { Tile(p, 0, 0).mutate_query_count(0); }},
      {"P15", "no keys", [](auto& p) { Tile(p, 0, 0).mutate_key_count(0); }},
      {"P15", "past the document", [](auto& p) { Tile(p, 0, 2).mutate_query_count(4); }},
      {"P15", "position that overflows",
       [](auto& p) { Tile(p, 0, 2).mutate_key_position(0xffffffff); }},
      {"P15", "keys that no query sees",
       [](auto& p) {
         Tile(p, 0, 0).mutate_key_position(9);
         Tile(p, 0, 0).mutate_key_row(3);
       }},
      {"P15", "heads out of range", [](auto& p) { Tile(p, 0, 0).mutate_head_end(5); }},
      {"P15", "heads of one and a half groups", [](auto& p) { Tile(p, 0, 0).mutate_head_end(3); }},
      {"P15", "kind of buffer", [](auto& p) { Tile(p, 0, 0).mutate_value_buffer(1); }},
      {"P15", "unknown buffer", [](auto& p) { Tile(p, 0, 0).mutate_lse_buffer(99); }},
      {"P15", "accumulator rows", [](auto& p) { Tile(p, 0, 1).mutate_accumulator_row(1); }},
      {"P16", "query row", [](auto& p) { Tile(p, 0, 0).mutate_query_row(1); }},
      {"P16", "query row out of bounds",
       [](auto& p) { Tile(p, 0, 0).mutate_query_row(0xffffffff); }},
      {"P17", "key row", [](auto& p) { Tile(p, 1, 2).mutate_key_row(1); }},
      {"P17", "keys past the run", [](auto& p) { Tile(p, 1, 2).mutate_key_count(4); }},
      {"P17", "rows sent in another order",
       [](auto& p) {
         Program(p, 0).slices[0] = {6, 6};
         Program(p, 0).slices[1] = {0, 3};
       }},
      {"P18", "no wait", [](auto& p) { Program(p, 1).instructions[2].mutate_wait_end(0); }},
      {"P18", "stage", [](auto& p) { Program(p, 1).instructions[2].mutate_stage(0); }},
      {"P19", "row that no query sees",
       [](auto& p) {
         p.documents[1].mutable_band() = fbs::Band(-1, 0);
         for (int rank = 0; rank < 2; ++rank) {
           for (fbs::Tile& tile : Program(p, rank).tiles) {
             if (tile.document() == 1) tile.mutable_band() = fbs::Band(-1, 0);
           }
         }
       }},
      {"P20", "two firsts", [](auto& p) { Tile(p, 1, 2).mutate_first(true); }},
      {"P20", "no first", [](auto& p) { Tile(p, 1, 0).mutate_first(false); }},
      {"P20", "last too early", [](auto& p) { Tile(p, 1, 0).mutate_last(true); }},
      {"P20", "no last", [](auto& p) { Tile(p, 1, 2).mutate_last(false); }},
      {"P20", "another accumulator row", [](auto& p) { Tile(p, 1, 2).mutate_accumulator_row(1); }},
      {"P20", "query without a tile",
       [](auto& p) {
         Tile(p, 0, 0).mutate_query_count(2);
         Tile(p, 0, 0).mutate_key_count(2);
       }},
      {"P21", "shared accumulator rows",
       [](auto& p) {
         Tile(p, 1, 1).mutate_accumulator_row(3);
         Tile(p, 1, 3).mutate_accumulator_row(3);
       }},
      {"P22", "pairs computed twice",
       [](auto& p) {
         Tile(p, 0, 2).mutate_key_position(0);
         Tile(p, 0, 2).mutate_key_row(0);
       }},
      {"P23", "pairs left out", [](auto& p) { Tile(p, 0, 1).mutate_key_count(2); }},
      {"P33", "band of a tile that hides a pair",
       [](auto& p) { Tile(p, 0, 0).mutable_band() = fbs::Band(-1, 0); }},
      {"P33", "band of a tile that shows one more",
       [](auto& p) { Tile(p, 0, 0).mutable_band() = fbs::Band(-10, 1); }},
      {"P33", "band of a tile without pairs",
       [](auto& p) { Tile(p, 0, 0).mutable_band() = fbs::Band(0, -1); }},
      {"P20", "heads left out", [](auto& p) { Tile(p, 0, 1).mutate_head_end(2); }},
  };
}

// The rows that rank 2 of RelayedToyProblem forwards, or those that rank 3 forwards to it.
fbs::Slice& SliceOf(fbs::ProgramT& program, fbs::Direction direction) {
  const fbs::Instruction& forward = program.instructions[2];
  bool send = program.messages[forward.begin()].direction() == direction;
  const fbs::Message& message = program.messages[forward.begin() + (send ? 0 : 1)];
  return program.slices[program.parts[message.part_begin()].slice_begin()];
}

// Ways to break the plan of RelayedToyProblem.
std::vector<Mutation> RelayMutations() {
  return {
      {"P7", "stages fall", [](auto& p) { Program(p, 2).instructions[1].mutate_stage(2); }},
      {"P13", "row received twice, and forwarded",
       [](auto& p) { SliceOf(Program(p, 2), fbs::Direction::receive).mutate_begin(0); }},
      {"P17", "forwards rows in another order",
       [](auto& p) {
         fbs::ProgramT& program = Program(p, 2);
         uint32_t first = program.slices.size();
         program.slices.insert(program.slices.end(), {{1, 1}, {0, 1}});
         uint32_t part = program.messages[program.instructions[2].begin()].part_begin();
         for (uint32_t i = part; i < part + 2; ++i) {
           program.parts[i].mutate_slice_begin(first);
           program.parts[i].mutate_slice_end(first + 2);
         }
       }},
      {"P17", "attend waits for the first exchange only",
       [](auto& p) {
         Program(p, 2).waits[1] = {1, 0};
       }},
      {"P18", "attend waits for no exchange",
       [](auto& p) {
         Program(p, 2).instructions[3].mutate_wait_end(Program(p, 2).instructions[3].wait_begin());
       }},
      {"P24", "forwards without a wait",
       [](auto& p) { Program(p, 2).instructions[2].mutate_wait_end(0); }},
      {"P24", "forwards in the exchange that brings the row",
       [](auto& p) {
         std::vector<fbs::Instruction>& instructions = Program(p, 3).instructions;
         instructions[1].mutate_end(instructions[2].end());
         instructions[2].mutate_begin(instructions[2].end());
       }},
      {"P24", "forwards a row that comes later",
       [](auto& p) { SliceOf(Program(p, 2), fbs::Direction::send).mutate_begin(2); }},
  };
}

// SmallToyProblem in two rounds. Instructions 1 and backward 1 wait for what used their places in
// the round before.
ToyProblem TwoRoundsToyProblem() {
  ToyProblem problem = SmallToyProblem();
  problem.head_groups = 2;
  return problem;
}

std::vector<Mutation> RoundMutations() {
  return {
      {"P5", "K of one group of heads", [](auto& p) { Rank(p, 0).buffers[1].mutate_heads(1); }},
      {"P6", "remote K of all heads", [](auto& p) { Rank(p, 0).buffers[9].mutate_heads(2); }},
      {"P8", "wait for a round too early",
       [](auto& p) { Program(p, 0).waits[0].mutate_rounds(2); }},
      {"P8", "wait past the instructions",
       [](auto& p) { Program(p, 0).waits[0].mutate_instruction(3); }},
      {"P8", "too many steps",
       [](auto& p) {
         fbs::Instruction none = Program(p, 0).instructions[2];
         none.mutate_begin(none.end());
         none.mutate_wait_end(none.wait_begin());
         Program(p, 0).instructions.resize((1 << 21) + 1, none);
       }},
      {"P9", "tags that reach those of gradients",
       [](auto& p) { Program(p, 0).messages[0].mutate_tag(1 << 29); }},
      {"P9", "part with heads of another group",
       [](auto& p) { Program(p, 0).parts[0].mutate_head_end(2); }},
      {"P15", "tile with heads of another group",
       [](auto& p) {
         Tile(p, 0, 0).mutate_head_begin(2);
         Tile(p, 0, 0).mutate_head_end(4);
       }},
      {"P6", "receives before the round before has read",
       [](auto& p) {
         Program(p, 0).instructions[1].mutate_wait_end(Program(p, 0).instructions[1].wait_begin());
       }},
      {"P6", "waits for local tiles of the round before only",
       [](auto& p) { Program(p, 0).waits[0].mutate_instruction(0); }},
      {"P6", "receives before gradients of the round before have left",
       [](auto& p) { Backward(p, 0).waits[0].mutate_instruction(5); }},
  };
}

std::vector<Broken> AllBroken() {
  std::vector<Broken> all = {
      {SmallToyProblem(), HeaderMutations()},   {SmallToyProblem(), LayoutMutations()},
      {SmallToyProblem(), ProgramMutations()},  {SmallToyProblem(), MessageMutations()},
      {SmallToyProblem(), TileMutations()},     {RelayedToyProblem(), RelayMutations()},
      {TwoRoundsToyProblem(), RoundMutations()}};
  for (Broken& broken : BrokenBackward()) all.push_back(std::move(broken));
  return all;
}

TEST(VerifyRulesTest, EachRuleBrokenIsTheRuleThatRefuses) {
  for (const auto& [problem, mutations] : AllBroken()) {
    ASSERT_EQ(VerifyPlan(MakeToyPlan(problem)), absl::OkStatus());
    for (const Mutation& mutation : mutations) {
      fbs::PlanT plan = MakeToyPlanT(problem);
      mutation.apply(plan);
      absl::Status status = VerifyPlan(SealPlanT(plan));
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << mutation.name;
      EXPECT_THAT(std::string(status.message()),
                  ::testing::StartsWith(absl::StrCat(mutation.rule, ": ")))
          << mutation.name;
    }
  }
}

TEST(VerifyRulesTest, EveryRuleIsBrokenByATest) {
  std::set<std::string> broken;
  for (const auto& [problem, mutations] : AllBroken()) {
    for (const Mutation& mutation : mutations) broken.insert(mutation.rule);
  }
  std::set<std::string> rules;
  for (const PlanRule& rule : PlanRules()) rules.insert(rule.number);
  EXPECT_EQ(broken, rules);
}

TEST(VerifyRulesTest, SlackCapsTokens) {
  ToyProblem problem;
  problem.ranks = 2;
  problem.documents = {{10, {{0, 7, 0}, {7, 10, 1}}}};
  problem.slack_percent = 40;
  EXPECT_EQ(VerifyPlan(MakeToyPlan(problem)), absl::OkStatus());
  problem.slack_percent = 20;
  EXPECT_THAT(std::string(VerifyPlan(MakeToyPlan(problem)).message()),
              ::testing::HasSubstr("P4: rank 0: 0 to 6 of 10 tokens expected at slack 20 %, 7 "));
}

TEST(VerifyRulesTest, ExchangesInMatchingOrderPass) {
  fbs::PlanT plan = MakeToyPlanT(SmallToyProblem());
  SplitExchangesInOrder(&plan);
  EXPECT_EQ(VerifyPlan(SealPlanT(plan)), absl::OkStatus());
  // An exchange that is done says nothing of the one before it.
  Program(plan, 1).instructions[3].mutate_wait_begin(1);
  EXPECT_THAT(std::string(VerifyPlan(SealPlanT(plan)).message()), ::testing::StartsWith("P18"));
}

}  // namespace
}  // namespace flashcp
