// The rows that a part of the backward pass reads, and those that it adds to.

#ifndef FLASHCP_RUNTIME_CPU_BACKWARD_ROWS_H_
#define FLASHCP_RUNTIME_CPU_BACKWARD_ROWS_H_

#include <cstdint>

#include "runtime/cpu/gradient_order.h"
#include "runtime/cpu/panels.h"
#include "runtime/kernels.h"
#include "runtime/numeric.h"

namespace flashcp {

// Query rows are all of the part's; keys and values are of the head that they share.
class BackwardRows {
 public:
  BackwardRows(const KernelSpec& spec, const BackwardPart& part)
      : spec_(spec), tile_(*part.tile), queries_(part.queries) {}

  Rows query() const { return OfQueries(tile_.query, tile_.query_row_heads, spec_.dim * Bytes()); }
  Rows output_gradient() const {
    return OfQueries(tile_.output_gradient, tile_.query_row_heads, spec_.value_dim * Bytes());
  }
  Rows lse() const { return OfQueries(tile_.lse, tile_.query_row_heads, kFloat); }
  Rows delta() const { return OfQueries(tile_.delta, spec_.query_heads, kFloat); }
  MutableRows query_gradient() const {
    return RowsOfQueries(reinterpret_cast<char*>(tile_.query_gradient), queries_, spec_.query_heads,
                         spec_.dim * kFloat);
  }

  Rows keys(KeyRange range) const {
    return RowsOfKeys(static_cast<const char*>(tile_.key), range, key_value_head(),
                      tile_.key_row_heads, spec_.dim * Bytes());
  }
  Rows values(KeyRange range) const {
    return RowsOfKeys(static_cast<const char*>(tile_.value), range, key_value_head(),
                      tile_.key_row_heads, spec_.value_dim * Bytes());
  }
  MutableRows key_gradient(KeyRange range) const {
    return RowsOfKeys(reinterpret_cast<char*>(tile_.key_gradient), range, key_value_head(),
                      spec_.key_value_heads, spec_.dim * kFloat);
  }
  MutableRows value_gradient(KeyRange range) const {
    return RowsOfKeys(reinterpret_cast<char*>(tile_.value_gradient), range, key_value_head(),
                      spec_.key_value_heads, spec_.value_dim * kFloat);
  }

 private:
  static constexpr int kFloat = sizeof(float);

  int Bytes() const { return BytesPerElement(spec_.element); }
  int key_value_head() const {
    return queries_.head_begin / (spec_.query_heads / spec_.key_value_heads);
  }
  Rows OfQueries(const void* tensor, int row_heads, int head_bytes) const {
    return RowsOfQueries(static_cast<const char*>(tensor), queries_, row_heads, head_bytes);
  }

  const KernelSpec& spec_;
  const BackwardTile& tile_;
  const QueryRange queries_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_BACKWARD_ROWS_H_
