// Moves, clears and products in slices of about equal size. Moves that add to the same rows are in
// one item, in their order; all others are independent, and small ones share an item.

#include <algorithm>
#include <map>
#include <tuple>

#include "runtime/cuda/launch_items.h"
#include "runtime/cuda/tile_cuts.h"

namespace flashcp::gpu {
namespace {

constexpr uint64_t kItemBytes = 64 << 10;  // of the side with the larger elements
constexpr uint64_t kClearFloats = 16 << 10;
constexpr int kProductHeads = 512;  // rows times heads of an item

struct ElementBytes {
  uint64_t source;
  uint64_t target;
};

ElementBytes BytesOf(Launch::Kind kind) {
  switch (kind) {
    case Launch::Kind::kRound:
      return {4, 2};
    case Launch::Kind::kAdd:
      return {2, 4};
    default:
      return {1, 1};
  }
}

uint64_t ItemElements(Launch::Kind kind) {
  const ElementBytes bytes = BytesOf(kind);
  return kItemBytes / std::max(bytes.source, bytes.target);
}

gpu::BufferByte DeviceByte(flashcp::BufferByte byte) { return {byte.offset, byte.buffer, 0}; }

Move MoveOf(const MoveEntry& entry) {
  return {DeviceByte(entry.source),
          DeviceByte(entry.target),
          entry.source_stride,
          entry.target_stride,
          static_cast<uint32_t>(entry.count),
          static_cast<uint32_t>(entry.rows),
          0};
}

// Keeps rows [begin, end) of the move.
MoveEntry RowsOf(MoveEntry entry, uint64_t begin, uint64_t end) {
  entry.source.offset += begin * entry.source_stride;
  entry.target.offset += begin * entry.target_stride;
  entry.rows = end - begin;
  return entry;
}

class MoveBuilder {
 public:
  explicit MoveBuilder(Launch::Kind kind) : bytes_(BytesOf(kind)), most_(ItemElements(kind)) {}

  // Adds moves of equal heights, as items of some rows of all of them.
  void AddTogether(absl::Span<const MoveEntry> entries) {
    const uint32_t begin = work_.moves.size();
    uint64_t rows = 0, count = 0;
    for (const MoveEntry& entry : entries) {
      work_.moves.push_back(MoveOf(entry));
      rows = std::max(rows, entry.rows);
      count += entry.count;
    }
    const uint64_t step = std::max<uint64_t>(most_ / std::max<uint64_t>(count, 1), 1);
    for (uint64_t row = 0; row < rows; row += step) AddItem(begin, row, std::min(row + step, rows));
  }

  // Adds moves as one item.
  void AddWhole(absl::Span<const MoveEntry> entries) {
    const uint32_t begin = work_.moves.size();
    uint64_t rows = 0;
    for (const MoveEntry& entry : entries) {
      work_.moves.push_back(MoveOf(entry));
      rows = std::max(rows, entry.rows);
    }
    AddItem(begin, 0, rows);
  }

  // Adds a move that no other meets. A long row becomes several.
  void AddAlone(const MoveEntry& entry) {
    if (entry.rows == 1 && entry.count > most_) return AddLongRow(entry);
    if (entry.rows * entry.count > most_ / 2) return AddTogether({entry});
    small_.push_back(entry);
    small_elements_ += entry.rows * entry.count;
    if (small_elements_ > most_ / 2) EndSmall();
  }

  MoveWork Finish() {
    EndSmall();
    return std::move(work_);
  }

 private:
  void AddItem(uint32_t begin, uint64_t row_begin, uint64_t row_end) {
    work_.items.push_back({begin, static_cast<uint32_t>(work_.moves.size()),
                           static_cast<uint32_t>(row_begin), static_cast<uint32_t>(row_end)});
  }

