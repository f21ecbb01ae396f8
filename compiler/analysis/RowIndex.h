// Finds the row of a token in rows that hold token ranges one after the other,
// as layouts, exchanges and buffers do.

#ifndef FLASHCP_COMPILER_ANALYSIS_ROWINDEX_H
#define FLASHCP_COMPILER_ANALYSIS_ROWINDEX_H

#include "dialects/cp/CPEntries.h"
#include <optional>
#include <vector>

namespace flashcp {

class RowIndex {
public:
  RowIndex() : RowIndex(llvm::ArrayRef<cp::TokenRange>()) {}
  /// Indexes ranges in order of document and begin. Ranges of a document may
  /// overlap (transfers that were not coalesced); then any of the rows of a
  /// token may be found.
  explicit RowIndex(llvm::ArrayRef<cp::TokenRange> ranges) { addAll(ranges); }
  explicit RowIndex(llvm::ArrayRef<cp::ReceivedRange> ranges) {
    addAll(ranges);
  }

  /// Returns the row of `begin` in a range that holds all of [begin, end), if
  /// there is one. O(log R) for the R ranges of the document.
  std::optional<uint32_t> find(int64_t document, int64_t begin,
                               int64_t end) const;

  uint32_t numRows() const { return rows; }

private:
  struct Placed {
    int64_t begin, end;
    uint32_t row;
  };

  template <typename Range> void addAll(llvm::ArrayRef<Range> ranges) {
    placed.reserve(ranges.size());
    for (const Range &range : ranges) {
      firstPlaced.resize(range.document + 1, placed.size());
      placed.push_back({range.begin, range.end, rows});
      rows += range.size();
    }
    firstPlaced.push_back(placed.size());
  }

  std::vector<Placed> placed;
  std::vector<uint32_t> firstPlaced; // by document; one more than documents
  uint32_t rows = 0;
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_ROWINDEX_H
