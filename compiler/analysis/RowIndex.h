// Where tokens are: the row of each token in rows that hold a list of token
// ranges, one after the other, as layouts, exchanges and buffers do.

#ifndef FLASHCP_COMPILER_ANALYSIS_ROWINDEX_H
#define FLASHCP_COMPILER_ANALYSIS_ROWINDEX_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/ArrayRef.h"
#include <cstdint>
#include <optional>
#include <vector>

namespace flashcp {

class RowIndex {
public:
  /// `ranges` holds document, begin, end of each range, in order of document
  /// and begin. Ranges of a document may overlap (transfers that were not
  /// coalesced); then any of the rows of a token may be found.
  explicit RowIndex(llvm::ArrayRef<int64_t> ranges);

  /// Row of `begin` in a range that holds all of [begin, end), if there is one.
  /// O(log R) for the R ranges of the document.
  std::optional<uint32_t> find(int64_t document, int64_t begin,
                               int64_t end) const;

  uint32_t numRows() const { return rows; }

private:
  struct Range {
    int64_t begin, end;
    uint32_t row;
  };
  std::vector<Range> ranges;
  std::vector<uint32_t> firstRange; // by document; one more than documents
  uint32_t rows = 0;
};

} // namespace flashcp

#endif // FLASHCP_COMPILER_ANALYSIS_ROWINDEX_H
