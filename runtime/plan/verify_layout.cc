// Decides whether every token has exactly one owner, whether the owners have equal shares, and
// whether the buffers of each rank have the right shapes and places.

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

uint64_t TokensOf(const RankView& rank) {
  uint64_t tokens = 0;
  for (const fbs::TokenRange& range : rank.layout) tokens += range.end() - range.begin();
  return tokens;
}

// P4. Multiplied before it is divided, so that whole percents of whole tokens come out exact.
absl::Status CheckEqualTokens(const PlanView& view) {
  uint64_t total = 0;
  for (const fbs::Document& document : view.documents) total += document.length();
  const double slack = view.plan.slack_percent();
  const uint64_t ranks = view.ranks.size();
  const uint64_t floor = slack > 0 ? 0 : total / ranks;
  const double cap =
      slack > 0 ? std::ceil(total * (100 + slack) / (100.0 * ranks)) : (total + ranks - 1) / ranks;
  for (const RankView& rank : view.ranks) {
    uint64_t tokens = TokensOf(rank);
    if (tokens < floor || tokens > cap) {
      return Broken("P4", "rank ", rank.rank, ": ", floor, " to ", cap, " of ", total,
                    " tokens expected at slack ", slack, " %, ", tokens, " found");
    }
  }
  return absl::OkStatus();
}

// The shape that a buffer of some kind must have.
struct Shape {
  fbs::DType dtype;
  uint32_t heads;
  uint32_t dim;
};

Shape ExpectedShape(const PlanView& view, fbs::BufferKind kind) {
  const fbs::HeadShape& all = view.heads;
  const fbs::HeadShape& group = view.group;
  const uint32_t dim = all.dim();
  const fbs::DType dtype = view.plan.dtype();
  switch (kind) {
    case fbs::BufferKind::query:
    case fbs::BufferKind::output:
    case fbs::BufferKind::output_gradient:
    case fbs::BufferKind::query_gradient:
      return {dtype, all.query(), dim};
    case fbs::BufferKind::lse:
      return {fbs::DType::f32, all.query(), 1};
    case fbs::BufferKind::delta:
      return {fbs::DType::f32, group.query(), 1};
    case fbs::BufferKind::accumulator:
    case fbs::BufferKind::query_sum:
      return {fbs::DType::f32, group.query(), dim};
    case fbs::BufferKind::key_sum:
    case fbs::BufferKind::value_sum:
    case fbs::BufferKind::remote_key_sum:
    case fbs::BufferKind::remote_value_sum:
      return {fbs::DType::f32, group.key_value(), dim};
    case fbs::BufferKind::incoming:
      return {dtype, 1, dim};
    case fbs::BufferKind::remote_key:
    case fbs::BufferKind::remote_value:
    case fbs::BufferKind::outgoing_key:
    case fbs::BufferKind::outgoing_value:
      return {dtype, group.key_value(), dim};
    case fbs::BufferKind::key:
    case fbs::BufferKind::value:
    case fbs::BufferKind::key_gradient:
    case fbs::BufferKind::value_gradient:
    case fbs::BufferKind::saved_key:
    case fbs::BufferKind::saved_value:
      break;
  }
  return {dtype, all.key_value(), dim};
}

// Kind and shape: P5 for the caller's tensors, P6 for the others.
absl::Status CheckShape(const PlanView& view, const RankView& rank, size_t index) {
  const fbs::Buffer& buffer = rank.buffers[index];
  if (buffer.kind() > fbs::BufferKind::MAX) {
    return Broken("P5", "rank ", rank.rank, ", buffer ", index, ": unknown kind ",
                  static_cast<int>(buffer.kind()));
  }
  Shape shape = ExpectedShape(view, buffer.kind());
  if (buffer.dtype() != shape.dtype || buffer.heads() != shape.heads || buffer.dim() != shape.dim) {
    return Broken(IsCallers(buffer.kind()) ? "P5" : "P6", "rank ", rank.rank, ", buffer ", index,
                  " (", fbs::EnumNameBufferKind(buffer.kind()), "): ", shape.heads, " heads of ",
                  shape.dim, " ", fbs::EnumNameDType(shape.dtype), " expected, ", buffer.heads(),
                  " of ", buffer.dim(), " of dtype ", static_cast<int>(buffer.dtype()), " found");
  }
  return absl::OkStatus();
}

