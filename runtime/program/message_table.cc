#include "runtime/program/message_table.h"

namespace flashcp {

void MessageTable::AddMessage(Transfer::Direction direction, uint32_t peer, uint32_t tag) {
  first_run_.push_back(runs_.size());
  transfers_.push_back({direction, static_cast<int>(peer), tag, {}});
}

void MessageTable::AddRun(uint32_t buffer, uint64_t offset, uint64_t size) {
  bool extends = runs_.size() > first_run_.back() && runs_.back().buffer == buffer &&
                 runs_.back().offset + runs_.back().size == offset;
  if (extends) {
    runs_.back().size += size;
  } else {
    runs_.push_back({buffer, offset, size});
  }
}

void MessageTable::AddPart(const fbs::Part& part, absl::Span<const fbs::Slice> slices) {
  const uint64_t row_bytes = memory_.RowBytes(part.buffer());
  const uint64_t head_bytes = memory_.HeadBytes(part.buffer());
  const uint64_t size = (part.head_end() - part.head_begin()) * head_bytes;
  for (const fbs::Slice& slice : slices) {
    if (size == row_bytes) {
      AddRun(part.buffer(), slice.begin() * row_bytes, slice.count() * row_bytes);
      continue;
    }
    for (uint64_t row = slice.begin(); row < uint64_t{slice.begin()} + slice.count(); ++row) {
      AddRun(part.buffer(), row * row_bytes + part.head_begin() * head_bytes, size);
    }
  }
}

void MessageTable::Finish() {
  first_run_.push_back(runs_.size());
  bytes_.resize(runs_.size());
  for (size_t m = 0; m < transfers_.size(); ++m) {
    transfers_[m].runs =
        absl::MakeConstSpan(bytes_).subspan(first_run_[m], first_run_[m + 1] - first_run_[m]);
  }
}

void MessageTable::Bind() {
  for (size_t i = 0; i < runs_.size(); ++i) {
    bytes_[i] = {memory_.First(runs_[i].buffer) + runs_[i].offset, runs_[i].size};
  }
}

}  // namespace flashcp
