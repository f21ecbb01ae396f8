// The reference kernel decides what a tile means: the plain attention loop in f32 that generated
// kernels are compared with.
//
// Blocks of queries meet blocks of keys; each query row keeps the maximum of its scores so far, the
// sum of exp(score - maximum) and the same sum weighted with the value rows (the online softmax of
// Milakov and Gimelshein, arXiv 1805.02867, as FlashAttention uses it). At the end of the tile the
// row is normalised and merged with the partial result it had: for two disjoint sets of keys with
// (O_a, LSE_a) and (O_b, LSE_b),
//   LSE = log(exp(LSE_a) + exp(LSE_b)),  O = exp(LSE_a - LSE) O_a + exp(LSE_b - LSE) O_b.
// O(pairs * dim) time; all scratch is on the stack. Keys are transposed and values converted once
// per block, so that the two inner loops run over floats in memory order and vectorise without any
// reordering of sums: each sum is taken in one fixed order.
//
// A score of -inf weighs nothing, as a masked key does; +inf and NaN make the row NaN.

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/kernels.h"
#include "runtime/numeric.h"

namespace flashcp {
namespace {

constexpr int kMaxDim = 256;
constexpr int kQueryBlock = 64;
constexpr int kKeyBlock = 64;
constexpr int kLanes = 32;  // scores of one query that are summed side by side, in registers
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Keys of a tile, as offsets from its first one.
struct KeyRange {
  int64_t begin;
  int64_t end;
};

// The keys of the tile that its mask lets query row `row` see; both ends grow with the row.
KeyRange VisibleKeys(const AttentionTile& tile, int64_t row) {
  int64_t query = tile.query_position + row - tile.key_position;
  int64_t begin = tile.mask == MaskType::kWindow ? query - tile.window + 1 : 0;
  int64_t end = tile.mask == MaskType::kFull ? tile.key_count : query + 1;
  begin = std::clamp<int64_t>(begin, 0, tile.key_count);
  return {begin, std::clamp(end, begin, tile.key_count)};
}

// One block of keys and values of one head as floats; columns past the last key hold zeros.
struct KeyValueBlock {
  float keys[kMaxDim][kKeyBlock];  // transposed
  float values[kKeyBlock][kMaxDim];
};

template <typename Element>
void LoadKeyValueBlock(const KernelSpec& spec, const AttentionTile& tile, int key_value_head,
                       KeyRange range, KeyValueBlock* block) {
  int64_t row_size = int64_t{spec.key_value_heads} * spec.dim;
  int64_t offset = range.begin * row_size + int64_t{key_value_head} * spec.dim;
  const Element* key = static_cast<const Element*>(tile.key) + offset;
  const Element* value = static_cast<const Element*>(tile.value) + offset;
  int count = static_cast<int>(range.end - range.begin);
  for (int j = 0; j < count; ++j, key += row_size, value += row_size) {
    for (int d = 0; d < spec.dim; ++d) block->keys[d][j] = ToFloat(key[d]);
    for (int d = 0; d < spec.dim; ++d) block->values[j][d] = ToFloat(value[d]);
  }
  for (int d = 0; d < spec.dim; ++d)
    std::fill(block->keys[d] + count, block->keys[d] + kKeyBlock, 0);
}

// One query row of one head and what it has seen so far.
struct QueryRow {
  float query[kMaxDim];
  float sum_of_values[kMaxDim];  // of exp(score - maximum) * value
  float maximum;
  float sum;  // of exp(score - maximum)
};

// scores[j] = scale * (query . key j), for every key of the block.
void ComputeScores(const KernelSpec& spec, const QueryRow& row, const KeyValueBlock& block,
                   float* scores) {
  for (int lane = 0; lane < kKeyBlock; lane += kLanes) {
    float sums[kLanes] = {};
    for (int d = 0; d < spec.dim; ++d) {
      for (int j = 0; j < kLanes; ++j) sums[j] += row.query[d] * block.keys[d][lane + j];
    }
    for (int j = 0; j < kLanes; ++j) scores[lane + j] = sums[j] * spec.scale;
  }
}

// Adds keys [begin, end) of the block to the row.
void AttendBlock(const KernelSpec& spec, const KeyValueBlock& block, int begin, int end,
                 QueryRow* row) {
  float scores[kKeyBlock];
  ComputeScores(spec, *row, block, scores);
  float maximum = row->maximum;
  for (int j = begin; j < end; ++j) maximum = std::max(maximum, scores[j]);  // skips NaN
  // Where all scores are -inf, subtracting 0 leaves them so: exp() gives 0, or NaN for a NaN.
  float shift = maximum == -kInfinity ? 0 : maximum;
  float rescale = std::exp(row->maximum - shift);
  row->maximum = maximum;
  row->sum *= rescale;
  for (int d = 0; d < spec.dim; ++d) row->sum_of_values[d] *= rescale;
  for (int j = begin; j < end; ++j) {
    float weight = std::exp(scores[j] - shift);
    row->sum += weight;
    for (int d = 0; d < spec.dim; ++d) row->sum_of_values[d] += weight * block.values[j][d];
  }
}

// Normalises the row's sums to (O, LSE), in place; returns LSE.
float Normalise(int dim, QueryRow* row) {
  if (row->sum == 0) return -kInfinity;  // saw no key; its sums are 0 already
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
  int64_t index = i * spec.query_heads + head;
  float* accumulator = tile.first && tile.last ? nullptr : tile.accumulator + index * spec.dim;
  float lse = Normalise(spec.dim, row);
  if (!tile.first) lse = Merge(spec.dim, accumulator, tile.lse[index], lse, row);
  tile.lse[index] = lse;
  if (tile.last) {
    Element* output = static_cast<Element*>(tile.output) + index * spec.dim;
    for (int d = 0; d < spec.dim; ++d) FromFloat(row->sum_of_values[d], &output[d]);
  } else {
    std::copy_n(row->sum_of_values, spec.dim, accumulator);
  }
}

// Query rows [row_begin, row_end) of one head, at most kQueryBlock, against all keys of the tile.
template <typename Element>
void AttendRows(const KernelSpec& spec, const AttentionTile& tile, int head, int64_t row_begin,
                int64_t row_end) {
  QueryRow rows[kQueryBlock];
  KeyValueBlock block;
  for (int64_t i = row_begin; i < row_end; ++i) {
    const Element* query =
        static_cast<const Element*>(tile.query) + (i * spec.query_heads + head) * spec.dim;
    QueryRow& row = rows[i - row_begin];
    for (int d = 0; d < spec.dim; ++d) row.query[d] = ToFloat(query[d]);
    std::fill_n(row.sum_of_values, spec.dim, 0.0f);
    row.maximum = -kInfinity;
    row.sum = 0;
  }
  int64_t keys_begin = VisibleKeys(tile, row_begin).begin;
  int64_t keys_end = VisibleKeys(tile, row_end - 1).end;
  int key_value_head = head / (spec.query_heads / spec.key_value_heads);
  for (int64_t begin = keys_begin; begin < keys_end; begin += kKeyBlock) {
    int64_t end = std::min<int64_t>(begin + kKeyBlock, keys_end);
    LoadKeyValueBlock<Element>(spec, tile, key_value_head, {begin, end}, &block);
    for (int64_t i = row_begin; i < row_end; ++i) {
      KeyRange visible = VisibleKeys(tile, i);
      visible = {std::max(visible.begin, begin), std::min(visible.end, end)};
      if (visible.begin >= visible.end) continue;
      AttendBlock(spec, block, static_cast<int>(visible.begin - begin),
                  static_cast<int>(visible.end - begin), &rows[i - row_begin]);
    }
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
