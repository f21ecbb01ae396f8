// What the dense references, forward and backward, are made of: which keys a query sees, products
// of matrices in double, tensors by head.

#ifndef FLASHCP_RUNTIME_CHECK_DENSE_LOOPS_H_
#define FLASHCP_RUNTIME_CHECK_DENSE_LOOPS_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "runtime/check/dense_reference.h"
#include "runtime/cpu/widest_vectors.h"

namespace flashcp::dense {

inline constexpr int kLanes = 16;  // queries of one block, or elements of a row
inline constexpr int kGroup = 4;   // rows that are summed side by side, in registers

using Lanes = std::array<double, kLanes>;

// Positions of keys in the document.
struct KeyRange {
  int64_t begin;
  int64_t end;
};

// The keys that a query sees; both ends grow with the query.
inline KeyRange VisibleKeys(const model::Document& document, int64_t query) {
  const model::Band& band = document.mask.band();
  const int64_t begin = std::clamp<int64_t>(query + band.lower, 0, document.length);
  return {begin, std::clamp(query + band.upper + 1, begin, document.length)};
}

// Keys of the queries [begin, begin + kLanes), or up to the document's end: the work of a block.
inline int64_t BlockKeys(const model::Document& document, int64_t begin) {
  const int64_t last = std::min(begin + kLanes, document.length) - 1;
  return VisibleKeys(document, last).end - VisibleKeys(document, begin).begin;
}

// Counts the blocks that threads have done, by their keys, and reports what part of all this is.
class BlockCounter {
 public:
  // `heads` is how often each block of a document is run.
  BlockCounter(const std::vector<model::Document>& documents, int heads,
               const DenseProgress& report)
      : report_(report) {
    if (!report_) return;
    for (const model::Document& document : documents) {
      for (int64_t begin = 0; begin < document.length; begin += kLanes) {
        total_ += heads * BlockKeys(document, begin);
      }
    }
  }

  // A block has been run for `heads` heads.
  void Add(const model::Document& document, int64_t begin, int heads) {
    if (!report_) return;
    const int64_t done = done_ += heads * BlockKeys(document, begin);
    report_(static_cast<double>(done) / total_);
  }

 private:
  const DenseProgress& report_;
  int64_t total_ = 0;
  std::atomic<int64_t> done_{0};
};

// A matrix by its first element and the distances of its rows and of its columns.
struct Matrix {
  const double* data;
  int64_t row_stride;
  int64_t column_stride;
};

// sums[i] += sum over k < depth of a[i][k] * b[k], lane by lane, for i < groups * kGroup.
struct SumProductsLoop {
  template <int kBytes>
  FLASHCP_INLINE_LOOP static void Run(int64_t groups, int64_t depth, Matrix a, const Lanes* b,
                                      Lanes* sums) {
    for (; groups > 0; --groups, a.data += kGroup * a.row_stride, sums += kGroup) {
      for (int lane = 0; lane < kLanes; lane += 2 * VectorOf<double, kBytes>::kWidth) {
        RunGroup<kBytes>(lane, depth, a, b, sums);
      }
    }
  }

  // Two vectors of lanes of kGroup rows.
  template <int kBytes>
  FLASHCP_INLINE_LOOP static void RunGroup(int lane, int64_t depth, Matrix a, const Lanes* b,
                                           Lanes* sums) {
    using Vector = VectorOf<double, kBytes>;
    typename Vector::Type total[kGroup][2];
    for (int i = 0; i < kGroup; ++i) {
      for (int half = 0; half < 2; ++half) {
        Vector::Load(&sums[i][lane + half * Vector::kWidth], &total[i][half]);
      }
    }
    for (int64_t k = 0; k < depth; ++k) {
      for (int half = 0; half < 2; ++half) {
        typename Vector::Type lanes;
        Vector::Load(&b[k][lane + half * Vector::kWidth], &lanes);
        for (int i = 0; i < kGroup; ++i) {
          total[i][half] += a.data[i * a.row_stride + k * a.column_stride] * lanes;
        }
      }
    }
    for (int i = 0; i < kGroup; ++i) {
      for (int half = 0; half < 2; ++half) {
        Vector::Store(total[i][half], &sums[i][lane + half * Vector::kWidth]);
      }
    }
  }
};

// [tokens, heads, dim] as [heads, tokens, dim], so that the rows of one head follow each other, and
// then zeros for what kGroup rows at a time may read past the end.
inline std::vector<double> PackByHead(absl::Span<const float> rows, int64_t heads, int64_t dim) {
  std::vector<double> packed(rows.size() + (kGroup - 1) * dim);
  const int64_t tokens = rows.size() / (heads * dim);
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t token = 0; token < tokens; ++token) {
      std::copy_n(&rows[(token * heads + head) * dim], dim, &packed[(head * tokens + token) * dim]);
    }
  }
  return packed;
}

// Each number squared.
inline std::vector<double> Squares(std::vector<double> numbers) {
  for (double& x : numbers) x *= x;
  return numbers;
}

// The Euclidean norm of a row; 0 for a row that is not finite, whose results are not compared.
inline double FiniteNorm(const float* row, int64_t dim) {
  double squares = 0;
  for (int64_t d = 0; d < dim; ++d) squares += double{row[d]} * row[d];
  return std::isfinite(squares) ? std::sqrt(squares) : 0;
}

// The largest FiniteNorm of the rows [first_token, first_token + length) of one head.
inline double LargestNorm(absl::Span<const float> rows, int64_t heads, int64_t dim, int64_t head,
                          int64_t first_token, int64_t length) {
  double largest = 0;
  for (int64_t token = first_token; token < first_token + length; ++token) {
    largest = std::max(largest, FiniteNorm(&rows[(token * heads + head) * dim], dim));
  }
  return largest;
}

}  // namespace flashcp::dense

#endif  // FLASHCP_RUNTIME_CHECK_DENSE_LOOPS_H_
