// The interface of attention kernels: one call computes a table of tiles, of plain pointers and
// sizes.

#ifndef FLASHCP_RUNTIME_KERNELS_H_
#define FLASHCP_RUNTIME_KERNELS_H_

#include <cstdint>

#include "model/band.h"
#include "model/dtype.h"

namespace flashcp {

// Dims of heads: multiples of the step, from it to the most.
inline constexpr int kHeadDimStep = 8;
inline constexpr int kMaxHeadDim = 256;

// What a kernel is made for; a plan names kernels by this, never by address.
struct KernelSpec {
  model::DType element;  // of Q, K, V and O; accumulation and LSE are f32
  int query_heads;
  int key_value_heads;  // divides query_heads
  int dim;              // of one head of Q and K
  int value_dim;        // of one head of V and O, the same; in plans it is `dim`
  float scale;          // of the scores before softmax; positive and finite
};

// One tile, all pointers resolved: query heads [head_begin, head_end) of query_count rows against
// key_count rows of keys and values. Pointers show the first head of the spec. Rows of tensors may
// have further heads, which are not touched: row i of the query starts at
// query + i * query_row_heads * dim elements. [value_dim] for values and outputs.
struct AttentionTile {
  const void* query;   // [query_count, query_row_heads, dim] elements
  const void* key;     // [key_count, key_row_heads, dim] elements
  const void* value;   // [key_count, key_row_heads, value_dim] elements
  void* output;        // [query_count, query_row_heads, value_dim] elements; written if `last`
  float* lse;          // [query_count, query_row_heads], natural log; -inf: the row saw no key yet
  float* accumulator;  // [query_count, query_heads, value_dim]; null if first and last
  int64_t query_position;  // of the first query row in its document
  int64_t key_position;    // of the first key row in its document
  int64_t query_count;
  int64_t key_count;
  model::Band band;     // of positions
  int query_row_heads;  // heads of a row: at least query_heads
  int key_row_heads;    // at least key_value_heads
  int head_begin;
  int head_end;
  // first: rows hold no partial result; otherwise (accumulator, lse) hold one, normalised, and the
  // tile is merged into it by LSE. last: the result goes to `output`, rounded to its type.
  // Rows that see no key contribute nothing; a row without any key ends as O = 0, LSE = -inf.
  bool first;
  bool last;
};

// One tile of the backward pass: what the pairs of queries and keys in the band add to the
// gradients of Q, K and V. Sums are f32 and added to, so that the caller clears them first. A query
// row with LSE -inf has no weights and adds nothing.
struct BackwardTile {
  const void* query;            // [query_count, query_row_heads, dim] elements
  const void* key;              // [key_count, key_row_heads, dim] elements
  const void* value;            // [key_count, key_row_heads, value_dim] elements
  const void* output_gradient;  // [query_count, query_row_heads, value_dim] elements
  const float* lse;             // [query_count, query_row_heads]: of all keys, as forward left it
  const float* delta;           // [query_count, query_heads]: row sums of output * output_gradient
  float* query_gradient;        // [query_count, query_heads, dim]
  float* key_gradient;          // [key_count, key_value_heads, dim]
  float* value_gradient;        // [key_count, key_value_heads, value_dim]
  int64_t query_position;
  int64_t key_position;
  int64_t query_count;
  int64_t key_count;
  model::Band band;
  int query_row_heads;
  int key_row_heads;
  int head_begin;
  int head_end;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_KERNELS_H_
