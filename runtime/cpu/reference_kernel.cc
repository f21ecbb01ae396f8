// The reference kernel decides what a tile means: the attention loop in f32 that generated
// kernels are compared with.
//
// Blocks of queries meet blocks of keys; each query row keeps the maximum of its scores so far, the
// sum of exp(score - maximum) and the same sum weighted with the value rows (the online softmax of
// Milakov and Gimelshein, arXiv 1805.02867, as FlashAttention uses it). At the end of the tile the
// row is normalised and merged with the partial result it had: for two disjoint sets of keys with
// (O_a, LSE_a) and (O_b, LSE_b),
//   LSE = log(exp(LSE_a) + exp(LSE_b)),  O = exp(LSE_a - LSE) O_a + exp(LSE_b - LSE) O_b.
// O(pairs * dim) time; all scratch is on the stack. Keys are transposed and values converted once
// per block, so that scores and outputs are products of two matrices in memory order. Both are
// taken by one loop over vectors of columns, each sum in one fixed order.
//
// A score of -inf weighs nothing, as a masked key does; +inf and NaN make the row NaN.

#include "runtime/cpu/reference_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/cpu/reference_loops.h"
#include "runtime/cpu/widest_vectors.h"
#include "runtime/numeric.h"

namespace flashcp {
namespace {

using namespace reference;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// One block of keys and values of one head as floats; padding holds zeros.
struct KeyValueBlock {
  float keys[kMaxHeadDim][kKeyBlock];  // transposed
  float values[kKeyBlock][kMaxHeadDim];
};

template <typename Element>
void LoadKeyValueBlock(const KernelSpec& spec, const AttentionTile& tile, int key_value_head,
                       KeyRange range, KeyValueBlock* block) {
  int count = static_cast<int>(range.end - range.begin);
  for (int j = 0; j < count; ++j) {
    int64_t row = (range.begin + j) * tile.key_row_heads + key_value_head;
    const Element* key = static_cast<const Element*>(tile.key) + row * spec.dim;
    const Element* value = static_cast<const Element*>(tile.value) + row * spec.value_dim;
    for (int d = 0; d < spec.dim; ++d) block->keys[d][j] = ToFloat(key[d]);
    LoadRow(value, spec.value_dim, block->values[j]);
  }
  for (int d = 0; d < spec.dim; ++d) {
    std::fill(block->keys[d] + count, block->keys[d] + kKeyBlock, 0.0f);
  }
}

// One query row of one head and what it has seen so far.
struct QueryRow {
  float query[kMaxHeadDim];
  float sum_of_values[kMaxHeadDim];  // of exp(score - maximum) * value
  float maximum;
  float sum;  // of exp(score - maximum)
};

// Turns the scaled scores of keys [begin, end) into weights, exp(score - maximum), and counts them
// to the row, whose earlier sums are rescaled to the new maximum.
void WeighScores(const KernelSpec& spec, int begin, int end, float* scores, QueryRow* row) {
  float maximum = row->maximum;
  for (int j = begin; j < end; ++j) {
    scores[j] *= spec.scale;
    maximum = std::max(maximum, scores[j]);  // skips NaN
  }
  // Where all scores are -inf, subtracting 0 leaves them so: exp() gives 0, or NaN for a NaN.
  float shift = maximum == -kInfinity ? 0 : maximum;
  float rescale = std::exp(row->maximum - shift);
  for (int d = 0; d < spec.value_dim; ++d) row->sum_of_values[d] *= rescale;
  float sum = 0;  // of the block by itself: small numbers, one by one, would vanish in a large sum
  for (int j = begin; j < end; ++j) {
    scores[j] = std::exp(scores[j] - shift);
    sum += scores[j];
  }
  row->maximum = maximum;
  row->sum = row->sum * rescale + sum;
}

// Normalises the row's sums to (O, LSE), in place; returns LSE.
float Normalise(int dim, QueryRow* row) {
  if (row->sum == 0) {  // saw no key, or none of any weight, which times a NaN is not 0
    std::fill_n(row->sum_of_values, dim, 0.0f);
    return -kInfinity;
  }
  for (int d = 0; d < dim; ++d) row->sum_of_values[d] /= row->sum;
  return (row->maximum == -kInfinity ? 0 : row->maximum) + std::log(row->sum);
}

// Merges the normalised row with the partial result (accumulator, old_lse); returns the new LSE.
float Merge(int dim, const float* accumulator, float old_lse, float lse, QueryRow* row) {
  float maximum = std::max(old_lse, lse);
  if (maximum == -kInfinity) maximum = 0;
  float old_weight = std::exp(old_lse - maximum);
  float weight = std::exp(lse - maximum);
  float sum = old_weight + weight;
  if (sum == 0) return -kInfinity;
  for (int d = 0; d < dim; ++d) {
    row->sum_of_values[d] = (old_weight * accumulator[d] + weight * row->sum_of_values[d]) / sum;
  }
  return maximum + std::log(sum);
}

// Ends query row i of the tile: merges what earlier tiles left, stores the result.
template <typename Element>
void StoreRow(const KernelSpec& spec, const AttentionTile& tile, int head, int64_t i,
              QueryRow* row) {
  int64_t index = i * tile.query_row_heads + head;
  float* accumulator = tile.first && tile.last
                           ? nullptr
                           : tile.accumulator + (i * spec.query_heads + head) * spec.value_dim;
  float lse = Normalise(spec.value_dim, row);
  if (!tile.first) lse = Merge(spec.value_dim, accumulator, tile.lse[index], lse, row);
  tile.lse[index] = lse;
  if (tile.last) {
    Element* output = static_cast<Element*>(tile.output) + index * spec.value_dim;
    for (int d = 0; d < spec.value_dim; ++d) FromFloat(row->sum_of_values[d], &output[d]);
  } else {
    std::copy_n(row->sum_of_values, spec.value_dim, accumulator);
  }
}

// Adds to rows [0, count) the keys [begin, end) of the block that each of them sees.
void AttendBlock(const KernelSpec& spec, const KeyValueBlock& block, const KeyRange* visible,
                 int count, QueryRow* rows) {
  constexpr int64_t kStride = sizeof(QueryRow) / sizeof(float);
  float scores[kQueryBlock][kKeyBlock] = {};
  RunWithWidestVectors<MultiplyLoop>(count, spec.dim, kKeyBlock, Matrix{rows->query, kStride},
                                     Matrix{block.keys[0], kKeyBlock}, scores[0],
                                     int64_t{kKeyBlock});
  for (int i = 0; i < count; ++i) {
    WeighScores(spec, visible[i].begin, visible[i].end, scores[i], &rows[i]);
  }
  // Rows that see the same keys are multiplied together; a masked key, whose value may be NaN, is
  // never multiplied.
  for (int i = 0, next; i < count; i = next) {
    const KeyRange keys = visible[i];
    for (next = i + 1; next < count; ++next) {
      if (visible[next].begin != keys.begin || visible[next].end != keys.end) break;
    }
    RunWithWidestVectors<MultiplyLoop>(
        next - i, static_cast<int>(keys.end - keys.begin), Padded(spec.value_dim),
        Matrix{scores[i] + keys.begin, kKeyBlock}, Matrix{block.values[keys.begin], kMaxHeadDim},
        rows[i].sum_of_values, kStride);
  }
}

// Reads query rows [row_begin, row_end) of one head.
template <typename Element>
void LoadRows(const KernelSpec& spec, const AttentionTile& tile, int head, int64_t row_begin,
              int64_t row_end, QueryRow* rows) {
  for (int64_t i = row_begin; i < row_end; ++i) {
    const Element* query =
        static_cast<const Element*>(tile.query) + (i * tile.query_row_heads + head) * spec.dim;
    QueryRow& row = rows[i - row_begin];
    for (int d = 0; d < spec.dim; ++d) row.query[d] = ToFloat(query[d]);
    std::fill_n(row.sum_of_values, Padded(spec.value_dim), 0.0f);
    row.maximum = -kInfinity;
    row.sum = 0;
  }
}

// Query rows [row_begin, row_end) of one head, at most kQueryBlock, against all keys of the tile.
template <typename Element>
void AttendRows(const KernelSpec& spec, const AttentionTile& tile, int head, int64_t row_begin,
                int64_t row_end) {
  QueryRow rows[kQueryBlock];
  KeyValueBlock block;
  LoadRows<Element>(spec, tile, head, row_begin, row_end, rows);
  int64_t keys_begin = VisibleKeys(tile, row_begin).begin;
  int64_t keys_end = VisibleKeys(tile, row_end - 1).end;
  int key_value_head = head / (spec.query_heads / spec.key_value_heads);
  for (int64_t begin = keys_begin; begin < keys_end; begin += kKeyBlock) {
    int64_t end = std::min<int64_t>(begin + kKeyBlock, keys_end);
    LoadKeyValueBlock<Element>(spec, tile, key_value_head, {begin, end}, &block);
    KeyRange visible[kQueryBlock];
    for (int64_t i = row_begin; i < row_end; ++i) {
      KeyRange keys = VisibleKeys(tile, i);
      visible[i - row_begin] = {std::clamp(keys.begin, begin, end) - begin,
                                std::clamp(keys.end, begin, end) - begin};
    }
    AttendBlock(spec, block, visible, static_cast<int>(row_end - row_begin), rows);
  }
  for (int64_t i = row_begin; i < row_end; ++i) {
    StoreRow<Element>(spec, tile, head, i, &rows[i - row_begin]);
  }
}

}  // namespace

void ReferenceAttention(const KernelSpec& spec, const AttentionTile* tiles, int64_t count) {
  WithElementType(spec.element, [&](auto element) {
    for (const AttentionTile* tile = tiles; tile != tiles + count; ++tile) {
      for (int head = tile->head_begin; head < tile->head_end; ++head) {
        for (int64_t row = 0; row < tile->query_count; row += kQueryBlock) {
          int64_t row_end = std::min<int64_t>(row + kQueryBlock, tile->query_count);
          AttendRows<decltype(element)>(spec, *tile, head, row, row_end);
        }
      }
    }
  });
}

}  // namespace flashcp
