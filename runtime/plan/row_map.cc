// Sorted runs of rows, joined with their neighbours when they continue them.

#include "runtime/plan/row_map.h"

#include <algorithm>
#include <iterator>

namespace flashcp::verifier {
namespace {

bool Continues(const RowRun& run, const RowRun& next) {
  return next.row == run.end() && next.document == run.document &&
         next.position == run.position + run.count && next.exchange == run.exchange;
}

bool ByRow(const RowRun& a, const RowRun& b) { return a.row < b.row; }

// Sorts by merging the ascending stretches, two by two: O(n log k) for k of them. Every message
// brings an ascending stretch, so that k is far below n.
void MergeStretches(std::vector<RowRun>* runs) {
  std::vector<size_t> bounds = {0};
  for (size_t i = 1; i < runs->size(); ++i) {
    if (ByRow((*runs)[i], (*runs)[i - 1])) bounds.push_back(i);
  }
  bounds.push_back(runs->size());
  std::vector<RowRun> merged;
  while (bounds.size() > 2) {
    merged.clear();
    merged.reserve(runs->size());
    std::vector<size_t> merged_bounds = {0};
    for (size_t i = 0; i + 1 < bounds.size(); i += 2) {
      auto begin = runs->begin();
      size_t end = bounds[std::min(i + 2, bounds.size() - 1)];
      std::merge(begin + bounds[i], begin + bounds[i + 1], begin + bounds[i + 1], begin + end,
                 std::back_inserter(merged), ByRow);
      merged_bounds.push_back(end);
    }
    runs->swap(merged);
    bounds.swap(merged_bounds);
  }
}

}  // namespace

void RowMap::Add(const RowRun& run) {
  if (!runs_.empty() && Continues(runs_.back(), run)) {
    runs_.back().count += run.count;
  } else {
    runs_.push_back(run);
  }
}

bool RowMap::Finish(uint64_t* repeated) {
  MergeStretches(&runs_);
  size_t last = 0;
  for (size_t i = 1; i < runs_.size(); ++i) {
    if (runs_[i].row < runs_[last].end()) {
      *repeated = runs_[i].row;
      return false;
    }
    if (Continues(runs_[last], runs_[i])) {
      runs_[last].count += runs_[i].count;
    } else {
      runs_[++last] = runs_[i];
    }
  }
  if (!runs_.empty()) runs_.resize(last + 1);
  return true;
}

const RowRun* RowMap::Find(uint64_t row, size_t* cursor) const {
  size_t i = *cursor;
  if (i < runs_.size() && runs_[i].end() <= row) ++i;
  bool hit = i < runs_.size() && runs_[i].row <= row && row < runs_[i].end();
  if (!hit) {
    auto after = std::upper_bound(runs_.begin(), runs_.end(), row,
                                  [](uint64_t r, const RowRun& run) { return r < run.row; });
    if (after == runs_.begin() || row >= std::prev(after)->end()) return nullptr;
    i = std::prev(after) - runs_.begin();
  }
  *cursor = i;
  return &runs_[i];
}

void ForwardedRows::FinishWanted() {
  std::sort(wanted_.begin(), wanted_.end());
  size_t last = 0;
  for (size_t i = 1; i < wanted_.size(); ++i) {
    if (wanted_[i].first <= wanted_[last].second) {
      wanted_[last].second = std::max(wanted_[last].second, wanted_[i].second);
    } else {
      wanted_[++last] = wanted_[i];
    }
  }
  if (!wanted_.empty()) wanted_.resize(last + 1);
}

bool ForwardedRows::Add(RowRun run) {
  auto wanted =
      std::upper_bound(wanted_.begin(), wanted_.end(), uint64_t{run.row},
                       [](uint64_t row, const auto& range) { return row < range.second; });
  for (; wanted != wanted_.end() && wanted->first < run.end(); ++wanted) {
    uint32_t begin = std::max<uint64_t>(run.row, wanted->first);
    uint32_t end = std::min(run.end(), wanted->second);
    if (!Insert({begin, end - begin, run.document, run.position + (begin - run.row), run.exchange}))
      return false;
  }
  return true;
}

bool ForwardedRows::Insert(const RowRun& run) {
  auto next = runs_.lower_bound(run.row);
  if (next != runs_.end() && next->first < run.end()) return false;
  if (next != runs_.begin()) {
    RowRun& before = std::prev(next)->second;
    if (before.end() > run.row) return false;
    if (Continues(before, run)) {
      before.count += run.count;
      return true;
    }
  }
  runs_.emplace_hint(next, run.row, run);
  return true;
}

const RowRun* ForwardedRows::Find(uint64_t row, Cursor* cursor) const {
  auto holds = [&](Cursor at) {
    return at != runs_.end() && at->first <= row && row < at->second.end();
  };
  if (*cursor != runs_.end() && !holds(*cursor)) ++*cursor;
  if (!holds(*cursor)) {
    *cursor = runs_.upper_bound(row);
    if (*cursor == runs_.begin() || !holds(--*cursor)) return nullptr;
  }
  return &(*cursor)->second;
}

void HeadStrips::Finish() {
  // Cut i ends strip i - 1 and begins strip i; heads + 1 positions, the last cut is at `heads`.
  uint32_t cuts = 0;
  for (uint32_t& index : index_) {
    bool cut = index != 0;
    index = cuts;
    cuts += cut;
  }
}

}  // namespace flashcp::verifier
