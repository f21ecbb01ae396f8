// Decides the order of the rules; see verify_rules.h for who checks what.

#include "runtime/plan/verify.h"

#include <utility>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

RankView ViewOf(const fbs::RankPlan& plan, uint32_t rank) {
  const fbs::Program& program = *plan.forward();
  return {rank,
          plan.workspace_bytes(),
          plan.backward_workspace_bytes(),
          plan.saved_bytes(),
          Items(plan.layout()),
          Items(plan.buffers()),
          Items(program.instructions()),
          Items(program.waits()),
          Items(program.tiles()),
          Items(program.messages()),
          Items(program.parts()),
          Items(program.slices()),
          {Items(plan.backward()->instructions()), Items(plan.backward()->waits())}};
}

}  // namespace

PlanView::PlanView(const fbs::Plan& plan)
    : plan(plan), heads(*plan.heads()), documents(Items(plan.documents())) {
  const uint32_t num_ranks = plan.ranks() ? plan.ranks()->size() : 0;
  for (uint32_t r = 0; r < num_ranks; ++r) ranks.push_back(ViewOf(*plan.ranks()->Get(r), r));
}

const std::vector<PlanRule>& PlanRules() {
  static const auto& rules = *new std::vector<PlanRule>{
      {"P1", "Ranks, heads, head dimension, masks, slack, tokens and enumerators are in range."},
      {"P2", "Cluster and modelled times are complete, finite and not negative."},
      {"P3", "Every token of every document is in exactly one layout range of one rank."},
      {"P4",
       "Every rank owns its share of the tokens: floor or ceil of tokens / ranks at slack 0, "
       "at most ceil((1 + slack / 100) * tokens / ranks) otherwise."},
      {"P5",
       "Each rank has one query, key, value, output and lse buffer, at offset 0, of the "
       "plan's shape, with one row for each token it owns."},
      {"P6",
       "Remote and accumulator buffers have the plan's shape and lie in the workspace, "
       "aligned to 64 bytes, without overlap."},
      {"P7",
       "Each message is in one exchange on the communication stream and each tile in one "
       "attend on the compute stream, in the order of their tables; stages of exchanges "
       "count from 1 and never fall."},
      {"P8",
       "An instruction waits for earlier instructions of its program only, and shares its "
       "list of waits with no other."},
      {"P9",
       "A message names another rank, and parts and slices in bounds: a send rows of the "
       "rank's own K or V or of remote buffers, a receive rows of remote buffers, in no part "
       "more than the buffer has."},
      {"P10", "The bytes of a message are the payload of its parts."},
      {"P11",
       "The k-th send of a rank to another has tag k and meets the k-th receive there, part "
       "by part of the same tensor, heads and number of rows."},
      {"P12",
       "All programs run to their end when a group of messages is done only once every "
       "partner has started its own."},
      {"P13", "No row of a remote buffer is received more than once, for any head."},
      {"P14", "No K or V row of a token reaches a rank more than once, for any head."},
      {"P15",
       "A tile has queries that see some of its keys, whole groups of query heads or part "
       "of one, and buffers of the right kinds."},
      {"P16", "The query rows of a tile hold the positions it states, owned by its rank."},
      {"P17",
       "The key and value rows of a tile hold the positions it states, its rank's own or "
       "brought by exchanges of one stage that the same attend is the first to wait for."},
      {"P18",
       "A tile that reads what an exchange brings is of the same or a later stage and runs "
       "after it: its attend, or one before it, waits for it, directly or through others."},
      {"P19", "With exchange `needed`, every row that a rank receives is seen by a query there."},
      {"P20",
       "For every query row and head, the first of its tiles in program order is marked "
       "first, the last is marked last, no other is, and all use one accumulator row."},
      {"P21", "No accumulator row is used by more than one query row, for any head."},
      {"P22", "No (query, key) pair is in two tiles of one head."},
      {"P23", "Every (query, key) pair that a mask allows is in a tile, for every head."},
      {"P24",
       "A row of a remote buffer is sent on only by an exchange that waits for the one that "
       "brings the row, directly or through others."},
  };
  return rules;
}

absl::Status VerifyPlan(const Plan& plan) {
  const PlanView view(*plan);
  RETURN_IF_ERROR(CheckHeader(view));
  RETURN_IF_ERROR(CheckOwnership(view));
  RETURN_IF_ERROR(CheckBuffers(view));
  RETURN_IF_ERROR(CheckPrograms(view));
  RETURN_IF_ERROR(CheckMessages(view));
  ASSIGN_OR_RETURN(Matches matches, MatchMessages(view));
  ASSIGN_OR_RETURN(const std::vector<InstructionId> order, CheckProgress(view, matches));
  ASSIGN_OR_RETURN(const Traffic traffic, FollowTraffic(view, std::move(matches), order));
  for (uint32_t rank = 0; rank < view.ranks.size(); ++rank) {
    ASSIGN_OR_RETURN(const RemoteRows remote, DeliverRows(view, traffic, rank));
    RETURN_IF_ERROR(CheckReads(view, traffic, remote, rank));
    RETURN_IF_ERROR(CheckNeeded(view, traffic.groups, remote, rank));
    RETURN_IF_ERROR(CheckResults(view, rank));
  }
  return CheckCoverage(view);
}

}  // namespace flashcp
