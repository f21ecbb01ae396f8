// Walks the token ranges of a rank in the order of its rows.

#include "runtime/layout.h"

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

// Checks the rank before FlatBuffers, which would end the process, is asked for it.
absl::StatusOr<const fbs::RankPlan*> FindRank(const Plan& plan, int rank) {
  if (rank >= 0 && rank < plan.num_ranks()) return plan->ranks()->Get(rank);
  return absl::InvalidArgumentError(
      absl::StrCat("rank ", rank, ": the plan has ranks 0 to ", plan.num_ranks() - 1));
}

int64_t CountRows(const fbs::RankPlan& rank) {
  int64_t rows = 0;
  for (const fbs::TokenRange& range : Items(rank.layout())) {
    rows += int64_t{range.end()} - range.begin();
  }
  return rows;
}

// Calls visit(range, global token, row, count) for each range of the rank's layout.
template <typename Visit>
void VisitRanges(const Plan& plan, const fbs::RankPlan& rank, const Visit& visit) {
  std::vector<int64_t> document_begin = {0};  // global token of each document's first token
  for (const fbs::Document& document : Items(plan->documents())) {
    document_begin.push_back(document_begin.back() + document.length());
  }
  int64_t row = 0;
  for (const fbs::TokenRange& range : Items(rank.layout())) {
    const int64_t count = int64_t{range.end()} - range.begin();
    visit(range, document_begin[range.document()] + range.begin(), row, count);
    row += count;
  }
}

// Writes value(range, global token of its first row, i) for row i of each range.
template <typename Value>
absl::Status WriteRows(const Plan& plan, int rank, absl::Span<int64_t> values, const Value& value) {
  ASSIGN_OR_RETURN(const fbs::RankPlan* rank_plan, FindRank(plan, rank));
  const int64_t rows = CountRows(*rank_plan);
  if (static_cast<int64_t>(values.size()) != rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("room for ", values.size(), " values, rank ", rank, " has ", rows, " tokens"));
  }
  VisitRanges(plan, *rank_plan,
              [&](const fbs::TokenRange& range, int64_t token, int64_t row, int64_t count) {
                for (int64_t i = 0; i < count; ++i) values[row + i] = value(range, token, i);
              });
  return absl::OkStatus();
}

// Checks a tensor of `rows` rows. Rows of a real tensor fit the address space, so the product does.
absl::Status CheckRows(const char* name, int64_t rows, size_t row_bytes, ConstBytes bytes) {
  const size_t expected = rows * row_bytes;
  const bool overflows = rows > 0 && expected / rows != row_bytes;
  if (!overflows && bytes.size() == expected && (bytes.data() != nullptr || expected == 0)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("tensor ", name, ": ",
                   bytes.data() == nullptr ? "null" : absl::StrCat(bytes.size(), " bytes"),
                   " found, expected ", rows, " rows of ", row_bytes, " bytes"));
}

}  // namespace

int64_t TotalTokens(const Plan& plan) {
  int64_t tokens = 0;
  for (const fbs::Document& document : Items(plan->documents())) tokens += document.length();
  return tokens;
}

absl::StatusOr<int64_t> RankTokens(const Plan& plan, int rank) {
  ASSIGN_OR_RETURN(const fbs::RankPlan* rank_plan, FindRank(plan, rank));
  return CountRows(*rank_plan);
}

absl::StatusOr<RankMemory> RankMemoryOf(const Plan& plan, int rank) {
  ASSIGN_OR_RETURN(const fbs::RankPlan* rank_plan, FindRank(plan, rank));
  return RankMemory{rank_plan->workspace_bytes(), rank_plan->backward_workspace_bytes(),
                    rank_plan->saved_bytes()};
}

absl::Status WriteTokenIndices(const Plan& plan, int rank, absl::Span<int64_t> values) {
  return WriteRows(plan, rank, values,
                   [](const fbs::TokenRange&, int64_t token, int64_t i) { return token + i; });
}

absl::Status WritePositionIds(const Plan& plan, int rank, absl::Span<int64_t> values) {
  return WriteRows(plan, rank, values, [](const fbs::TokenRange& range, int64_t, int64_t i) {
    return int64_t{range.begin()} + i;
  });
}

absl::Status WriteDocumentIds(const Plan& plan, int rank, absl::Span<int64_t> values) {
  return WriteRows(plan, rank, values, [](const fbs::TokenRange& range, int64_t, int64_t) {
    return int64_t{range.document()};
  });
}

absl::Status ScatterRows(const Plan& plan, int rank, size_t row_bytes, ConstBytes global,
                         MutableBytes local) {
  ASSIGN_OR_RETURN(const fbs::RankPlan* rank_plan, FindRank(plan, rank));
  RETURN_IF_ERROR(CheckRows("global", TotalTokens(plan), row_bytes, global));
  RETURN_IF_ERROR(CheckRows("local", CountRows(*rank_plan), row_bytes, local));
  VisitRanges(
      plan, *rank_plan, [&](const fbs::TokenRange&, int64_t token, int64_t row, int64_t count) {
        std::memcpy(static_cast<char*>(local.data()) + row * row_bytes,
                    static_cast<const char*>(global.data()) + token * row_bytes, count * row_bytes);
      });
  return absl::OkStatus();
}

absl::Status GatherRows(const Plan& plan, int rank, size_t row_bytes, ConstBytes local,
                        MutableBytes global) {
  ASSIGN_OR_RETURN(const fbs::RankPlan* rank_plan, FindRank(plan, rank));
  RETURN_IF_ERROR(CheckRows("local", CountRows(*rank_plan), row_bytes, local));
  RETURN_IF_ERROR(CheckRows("global", TotalTokens(plan), row_bytes, global));
  VisitRanges(
      plan, *rank_plan, [&](const fbs::TokenRange&, int64_t token, int64_t row, int64_t count) {
        std::memcpy(static_cast<char*>(global.data()) + token * row_bytes,
                    static_cast<const char*>(local.data()) + row * row_bytes, count * row_bytes);
      });
  return absl::OkStatus();
}

}  // namespace flashcp
