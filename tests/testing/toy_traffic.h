// Which rows each rank of a toy problem owns and receives, and from whom: token by token.

#ifndef FLASHCP_TESTS_TESTING_TOY_TRAFFIC_H_
#define FLASHCP_TESTS_TESTING_TOY_TRAFFIC_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "tests/testing/toy_plan.h"

namespace flashcp::testing {

// Tokens [begin, end) of a document that lie in rows [row, row + end - begin) of a buffer.
struct ToyRun {
  uint32_t document;
  uint32_t begin;
  uint32_t end;
  uint32_t row;

  uint32_t count() const { return end - begin; }
};

// Keys that queries [begin, end) of a document see: [first, second).
std::pair<uint32_t, uint32_t> KeysSeen(const ToyDocument& document, uint32_t begin, uint32_t end);

// The rows that a rank owns, in document order.
std::vector<ToyRun> LayoutOf(const ToyProblem& problem, int rank);

// Appends one token, to the run before it where it continues that one.
void AddToken(uint32_t document, uint32_t position, uint32_t row, std::vector<ToyRun>* runs);

// The tokens that `rank` receives from their owner, or forwarded by another rank, in the given
// stage, by document, owner and position; those of saved documents, or of all others.
struct Arrived {
  int sender;
  int owner;
  uint32_t document;
  uint32_t position;
  uint32_t owner_row;
};
std::vector<Arrived> TokensReceived(const ToyProblem& problem, int rank, int stage, bool saved);

// The rows of the remote, or saved, buffers of a rank and stage: all that it receives, in document
// order.
std::vector<ToyRun> RemoteRowsOf(const ToyProblem& problem, int rank, int stage, bool saved);

// The row of a token among `rows`, which hold it.
uint32_t FindRow(const std::vector<ToyRun>& rows, uint32_t document, uint32_t position);

// Rows in all.
uint32_t CountRows(const std::vector<ToyRun>& rows);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_TOY_TRAFFIC_H_
