// The rules of the verifier, by subject, and what they tell each other. Internal to verify.cc:
// each function assumes that the ones before it, in the order below, have returned OK.

#ifndef FLASHCP_RUNTIME_PLAN_VERIFY_RULES_H_
#define FLASHCP_RUNTIME_PLAN_VERIFY_RULES_H_

#include <cstdint>
#include <functional>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/row_map.h"

namespace flashcp::verifier {

// The instructions of one pass of one rank.
struct ProgramView {
  const char* noun;  // what errors call an instruction of it
  absl::Span<const fbs::Instruction> instructions;
  absl::Span<const fbs::Wait> waits;

  absl::Span<const fbs::Wait> WaitsOf(const fbs::Instruction& instruction) const {
    return waits.subspan(instruction.wait_begin(),
                         instruction.wait_end() - instruction.wait_begin());
  }
};

// The tables of one rank; instructions and waits are those of the forward program.
struct RankView {
  uint32_t rank;
  uint64_t workspace_bytes;
  uint64_t backward_workspace_bytes;
  uint64_t saved_bytes;
  absl::Span<const fbs::TokenRange> layout;
  absl::Span<const fbs::Buffer> buffers;
  absl::Span<const fbs::Instruction> instructions;
  absl::Span<const fbs::Wait> waits;
  absl::Span<const fbs::Tile> tiles;
  absl::Span<const fbs::Message> messages;
  absl::Span<const fbs::Part> parts;
  absl::Span<const fbs::Slice> slices;
  ProgramView backward;

  ProgramView forward() const { return {"instruction", instructions, waits}; }
  absl::Span<const fbs::Part> PartsOf(const fbs::Message& message) const {
    return parts.subspan(message.part_begin(), message.part_end() - message.part_begin());
  }
  absl::Span<const fbs::Slice> SlicesOf(const fbs::Part& part) const {
    return slices.subspan(part.slice_begin(), part.slice_end() - part.slice_begin());
  }
};

struct PlanView {
  explicit PlanView(const fbs::Plan& plan);

  const fbs::Plan& plan;
  const fbs::HeadShape& heads;
  uint32_t head_groups;  // rounds of each program
  fbs::HeadShape group;  // the heads of one round, to which those of tiles and parts belong
  absl::Span<const fbs::Document> documents;
  std::vector<RankView> ranks;

  // Query heads that read one K/V head.
  uint32_t QueriesPerKey() const { return group.query() / group.key_value(); }
};

// The error of a broken rule: its number, then who, what, expected and found.
template <typename... Args>
absl::Status Broken(const char* rule, const Args&... args) {
  return absl::FailedPreconditionError(absl::StrCat(rule, ": ", args...));
}

// Whether [begin, end) is a range of a table of `size` elements.
inline bool InBounds(uint64_t begin, uint64_t end, uint64_t size) {
  return begin <= end && end <= size;
}

// P1, P2: what all ranks share.
absl::Status CheckHeader(const PlanView& view);

// P3, P4: who owns which tokens.
absl::Status CheckOwnership(const PlanView& view);

// What the rows of the caller's tensors hold: one map a rank.
std::vector<RowMap> CallerRows(const PlanView& view);

// P5, P35, P6 of each buffer on its own, and of those in the saved memory.
absl::Status CheckBuffers(const PlanView& view);

// P36, when P6 holds: memory that no buffer needs is nobody's to take.
absl::Status CheckMemoryEnds(const PlanView& view);

// Bytes from one place of a buffer to the next.
constexpr uint64_t kAlignment = 64;
inline uint64_t BytesOf(const fbs::Buffer& buffer) {
  return uint64_t{buffer.rows()} * buffer.heads() * buffer.dim() * DTypeBytes(buffer.dtype());
}
inline uint64_t StrideOf(const fbs::Buffer& buffer) {
  return (BytesOf(buffer) + kAlignment - 1) / kAlignment * kAlignment;
}

// P7, P8: instructions of each forward program, waits of both programs.
absl::Status CheckPrograms(const PlanView& view);

// P9, P10, P25: messages, each on its own.
absl::Status CheckMessages(const PlanView& view);

inline bool IsSend(const fbs::Message& message) {
  return message.direction() == fbs::Direction::send;
}

// Kinds of buffers that messages fill.
inline bool IsSaved(fbs::BufferKind kind) {
  return kind == fbs::BufferKind::saved_key || kind == fbs::BufferKind::saved_value;
}
inline bool IsRemoteKey(fbs::BufferKind kind) {
  return kind == fbs::BufferKind::remote_key || kind == fbs::BufferKind::saved_key;
}
inline bool IsRemoteValue(fbs::BufferKind kind) {
  return kind == fbs::BufferKind::remote_value || kind == fbs::BufferKind::saved_value;
}
inline bool IsRemote(fbs::BufferKind kind) { return IsRemoteKey(kind) || IsRemoteValue(kind); }

inline bool IsCallers(fbs::BufferKind kind) { return kind <= fbs::BufferKind::value_gradient; }

// Kinds of buffers in the workspace of each pass.
inline bool IsInForwardWorkspace(fbs::BufferKind kind) {
  return kind == fbs::BufferKind::remote_key || kind == fbs::BufferKind::remote_value ||
         kind == fbs::BufferKind::accumulator;
}
inline bool IsInBackwardWorkspace(fbs::BufferKind kind) {
  return !IsCallers(kind) && !IsSaved(kind) && kind != fbs::BufferKind::accumulator;
}

// Whether all rows of a message are saved, so that backward does not send it again.
inline bool IsSaved(const RankView& rank, const fbs::Message& message) {
  for (const fbs::Part& part : rank.PartsOf(message)) {
    if (!part.saved()) return false;
  }
  return true;
}

// For each rank and message, the index of the matching message in the table of its peer.
using Matches = std::vector<std::vector<uint32_t>>;

// P11, P25: sends meet their receives.
absl::StatusOr<Matches> MatchMessages(const PlanView& view);

// One instruction of one rank.
struct InstructionId {
  uint32_t rank;
  uint32_t index;
};

// For each message, the forward instruction of its rank that posts it.
std::vector<uint32_t> ExchangesOf(const RankView& rank);

// That an instruction starts a message whose other side `partner` starts.
struct Meeting {
  uint32_t instruction;
  InstructionId partner;
};
// By rank, in the order of its instructions.
using Meetings = std::vector<std::vector<Meeting>>;

Meetings ForwardMeetings(const PlanView& view, const Matches& matches);

// P12: the programs of all ranks, one of each, run to their end. Returns all instructions of the
// communication stream, in an order in which they may start: each after those that it waits for,
// and after the partners of these.
absl::StatusOr<std::vector<InstructionId>> CheckProgress(const std::vector<ProgramView>& programs,
                                                         const Meetings& meetings);

// When what a step leaves behind may be used, as the program says it: by the first step of each
// stream that starts only once this one is done, and by all after it. Instruction i of round r is
// step r * (number of instructions) + i.
struct Arrival {
  static constexpr uint32_t kNever = ~uint32_t{0};
  uint32_t first[2] = {kNever, kNever};  // by stream
  // Exchanges of the same stage and first attend, one after the other, bring rows as one; this is
  // the first of them.
  uint32_t group = 0;
};

// The arrivals of a program that runs for some rounds, by step. Since waits never lead back to an
// earlier round, those of the first rounds do not depend on how many follow. O(steps + waits).
std::vector<Arrival> FindArrivals(const ProgramView& program, uint32_t rounds);

// All that is known of what the messages of all ranks carry.
struct Traffic {
  Matches matches;
  std::vector<RowMap> caller_rows;             // by rank
  std::vector<std::vector<Arrival>> arrivals;  // by rank
  HeadStrips strips;                           // of K/V heads, which messages and tiles tell apart
  // What the rows hold that a rank forwards: by rank, buffer (none for ranks and buffers that
  // forward nothing) and strip of heads.
  std::vector<std::vector<std::vector<ForwardedRows>>> forwarded;
};

// P14 in total, P24.
absl::StatusOr<Traffic> FollowTraffic(const PlanView& view, Matches matches,
                                      const std::vector<InstructionId>& order);

// That an exchange sends rows on which another one brought: instructions of a forward program.
struct Relay {
  uint32_t brought;
  uint32_t sent;
  bool saved;  // whether the rows are saved

