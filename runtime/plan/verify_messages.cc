// Decides whether messages are well formed and whether sends meet their receives.

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

// Slices that all messages name, counted once for each message and part. Parts may share slices,
// so that a small file could name many; no file of 2 GiB needs more than this.
constexpr uint64_t kMaxSlices = uint64_t{1} << 29;

std::string NameOf(const RankView& rank, size_t message) {
  const fbs::Message& m = rank.messages[message];
  return absl::StrCat("rank ", rank.rank, ", message ", message, " (",
                      IsSend(m) ? "send to" : "receive from", " rank ", m.peer(), ")");
}

// A receive fills a remote or saved buffer; a send reads the caller's K or V, or forwards what was
// received.
bool IsAllowed(fbs::BufferKind kind, bool send) {
  bool own = kind == fbs::BufferKind::key || kind == fbs::BufferKind::value;
  return IsRemote(kind) || (send && own);
}

bool IsKey(fbs::BufferKind kind) { return kind == fbs::BufferKind::key || IsRemoteKey(kind); }

// P9 and P25 of one part.
absl::Status CheckPart(const PlanView& view, const RankView& rank, size_t message,
                       const fbs::Part& part) {
  bool send = IsSend(rank.messages[message]);
  if (part.buffer() >= rank.buffers.size() ||
      !IsAllowed(rank.buffers[part.buffer()].kind(), send)) {
    return Broken("P9", NameOf(rank, message), ": a ", send ? "" : "remote ",
                  "key or value buffer expected, buffer ", part.buffer(), " found");
  }
  const fbs::Buffer& buffer = rank.buffers[part.buffer()];
  const uint32_t heads = view.group.key_value();
  if (part.head_begin() >= part.head_end() || part.head_end() > heads) {
    return Broken("P9", NameOf(rank, message), ": heads in [0, ", heads, ") expected, [",
                  part.head_begin(), ", ", part.head_end(), ") found");
  }
  if (part.slice_begin() == part.slice_end() ||
      !InBounds(part.slice_begin(), part.slice_end(), rank.slices.size())) {
    return Broken("P9", NameOf(rank, message), ": slices in [0, ", rank.slices.size(),
                  ") expected, [", part.slice_begin(), ", ", part.slice_end(), ") found");
  }
  // Rows of K and V are saved or not as the receiver says; those of all other buffers as the buffer
  // says.
  if (IsRemote(buffer.kind()) && part.saved() != IsSaved(buffer.kind())) {
    return Broken("P25", NameOf(rank, message), ": a part of buffer ", part.buffer(), " (",
                  fbs::EnumNameBufferKind(buffer.kind()), ") that is ",
                  IsSaved(buffer.kind()) ? "" : "not ", "saved expected");
  }
  return absl::OkStatus();
}

// P9 of the slices of one part, all in bounds; returns the number of rows.
absl::StatusOr<uint64_t> CountRows(const RankView& rank, size_t message, const fbs::Part& part) {
  const uint64_t buffer_rows = rank.buffers[part.buffer()].rows();
  uint64_t rows = 0;
  for (const fbs::Slice& slice : rank.SlicesOf(part)) {
    rows += slice.count();
    if (slice.count() > 0 && uint64_t{slice.begin()} + slice.count() <= buffer_rows) continue;
    return Broken("P9", NameOf(rank, message), ": 1 or more of rows [0, ", buffer_rows,
                  ") of buffer ", part.buffer(), " expected, slice ", slice.begin(), " + ",
                  slice.count(), " found");
  }
  if (rows > buffer_rows) {
    return Broken("P9", NameOf(rank, message), ": names a row of buffer ", part.buffer(),
                  " more than once");
  }
  return rows;
}

// P9, P10 and P25 of one message; adds the slices it names to `slices`.
absl::Status CheckMessage(const PlanView& view, const RankView& rank, size_t index,
                          uint64_t* slices) {
  const fbs::Message& message = rank.messages[index];
  if (message.direction() > fbs::Direction::MAX || message.peer() >= view.ranks.size() ||
      message.peer() == rank.rank) {
    return Broken("P9", NameOf(rank, index), ": another of ", view.ranks.size(),
                  " ranks and a known direction expected, direction ",
                  static_cast<int>(message.direction()), " found");
  }
  // Tags of a round follow those of the one before, and all are below kGradientTag.
  const uint32_t tags = kGradientTag / view.head_groups;
  if (message.tag() >= tags) {
    return Broken("P9", NameOf(rank, index), ": a tag below ", tags, " expected, ", message.tag(),
                  " found");
  }
  if (message.part_begin() == message.part_end() ||
      !InBounds(message.part_begin(), message.part_end(), rank.parts.size())) {
    return Broken("P9", NameOf(rank, index), ": parts in [0, ", rank.parts.size(), ") expected, [",
                  message.part_begin(), ", ", message.part_end(), ") found");
  }
  uint64_t payload = 0;
  for (const fbs::Part& part : rank.PartsOf(message)) {
    RETURN_IF_ERROR(CheckPart(view, rank, index, part));
    *slices += part.slice_end() - part.slice_begin();
    if (*slices > kMaxSlices) {
      return Broken("P9", NameOf(rank, index), ": messages name more than ", kMaxSlices,
                    " slices in all");
    }
    ASSIGN_OR_RETURN(uint64_t rows, CountRows(rank, index, part));
    // One part is below 2^52 bytes, but a sum of parts may pass 64 bits: stop where it passes what
    // the message states.
    uint64_t head_bytes = uint64_t{view.heads.dim()} * DTypeBytes(view.plan.dtype());
    uint64_t bytes = rows * (part.head_end() - part.head_begin()) * head_bytes;
    if (bytes > message.bytes() - payload) {
      return Broken("P10", NameOf(rank, index), ": ", message.bytes(), " bytes stated, at least ",
                    payload + bytes, " found in its parts");
    }
    payload += bytes;
  }
  if (payload != message.bytes()) {
    return Broken("P10", NameOf(rank, index), ": ", message.bytes(), " bytes stated, ", payload,
                  " found in its parts");
  }
  return absl::OkStatus();
}

