// Decides the order of the rules; see verify_rules.h for who checks what.

#include "runtime/plan/verify.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

using namespace verifier;

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
          {"backward instruction", Items(plan.backward()->instructions()),
           Items(plan.backward()->waits())}};
}

std::vector<ProgramView> ForwardPrograms(const PlanView& view) {
  std::vector<ProgramView> programs;
  for (const RankView& rank : view.ranks) programs.push_back(rank.forward());
  return programs;
}

std::vector<ProgramView> BackwardPrograms(const PlanView& view) {
  std::vector<ProgramView> programs;
  for (const RankView& rank : view.ranks) programs.push_back(rank.backward);
  return programs;
}

// The backward pass, over a forward pass that is correct: the same messages, reversed, and the
// same tiles, so that what forward delivers and covers, backward does too.
absl::Status CheckBackward(const PlanView& view, const Traffic& traffic) {
  RETURN_IF_ERROR(CheckBackwardBuffers(view));
  std::vector<ReversedExchanges> reversed;
  for (const RankView& rank : view.ranks) {
    ASSIGN_OR_RETURN(ReversedExchanges of_rank, CheckBackwardProgram(rank));
    reversed.push_back(std::move(of_rank));
  }
  ASSIGN_OR_RETURN(const Meetings meetings, MatchBackwardMessages(view));
  RETURN_IF_ERROR(CheckProgress(BackwardPrograms(view), meetings).status());
  for (const RankView& rank : view.ranks) {
    RETURN_IF_ERROR(CheckGradientFlow(view, traffic, rank, reversed[rank.rank]));
    RETURN_IF_ERROR(CheckBackwardReuse(view, rank));
  }
  return absl::OkStatus();
}

}  // namespace

PlanView::PlanView(const fbs::Plan& plan)
    : plan(plan),
      heads(*plan.heads()),
      head_groups(plan.head_groups()),
      group(heads.query() / std::max(head_groups, 1u),
            heads.key_value() / std::max(head_groups, 1u), heads.dim()),
      documents(Items(plan.documents())) {
  const uint32_t num_ranks = plan.ranks() ? plan.ranks()->size() : 0;
  for (uint32_t r = 0; r < num_ranks; ++r) ranks.push_back(ViewOf(*plan.ranks()->Get(r), r));
}