// P5: one of each of the caller's tensors, with the rows of the layout.
absl::Status CheckCallerBuffers(const PlanView& view, const RankView& rank) {
  std::array<int, static_cast<int>(fbs::BufferKind::MAX) + 1> count = {};
  const uint64_t tokens = TokensOf(rank);
  for (size_t i = 0; i < rank.buffers.size(); ++i) {
    RETURN_IF_ERROR(CheckShape(view, rank, i));
    const fbs::Buffer& buffer = rank.buffers[i];
    ++count[static_cast<int>(buffer.kind())];
    if (!IsCallers(buffer.kind())) continue;
    if (buffer.rows() != tokens || buffer.offset() != 0 || buffer.places() != 1) {
      return Broken("P5", "rank ", rank.rank, ", buffer ", i, " (",
                    fbs::EnumNameBufferKind(buffer.kind()), "): ", tokens,
                    " rows in one place at offset 0 expected, ", buffer.rows(), " in ",
                    static_cast<int>(buffer.places()), " at ", buffer.offset(), " found");
    }
  }
  for (fbs::BufferKind kind : fbs::EnumValuesBufferKind()) {
    if (IsCallers(kind) && count[static_cast<int>(kind)] != 1) {
      return Broken("P5", "rank ", rank.rank, ": one ", fbs::EnumNameBufferKind(kind),
                    " buffer expected, ", count[static_cast<int>(kind)], " found");
    }
  }
  return absl::OkStatus();
}

// A memory of a rank, and which buffers lie in it.
struct Memory {
  const char* name;
  uint64_t bytes;
  bool (*holds)(fbs::BufferKind kind);
};

// P6: the buffers of one memory lie inside of it, aligned.
absl::Status CheckPlacement(const RankView& rank, const Memory& memory) {
  for (size_t i = 0; i < rank.buffers.size(); ++i) {
    const fbs::Buffer& buffer = rank.buffers[i];
    if (!memory.holds(buffer.kind())) continue;
    const bool once = IsSaved(buffer.kind());
    if (buffer.places() == 0 || (once && buffer.places() > 1)) {
      return Broken("P6", "rank ", rank.rank, ", buffer ", i, " (",
                    fbs::EnumNameBufferKind(buffer.kind()), "): 1 place ", once ? "" : "or more ",
                    "expected, ", static_cast<int>(buffer.places()), " found");
    }
    // At most 2^54 bytes a place.
    const uint64_t bytes = (buffer.places() - 1) * StrideOf(buffer) + BytesOf(buffer);
    if (buffer.offset() % kAlignment != 0 || buffer.offset() > memory.bytes ||
        bytes > memory.bytes - buffer.offset()) {
      return Broken("P6", "rank ", rank.rank, ", buffer ", i, " (",
                    fbs::EnumNameBufferKind(buffer.kind()), "): ", bytes,
                    " bytes at a multiple of ", kAlignment, " in a ", memory.name, " of ",
                    memory.bytes, " bytes expected, offset ", buffer.offset(), " found");
    }
  }
  return absl::OkStatus();
}

// P6: saved buffers are apart, since all of them are used until the end.
absl::Status CheckSavedApart(const RankView& rank) {
  std::vector<std::pair<uint64_t, size_t>> by_offset;
  for (size_t i = 0; i < rank.buffers.size(); ++i) {
    const fbs::Buffer& buffer = rank.buffers[i];
    if (IsSaved(buffer.kind()) && buffer.rows() > 0) by_offset.push_back({buffer.offset(), i});
  }
  std::sort(by_offset.begin(), by_offset.end());
  for (size_t i = 1; i < by_offset.size(); ++i) {
    auto [offset, before] = by_offset[i - 1];
    if (offset + BytesOf(rank.buffers[before]) > by_offset[i].first) {
      return Broken("P6", "rank ", rank.rank, ": buffers ", before, " and ", by_offset[i].second,
                    " overlap at offset ", by_offset[i].first, " of the saved memory");
    }
  }
  return absl::OkStatus();
}

