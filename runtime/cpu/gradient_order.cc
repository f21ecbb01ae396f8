// Counters of tiles per row: a tile may add once all before it have.

#include "runtime/cpu/gradient_order.h"

#include <algorithm>

namespace flashcp {
namespace {

using Lock = std::unique_lock<std::mutex>;

// Rows [a_begin, a_end) of one matrix and [b_begin, b_end) of another, of the same row size.
bool Overlap(const float* a, int64_t a_begin, int64_t a_end, const float* b, int64_t b_begin,
             int64_t b_end, int64_t row) {
  const auto address = [row](const float* matrix, int64_t i) {
    return reinterpret_cast<uintptr_t>(matrix) + i * row * static_cast<int64_t>(sizeof(float));
  };
  return a_begin < a_end && b_begin < b_end && address(a, a_begin) < address(b, b_end) &&
         address(b, b_begin) < address(a, a_end);
}

}  // namespace

void GradientOrder::Start(absl::Span<const BackwardTile> tiles) {
  Lock lock(mutex_);
  tiles_ = tiles;
  next_ = {};
}

bool GradientOrder::Take(int worker, BackwardPart* part) {
  Lock lock(mutex_);
  Active& active = active_[worker];
  active.busy = NextPart(&next_, part);
  if (active.busy) {
    active.number = num_taken_++;
    active.part = *part;
    active.keys = {0, part->tile->key_count};
  }
  changed_.notify_all();
  return active.busy;
}

bool GradientOrder::Peek(BackwardPart* part) {
  Lock lock(mutex_);
  Place place = next_;
  return NextPart(&place, part);
}

// Parts of a head of keys and values follow each other by tile, then by query row.
bool GradientOrder::NextPart(Place* place, BackwardPart* part) const {
  const int group = spec_.query_heads / spec_.key_value_heads;
  auto& [index, head, row] = *place;
  for (; index < tiles_.size(); ++index, head = 0) {
    const BackwardTile& tile = tiles_[index];
    head = std::max(head, tile.head_begin);
    if (head >= tile.head_end || tile.query_count == 0) continue;
    const int group_end = std::min(tile.head_end, (head / group + 1) * group);
    const int heads = std::min(group_end - head, kUnitRows);
    const int64_t row_end = std::min(row + kUnitRows / heads, tile.query_count);
    *part = {&tile, {row, row_end, head, head + heads}};
    row = row_end;
    if (row == tile.query_count) {
      row = 0;
      head += heads;
    }
    return true;
  }
  return false;
}

void GradientOrder::Narrow(int worker, KeyRange keys) {
  Lock lock(mutex_);
  active_[worker].keys = keys;
  changed_.notify_all();
}

void GradientOrder::ReleaseKeys(int worker, int64_t end) {
  Lock lock(mutex_);
  active_[worker].keys.begin = end;
  changed_.notify_all();
}

template <typename Conflict>
bool GradientOrder::Earlier(int worker, const Conflict& conflict) const {
  const Active& own = active_[worker];
  return std::any_of(active_.begin(), active_.end(), [&](const Active& other) {
    return other.busy && other.number < own.number &&
           KeyValueHead(other.part) == KeyValueHead(own.part) && conflict(other, own);
  });
}

bool GradientOrder::ShareKeys(const Active& a, const Active& b, KeyRange keys) const {
  const BackwardTile &x = *a.part.tile, &y = *b.part.tile;
  const int64_t heads = spec_.key_value_heads;
  return Overlap(x.key_gradient, a.keys.begin, a.keys.end, y.key_gradient, keys.begin, keys.end,
                 heads * spec_.dim) ||
         Overlap(x.value_gradient, a.keys.begin, a.keys.end, y.value_gradient, keys.begin, keys.end,
                 heads * spec_.value_dim);
}

bool GradientOrder::ShareQueries(const Active& a, const Active& b) const {
  const QueryRange &x = a.part.queries, &y = b.part.queries;
  return Overlap(a.part.tile->query_gradient, x.row_begin, x.row_end, b.part.tile->query_gradient,
                 y.row_begin, y.row_end, int64_t{spec_.query_heads} * spec_.dim);
}

void GradientOrder::AwaitKeys(int worker, KeyRange keys) {
  Lock lock(mutex_);
  changed_.wait(lock, [&] {
    return !Earlier(worker, [&](const Active& other, const Active& own) {
      return ShareKeys(other, own, keys);
    });
  });
}

void GradientOrder::AwaitQueries(int worker) {
  Lock lock(mutex_);
  changed_.wait(lock, [&] {
    return !Earlier(
        worker, [&](const Active& other, const Active& own) { return ShareQueries(other, own); });
  });
}

}  // namespace flashcp