  std::tuple<uint32_t, uint32_t, bool> Key() const { return {brought, sent, saved}; }
};

// All relays of a rank, each once. P24 holds.
std::vector<Relay> FindRelays(const Traffic& traffic, const RankView& rank);

// What the remote buffers of one rank hold in the end: a map for each buffer (empty for those that
// are not remote) and each strip of K/V heads. Runs name the group of their exchange.
using RemoteRows = std::vector<std::vector<RowMap>>;

// P13, P14: what the messages deliver to a rank.
absl::StatusOr<RemoteRows> DeliverRows(const PlanView& view, const Traffic& traffic, uint32_t rank);

// P15 to P18: the rows that the tiles of a rank read.
absl::Status CheckReads(const PlanView& view, const Traffic& traffic, const RemoteRows& remote,
                        uint32_t rank);

// P19: nothing comes that is not used.
absl::Status CheckNeeded(const PlanView& view, const HeadStrips& strips, const RemoteRows& remote,
                         uint32_t rank);

// P20, P21: the rows that the tiles of a rank write.
absl::Status CheckResults(const PlanView& view, uint32_t rank);

// P22, P23: the tiles of all ranks together are the masks of all documents.
absl::Status CheckCoverage(const PlanView& view);

// P26: the buffers of each rank that only backward uses.
absl::Status CheckBackwardBuffers(const PlanView& view);

// The backward instructions that take up one exchange of the forward program.
struct ReversedExchange {
  static constexpr uint32_t kNone = ~uint32_t{0};
  uint32_t resend = kNone;
  uint32_t pack = kNone;
  uint32_t gradients = kNone;
  uint32_t add = kNone;
};

// By instruction of the forward program; of no meaning for attends and exchanges without messages.
using ReversedExchanges = std::vector<ReversedExchange>;

// P27, P28: the instructions of one backward program take up all that the forward program did.
absl::StatusOr<ReversedExchanges> CheckBackwardProgram(const RankView& rank);

// P29: sends of the backward programs meet their receives.
absl::StatusOr<Meetings> MatchBackwardMessages(const PlanView& view);

// P30 to P32, P34: the order of the instructions of one backward program.
absl::Status CheckGradientFlow(const PlanView& view, const Traffic& traffic, const RankView& rank,
                               const ReversedExchanges& reversed);

// Calls use(instruction, buffer) for the buffers that the instructions of one pass of a rank use,
// in the order of the program; also for buffers that lie in no workspace. All rules of one round
// hold.
using UseVisitor = std::function<void(uint32_t instruction, uint32_t buffer)>;
void ForEachForwardUse(const RankView& rank, const UseVisitor& use);
void ForEachBackwardUse(const RankView& rank, const UseVisitor& use);

// P6 of buffers of one workspace of a rank that share bytes: they are used one after the other.
absl::Status CheckForwardReuse(const PlanView& view, const RankView& rank);
absl::Status CheckBackwardReuse(const PlanView& view, const RankView& rank);

}  // namespace flashcp::verifier

#endif  // FLASHCP_RUNTIME_PLAN_VERIFY_RULES_H_