// P36 of one memory.
absl::Status CheckEnd(const RankView& rank, const Memory& memory) {
  uint64_t end = 0;
  for (const fbs::Buffer& buffer : rank.buffers) {
    if (!memory.holds(buffer.kind())) continue;
    end =
        std::max(end, buffer.offset() + (buffer.places() - 1) * StrideOf(buffer) + BytesOf(buffer));
  }
  const uint64_t most = (end + kAlignment - 1) / kAlignment * kAlignment;
  if (memory.bytes <= most) return absl::OkStatus();
  return Broken("P36", "rank ", rank.rank, ": a ", memory.name, " of at most ", most,
                " bytes expected, since its buffers end at ", end, ", ", memory.bytes, " found");
}

// The memories of a rank.
std::array<Memory, 3> MemoriesOf(const RankView& rank) {
  return {Memory{"forward workspace", rank.workspace_bytes, IsInForwardWorkspace},
          Memory{"backward workspace", rank.backward_workspace_bytes, IsInBackwardWorkspace},
          Memory{"saved memory", rank.saved_bytes, IsSaved}};
}

absl::Status CheckLimit(const PlanView& view, const RankView& rank) {
  const uint64_t limit = view.plan.workspace_limit_bytes();
  if (limit == 0 || std::max(rank.workspace_bytes, rank.backward_workspace_bytes) <= limit) {
    return absl::OkStatus();
  }
  return Broken("P35", "rank ", rank.rank, ": workspaces of at most ", limit,
                " bytes expected, forward ", rank.workspace_bytes, " and backward ",
                rank.backward_workspace_bytes, " found");
}

}  // namespace

// P3 by sorting all layout ranges, O(S log S), and walking along each document.
absl::Status CheckOwnership(const PlanView& view) {
  using Owned = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;  // document, begin, end, rank
  std::vector<Owned> owned;
  for (const RankView& rank : view.ranks) {
    for (const fbs::TokenRange& range : rank.layout) {
      if (range.document() >= view.documents.size() || range.begin() >= range.end() ||
          range.end() > view.documents[range.document()].length()) {
        return Broken("P3", "rank ", rank.rank, ": layout range [", range.begin(), ", ",
                      range.end(), ") of document ", range.document(),
                      " is empty or outside of it");
      }
      owned.emplace_back(range.document(), range.begin(), range.end(), rank.rank);
    }
  }
  std::sort(owned.begin(), owned.end());
  size_t next = 0;
  for (uint32_t d = 0; d < view.documents.size(); ++d) {
    uint32_t position = 0;
    for (; next < owned.size() && std::get<0>(owned[next]) == d; ++next) {
      auto [document, begin, end, rank] = owned[next];
      if (begin < position) {
        return Broken("P3", "rank ", rank, ": token ", begin, " of document ", d,
                      " already has an owner");
      }
      if (begin > position) break;
      position = end;
    }
    if (position != view.documents[d].length()) {
      return Broken("P3", "token ", position, " of document ", d, " has no owner");
    }
  }
  return CheckEqualTokens(view);
}

std::vector<RowMap> CallerRows(const PlanView& view) {
  std::vector<RowMap> maps(view.ranks.size());
  for (const RankView& rank : view.ranks) {
    uint32_t row = 0;
    for (const fbs::TokenRange& range : rank.layout) {
      uint32_t count = range.end() - range.begin();
      maps[rank.rank].Add({row, count, range.document(), range.begin(), 0});
      row += count;
    }
  }
  return maps;
}

absl::Status CheckBuffers(const PlanView& view) {
  for (const RankView& rank : view.ranks) {
    RETURN_IF_ERROR(CheckCallerBuffers(view, rank));
    RETURN_IF_ERROR(CheckLimit(view, rank));
    for (const Memory& memory : MemoriesOf(rank)) {
      RETURN_IF_ERROR(CheckPlacement(rank, memory));
    }
    RETURN_IF_ERROR(CheckSavedApart(rank));
  }
  return absl::OkStatus();
}

absl::Status CheckMemoryEnds(const PlanView& view) {
  for (const RankView& rank : view.ranks) {
    for (const Memory& memory : MemoriesOf(rank)) RETURN_IF_ERROR(CheckEnd(rank, memory));
  }
  return absl::OkStatus();
}

}  // namespace flashcp::verifier
