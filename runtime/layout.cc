// Walks the token ranges of a rank in the order of its rows.

#include "runtime/layout.h"

#include <cstring>
#include <vector>

namespace flashcp {
namespace {

// Calls visit(global token, row, count) for each range of the rank's layout.
template <typename Visit>
void VisitRanges(const Plan& plan, int rank, Visit visit) {
  std::vector<int64_t> document_begin = {0};  // global token of each document's first token
  for (const fbs::Document& document : Items(plan->documents())) {
    document_begin.push_back(document_begin.back() + document.length());
  }
  int64_t row = 0;
  for (const fbs::TokenRange& range : Items(plan->ranks()->Get(rank)->layout())) {
    int64_t count = int64_t{range.end()} - range.begin();
    visit(document_begin[range.document()] + range.begin(), row, count);
    row += count;
  }
}

}  // namespace

int64_t TotalTokens(const Plan& plan) {
  int64_t tokens = 0;
  for (const fbs::Document& document : Items(plan->documents())) tokens += document.length();
  return tokens;
}

int64_t RankTokens(const Plan& plan, int rank) {
  int64_t tokens = 0;
  VisitRanges(plan, rank, [&](int64_t, int64_t, int64_t count) { tokens += count; });
  return tokens;
}

void ScatterRows(const Plan& plan, int rank, size_t row_bytes, const void* global, void* local) {
  VisitRanges(plan, rank, [&](int64_t token, int64_t row, int64_t count) {
    std::memcpy(static_cast<char*>(local) + row * row_bytes,
                static_cast<const char*>(global) + token * row_bytes, count * row_bytes);
  });
}

void GatherRows(const Plan& plan, int rank, size_t row_bytes, const void* local, void* global) {
  VisitRanges(plan, rank, [&](int64_t token, int64_t row, int64_t count) {
    std::memcpy(static_cast<char*>(global) + token * row_bytes,
                static_cast<const char*>(local) + row * row_bytes, count * row_bytes);
  });
}

}  // namespace flashcp