// One message in the order in which a pair of ranks exchanges them.
struct Posted {
  uint32_t source;
  uint32_t target;
  uint32_t index;  // in the table of its own rank

  std::pair<uint32_t, uint32_t> Pair() const { return {source, target}; }
};

// All sends, or all receives, by pair of ranks and in program order within.
std::vector<Posted> Collect(const PlanView& view, fbs::Direction direction) {
  std::vector<Posted> posted;
  for (const RankView& rank : view.ranks) {
    for (uint32_t i = 0; i < rank.messages.size(); ++i) {
      const fbs::Message& message = rank.messages[i];
      if (message.direction() != direction) continue;
      posted.push_back(IsSend(message) ? Posted{rank.rank, message.peer(), i}
                                       : Posted{message.peer(), rank.rank, i});
    }
  }
  std::stable_sort(posted.begin(), posted.end(),
                   [](const Posted& a, const Posted& b) { return a.Pair() < b.Pair(); });
  return posted;
}

uint64_t RowsOf(const RankView& rank, const fbs::Part& part) {
  uint64_t rows = 0;
  for (const fbs::Slice& slice : rank.SlicesOf(part)) rows += slice.count();
  return rows;
}

// P11 and P25 of one send and its receive, the `number`-th of their pair of ranks.
absl::Status CheckPair(const RankView& source, uint32_t send_index, const RankView& target,
                       uint32_t receive_index, uint32_t number) {
  const fbs::Message& send = source.messages[send_index];
  const fbs::Message& receive = target.messages[receive_index];
  std::string names =
      absl::StrCat(NameOf(source, send_index), " and ", NameOf(target, receive_index));
  if (send.tag() != number || receive.tag() != number) {
    return Broken("P11", names, ": tag ", number, " expected, ", send.tag(), " and ", receive.tag(),
                  " found");
  }
  absl::Span<const fbs::Part> sent = source.PartsOf(send);
  absl::Span<const fbs::Part> received = target.PartsOf(receive);
  if (send.bytes() != receive.bytes() || sent.size() != received.size()) {
    return Broken("P11", names, ": equal sizes expected, ", send.bytes(), " bytes in ", sent.size(),
                  " parts and ", receive.bytes(), " in ", received.size(), " found");
  }
  for (size_t i = 0; i < sent.size(); ++i) {
    if (IsKey(source.buffers[sent[i].buffer()].kind()) !=
            IsKey(target.buffers[received[i].buffer()].kind()) ||
        sent[i].head_begin() != received[i].head_begin() ||
        sent[i].head_end() != received[i].head_end() ||
        RowsOf(source, sent[i]) != RowsOf(target, received[i])) {
      return Broken("P11", names, ": part ", i, " differs in its tensor, heads or number of rows");
    }
    if (sent[i].saved() != received[i].saved()) {
      return Broken("P25", names, ": part ", i, " is saved on one side only");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMessages(const PlanView& view) {
  uint64_t slices = 0;
  for (const RankView& rank : view.ranks) {
    for (size_t i = 0; i < rank.messages.size(); ++i) {
      RETURN_IF_ERROR(CheckMessage(view, rank, i, &slices));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Matches> MatchMessages(const PlanView& view) {
  Matches matches(view.ranks.size());
  for (const RankView& rank : view.ranks) matches[rank.rank].resize(rank.messages.size());
  std::vector<Posted> sends = Collect(view, fbs::Direction::send);
  std::vector<Posted> receives = Collect(view, fbs::Direction::receive);
  uint32_t number = 0;
  for (size_t i = 0; i < std::max(sends.size(), receives.size()); ++i) {
    if (i >= sends.size() || i >= receives.size() || sends[i].Pair() != receives[i].Pair()) {
      bool send =
          i >= receives.size() || (i < sends.size() && sends[i].Pair() < receives[i].Pair());
      const Posted& alone = send ? sends[i] : receives[i];
      return Broken("P11", NameOf(view.ranks[send ? alone.source : alone.target], alone.index),
                    ": has no partner");
    }
    number = i > 0 && sends[i].Pair() == sends[i - 1].Pair() ? number + 1 : 0;
    auto [source, target] = sends[i].Pair();
    RETURN_IF_ERROR(CheckPair(view.ranks[source], sends[i].index, view.ranks[target],
                              receives[i].index, number));
    matches[source][sends[i].index] = receives[i].index;
    matches[target][receives[i].index] = sends[i].index;
  }
  return matches;
}

}  // namespace flashcp::verifier