const std::vector<PlanRule>& PlanRules() {
  static const auto& rules = *new std::vector<PlanRule>{
      {"P1",
       "Ranks, heads, head groups, head dimension, scale, bands, slack, tokens and enumerators "
       "are in range."},
      {"P2", "Cluster and modelled times are complete, finite and not negative."},
      {"P3", "Every token of every document is in exactly one layout range of one rank."},
      {"P4",
       "Every rank owns its share of the tokens: floor or ceil of tokens / ranks at slack 0, "
       "at most ceil((1 + slack / 100) * tokens / ranks) otherwise."},
      {"P5",
       "Each rank has one query, key, value, output and lse buffer and one gradient of each of "
       "the first four, at offset 0, in one place, of the plan's shape, with one row for each "
       "token it owns."},
      {"P6",
       "All other buffers have the plan's shape, of all heads in the saved memory, of one group "
       "elsewhere, and lie in their memory, aligned to 64 bytes: remote buffers and accumulators "
       "in the forward workspace, remote buffers and all that only backward has in the backward "
       "workspace, saved ones, apart and in one place each, in the saved memory. Of two buffers "
       "of a workspace that share bytes, or one in two rounds, all steps that use one are done "
       "before any that uses the other starts."},
      {"P7",
       "Each message is in one exchange on the communication stream and each tile in one "
       "attend on the compute stream, in the order of their tables; stages of exchanges "
       "count from 1 and never fall. Forward programs have no other instructions."},
      {"P8",
       "An instruction waits for earlier instructions of its program, or for any of an earlier "
       "round, and shares its list of waits with no other. All rounds have at most 2^22 steps."},
      {"P9",
       "A message names another rank, a tag that stays below 2^30 in all rounds, and parts and "
       "slices in bounds, of heads of one group: a send rows of the rank's own K or V or of "
       "remote or saved buffers, a receive rows of remote or saved buffers, in no part more than "
       "the buffer has."},
      {"P10", "The bytes of a message are the payload of its parts."},
      {"P11",
       "The k-th send of a rank to another has tag k and meets the k-th receive there, part "
       "by part of the same tensor, heads and number of rows."},
      {"P12",
       "All forward programs, and all backward programs, run to their end when a group of messages "
       "is done only once every "
       "partner has started its own."},
      {"P13", "No row of a remote or saved buffer is received more than once, for any head."},
      {"P14", "No K or V row of a token reaches a rank more than once, for any head."},
      {"P15",
       "A tile has queries that see some of its keys, or none of the document's, whole groups of "
       "query heads or part of one, and buffers of the right kinds."},
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
      {"P23", "Every (query, key) pair that a document's band shows is in a tile, for every head."},
      {"P24",
       "A row of a remote or saved buffer is sent on only by an exchange that waits for the one "
       "that "
       "brings the row, directly or through others."},
      {"P25",
       "A part is marked saved, on both sides, where its receiver puts it into a saved buffer; "
       "parts that are sent on are marked as the buffer that holds them."},
      {"P26",
       "Each rank has one delta, query_sum, key_sum and value_sum buffer, with one row for each "
       "token it owns; a sum for each remote and saved buffer, and an outgoing buffer for each "
       "saved one, with its rows, in the order of the table; an incoming buffer for each "
       "exchange with sends, in the order of the program, with a row of one head for each that "
       "these carry."},
      {"P27",
       "A backward program has only instructions of backward, each on its stream; "
       "clear_gradients of stage 0 is the first of the compute stream and store_gradients the "
       "last. A rank without tiles and messages may have none."},
      {"P28",
       "Each tile is in one attend_backward. Each stage with messages is cleared once. Each "
       "exchange with messages is packed, reversed and added once, and runs again once, or at "
       "most once where all of its rows are saved."},
      {"P29",
       "The k-th message that a rank sends another in their backward programs meets the k-th "
       "that the other receives: both have the same tag."},
      {"P30",
       "Rows that come again are there in time: attend_backward runs after all exchanges that "
       "fill the remote buffers its tiles read, and an exchange that sends rows on after the one "
       "that brings them, directly or through others."},
      {"P31",
       "Gradients are packed when they are complete and may take the place of their rows: "
       "pack_gradients runs after the resend of its messages, after every attend_backward with "
       "tiles that read a buffer that they fill, and after resend and add_gradients of every "
       "exchange that sends on rows which they brought."},
      {"P32",
       "exchange_gradients waits for its pack_gradients, or an exchange before it on its stream "
       "does; add_gradients waits for its exchange_gradients, directly or through others."},
      {"P33", "Of its queries and keys, a tile's band shows the pairs that its document's does."},
      {"P34",
       "Sums are cleared first: clear_gradients of a stage runs before every attend_backward, "
       "add_gradients and pack_gradients that uses sums which it clears."},
      {"P35",
       "Neither workspace of a rank takes more than the plan's workspace limit, if it has one."},
      {"P36", "A memory of a rank ends with the last of its buffers, to a multiple of 64 bytes."},
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
  ASSIGN_OR_RETURN(const std::vector<InstructionId> order,
                   CheckProgress(ForwardPrograms(view), ForwardMeetings(view, matches)));
  ASSIGN_OR_RETURN(const Traffic traffic, FollowTraffic(view, std::move(matches), order));
  for (uint32_t rank = 0; rank < view.ranks.size(); ++rank) {
    ASSIGN_OR_RETURN(const RemoteRows remote, DeliverRows(view, traffic, rank));
    RETURN_IF_ERROR(CheckReads(view, traffic, remote, rank));
    RETURN_IF_ERROR(CheckNeeded(view, traffic.strips, remote, rank));
    RETURN_IF_ERROR(CheckResults(view, rank));
    RETURN_IF_ERROR(CheckForwardReuse(view, view.ranks[rank]));
  }
  RETURN_IF_ERROR(CheckCoverage(view));
  RETURN_IF_ERROR(CheckBackward(view, traffic));
  return CheckMemoryEnds(view);
}

}  // namespace flashcp
