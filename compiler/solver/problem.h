// The planning problem and its solution: which rank owns which tokens of each document.
//
// Components (documents, ranks), input properties (masks, heads, cluster, slack) and the solution
// (segments) are plain data; Check() holds before a strategy runs and Verify() after it. Nothing
// here knows MLIR, the plan file or the runtime.

#ifndef FLASHCP_COMPILER_SOLVER_PROBLEM_H_
#define FLASHCP_COMPILER_SOLVER_PROBLEM_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "compiler/solver/cluster.h"

namespace flashcp::solver {

// Tokens of one batch: positions and rows of a plan are 32-bit.
inline constexpr int64_t kMaxTokens = int64_t{1} << 31;
inline constexpr int kMaxHeads = 1024;  // query heads: byte counts of any batch fit 64 bits

enum class MaskKind { kCausal, kFull, kWindow };

// Which keys of its document query i sees: causal [0, i], full all, window (i - window, i].
struct Mask {
  MaskKind kind = MaskKind::kCausal;
  int64_t window = 0;  // tokens, 1 to kMaxTokens, for kWindow only; else 0
};

struct Document {
  int64_t length = 0;  // tokens; 0 is allowed
  Mask mask;
};

// How K/V reach the ranks that need them.
enum class Exchange {
  kNeeded,     // a row goes to a rank once, and only if a query there attends to it
  kAllGather,  // every row goes to every rank
};

enum class DType { kF32, kBF16, kF16 };
int BytesPerElement(DType dtype);

struct Problem {
  std::vector<Document> documents;
  int ranks = 8;
  HeadShape heads;
  DType dtype = DType::kBF16;  // of Q, K, V and O
  Exchange exchange = Exchange::kNeeded;
  double slack_percent = 0;  // see TokenCap
  Cluster cluster;

  // Bytes of the K and V rows of one token.
  int64_t KeyValueBytesPerToken() const;
  int64_t TotalTokens() const;
  // Most tokens a rank may own: ceil(T/N) at slack 0, ceil(T/N * (1 + slack/100)) otherwise.
  int64_t TokenCap() const;
  // InvalidArgument, naming the field, what was found and what is allowed.
  absl::Status Check() const;
};

// Tokens [begin, end) of a document, owned by `rank`, which also computes their queries.
struct Segment {
  int64_t begin = 0;
  int64_t end = 0;
  int rank = 0;
};

// For each document its segments in increasing position; neighbours have different ranks.
struct Placement {
  std::vector<std::vector<Segment>> documents;

  // Tokens of each rank.
  std::vector<int64_t> TokensPerRank(int ranks) const;
  // Internal where the segments do not partition every document, or break the token cap; at
  // slack 0 every rank must own floor(T/N) or ceil(T/N) tokens.
  absl::Status Verify(const Problem& problem) const;
};

// (query, key) pairs that the mask allows among queries [begin, end) of a document.
int64_t CountPairs(const Document& document, int64_t begin, int64_t end);

// Keys that queries [begin, end) see, a range of positions; empty for no query.
struct KeyRange {
  int64_t begin = 0;
  int64_t end = 0;
};
KeyRange KeysNeeded(const Document& document, int64_t begin, int64_t end);

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_PROBLEM_H_
