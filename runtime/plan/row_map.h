// What the rows of a buffer hold, as symbols: runs of rows that hold consecutive tokens of one
// document.

#ifndef FLASHCP_RUNTIME_PLAN_ROW_MAP_H_
#define FLASHCP_RUNTIME_PLAN_ROW_MAP_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace flashcp::verifier {

// Rows [row, row + count) hold tokens [position, position + count) of a document.
struct RowRun {
  uint32_t row;
  uint32_t count;
  uint32_t document;
  uint32_t position;
  uint32_t exchange;  // the instruction that wrote them; the same for all of the caller's rows

  uint64_t end() const { return uint64_t{row} + count; }
};

class RowMap {
 public:
  // Adds rows, in any order; one run where they continue what the last call added.
  void Add(const RowRun& run);

  // Sorts by row, O(n log n), and makes runs as long as they can be. False if rows were added
  // twice; `repeated` is the first of them.
  bool Finish(uint64_t* repeated);

  // After Finish: the run that holds `row`, or null. O(log n), O(1) when rows are asked for in
  // increasing order; `cursor` is the caller's, initially 0.
  const RowRun* Find(uint64_t row, size_t* cursor) const;

  const std::vector<RowRun>& runs() const { return runs_; }

 private:
  std::vector<RowRun> runs_;
};

// The rows of a remote buffer that are sent on, of one strip of heads, learned piece by piece:
// unlike a RowMap, it may be asked in between.
class ForwardedRows {
 public:
  // Rows [begin, end) are sent on. All of these first, then FinishWanted.
  void Want(uint64_t begin, uint64_t end) { wanted_.push_back({begin, end}); }
  void FinishWanted();

  // Notes those of the rows that are sent on. False if one of them is there already. O(log n)
  // for each range of wanted rows that they meet.
  bool Add(RowRun run);

  // The run that holds `row`, or null. O(log n), O(1) when rows are asked for in increasing order;
  // `cursor` is the caller's, initially First().
  using Cursor = std::map<uint64_t, RowRun>::const_iterator;
  Cursor First() const { return runs_.begin(); }
  const RowRun* Find(uint64_t row, Cursor* cursor) const;

 private:
  bool Insert(const RowRun& run);

  std::vector<std::pair<uint64_t, uint64_t>> wanted_;  // disjoint and in order, when finished
  std::map<uint64_t, RowRun> runs_;                    // by first row
};

// Cuts the heads of a tensor where a head range begins or ends, so that all ranges are made of
// whole strips: work by strip then needs no second dimension. Almost every plan has one strip.
class HeadStrips {
 public:
  explicit HeadStrips(uint32_t heads) : index_(heads + 1) { index_[0] = index_[heads] = 1; }

  // Ranges first, in [0, heads), not empty; then Finish.
  void Add(uint32_t begin, uint32_t end) { index_[begin] = index_[end] = 1; }
  void Finish();

  uint32_t size() const { return index_.back(); }
  // The strips [first, second) of a head range that was added.
  std::pair<uint32_t, uint32_t> Range(uint32_t begin, uint32_t end) const {
    return {index_[begin], index_[end]};
  }

 private:
  std::vector<uint32_t> index_;  // by head: whether a cut is there; then the number of cuts before
};

}  // namespace flashcp::verifier

#endif  // FLASHCP_RUNTIME_PLAN_ROW_MAP_H_
