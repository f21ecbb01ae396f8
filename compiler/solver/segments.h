// Builds the segments of one document.

#ifndef FLASHCP_COMPILER_SOLVER_SEGMENTS_H_
#define FLASHCP_COMPILER_SOLVER_SEGMENTS_H_

#include <cstdint>
#include <vector>

#include "compiler/solver/problem.h"

namespace flashcp::solver {

// Appends tokens [begin, end) of a document, if any; joins them with the last segment if that is on
// the rank too.
void AppendSegment(int64_t begin, int64_t end, int rank, std::vector<Segment>& segments);

// Sorts the segments of a document and makes neighbours on the same rank one.
void JoinSegments(std::vector<Segment>& segments);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_SEGMENTS_H_
