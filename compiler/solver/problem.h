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
#include "model/cluster.h"
#include "model/document.h"
#include "model/dtype.h"
#include "model/exchange.h"
#include "model/head_shape.h"

namespace flashcp::solver {

// The words of model/ that every file here uses.
using model::Cluster;
using model::CountPairs;
using model::Document;
using model::DType;
using model::Exchange;
using model::HeadShape;
using model::KeysNeeded;
using model::kMaxHeads;
using model::kMaxRanks;
using model::kMaxTokens;
using model::LinkClass;
using model::Mask;
using model::QueriesThatSee;
using model::SeesBackToStart;
using model::SeesOnToEnd;
using model::TileTable;
using model::TokenRange;

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
  // Internal if the segments do not partition every document, or break the token cap; at
  // slack 0 every rank must own floor(T/N) or ceil(T/N) tokens.
  absl::Status Verify(const Problem& problem) const;
};

}  // namespace flashcp::solver

#endif  // FLASHCP_COMPILER_SOLVER_PROBLEM_H_