  void AddLongRow(const MoveEntry& entry) {
    MoveEntry whole = entry, rest = entry;
    whole.rows = entry.count / most_;
    whole.count = most_;
    whole.source_stride = most_ * bytes_.source;
    whole.target_stride = most_ * bytes_.target;
    AddTogether({whole});
    rest.count = entry.count % most_;
    rest.source.offset += whole.rows * whole.source_stride;
    rest.target.offset += whole.rows * whole.target_stride;
    if (rest.count > 0) AddAlone(rest);
  }

  void EndSmall() {
    if (!small_.empty()) AddWhole(small_);
    small_.clear();
    small_elements_ = 0;
  }

  const ElementBytes bytes_;
  const uint64_t most_;  // elements of an item
  MoveWork work_;
  std::vector<MoveEntry> small_;
  uint64_t small_elements_ = 0;
};

// The rows of a buffer that a move writes; row_bytes are the buffer's.
flashcp::BufferRow TargetOf(const MoveEntry& entry, uint64_t row_bytes) {
  return {entry.target.buffer, static_cast<uint32_t>(entry.target.offset / row_bytes)};
}

// Whether each row of the move lies in one row of the buffer, and the next one in the next.
bool FollowsRows(const MoveEntry& entry, uint64_t row_bytes) {
  return row_bytes > 0 && (entry.rows == 1 || entry.target_stride == row_bytes) &&
         entry.target.offset % row_bytes + entry.count * sizeof(float) <= row_bytes;
}

// Adds the moves to one buffer.
void AddInOrder(absl::Span<const MoveEntry> entries, uint64_t row_bytes, MoveBuilder* builder) {
  auto follows = [&](const MoveEntry& entry) { return FollowsRows(entry, row_bytes); };
  if (!std::all_of(entries.begin(), entries.end(), follows)) return builder->AddWhole(entries);
  RowCuts cuts;
  for (const MoveEntry& entry : entries) cuts.Add(TargetOf(entry, row_bytes), entry.rows);
  std::map<uint32_t, std::vector<MoveEntry>> by_row;
  for (const MoveEntry& entry : entries) {
    const flashcp::BufferRow target = TargetOf(entry, row_bytes);
    cuts.ForEachPiece(target, entry.rows, [&](int64_t begin, int64_t end) {
      by_row[target.row + begin].push_back(RowsOf(entry, begin, end));
    });
  }
  for (const auto& [row, moves] : by_row) builder->AddTogether(moves);
}

}  // namespace

MoveWork BuildMoves(Launch::Kind kind, absl::Span<const MoveEntry> entries,
                    absl::Span<const uint64_t> row_bytes) {
  MoveBuilder builder(kind);
  std::map<uint32_t, std::vector<MoveEntry>> by_target;
  for (const MoveEntry& entry : entries) {
    if (entry.rows == 0 || entry.count == 0) continue;
    if (kind == Launch::Kind::kAdd) {
      by_target[entry.target.buffer].push_back(entry);
    } else {
      builder.AddAlone(entry);
    }
  }
  for (const auto& [buffer, moves] : by_target) AddInOrder(moves, row_bytes[buffer], &builder);
  return builder.Finish();
}

std::vector<ClearItem> BuildClears(absl::Span<const ClearEntry> entries) {
  std::vector<ClearItem> items;
  for (const ClearEntry& entry : entries) {
    for (uint64_t begin = 0; begin < entry.count; begin += kClearFloats) {
      const gpu::BufferByte first = {begin * sizeof(float), entry.buffer, 0};
      items.push_back({first, std::min(kClearFloats, entry.count - begin), 0});
    }
  }
  return items;
}

std::vector<ProductItem> BuildProducts(const KernelSpec& spec,
                                       absl::Span<const ProductEntry> entries) {
  const uint32_t step = std::max(kProductHeads / spec.query_heads, 1);
  std::vector<ProductItem> items;
  for (const ProductEntry& entry : entries) {
    for (uint32_t row = 0; row < entry.rows; row += step) {
      items.push_back({entry.output,
                       entry.output_gradient,
                       entry.sums,
                       row,
                       std::min(row + step, entry.rows),
                       {}});
    }
  }
  return items;
}

}  // namespace flashcp::gpu
