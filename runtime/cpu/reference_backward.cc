// The reference kernel of the backward pass decides what a backward tile means.
//
// Weights are computed again from LSE (FlashAttention-2, arXiv 2307.08691, algorithm 2): for a
// query row i and a key row j that it sees, with the score s = scale q_i k_j,
//   p = min(1, exp(s - LSE_i)),   ds = p (do_i v_j - delta_i) scale,
//   dq_i += ds k_j,   dk_j += ds q_i,   dv_j += p do_i.
// Blocks of queries meet blocks of keys, as in the forward kernel, five products a pair. Each sum
// is taken in one fixed order: query blocks, heads of a group, key blocks, rows. O(pairs * dim)
// time; scratch is one block of each matrix on the stack.
//
// A masked pair adds nothing, whatever its values are: rows that see the same keys, and keys that
// are seen by the same rows, are multiplied together, over what they see alone.

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/cpu/reference_kernel.h"
#include "runtime/cpu/reference_loops.h"
#include "runtime/cpu/widest_vectors.h"
#include "runtime/numeric.h"

namespace flashcp {
namespace {

using namespace reference;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Query rows of one head as floats; padding holds zeros.
struct QueryBlock {
  int64_t begin;
  int count;
  KeyRange visible[kQueryBlock];  // keys of the tile that each row sees
  float query[kQueryBlock][kMaxHeadDim];
  float output_gradient[kQueryBlock][kMaxHeadDim];
};

// Key and value rows of one head as floats, both ways round; padding holds zeros.
struct KeyBlock {
  int64_t begin;
  int count;
  float key[kKeyBlock][kMaxHeadDim];
  float key_columns[kMaxHeadDim][kKeyBlock];
  float value_columns[kMaxHeadDim][kKeyBlock];
};

// What the pairs of two blocks weigh, both ways round; 0 if the mask hides a pair.
struct Weights {
  float p[kQueryBlock][kKeyBlock];
  float ds[kQueryBlock][kKeyBlock];
  float p_columns[kKeyBlock][kQueryBlock];
  float ds_columns[kKeyBlock][kQueryBlock];
};

// One query head of one tile.
struct Head {
  const KernelSpec& spec;
  const BackwardTile& tile;
  int query;
  int key_value;

  // Of the tensors.
  int64_t QueryRow(int64_t i) const { return i * tile.query_row_heads + query; }
  int64_t KeyRow(int64_t j) const { return j * tile.key_row_heads + key_value; }
  // Of the sums and of delta.
  int64_t QuerySum(int64_t i) const { return i * spec.query_heads + query; }
  int64_t KeySum(int64_t j) const { return j * spec.key_value_heads + key_value; }
};

template <typename Element>
void LoadQueries(const Head& head, QueryBlock* block) {
  const KernelSpec& spec = head.spec;
  for (int i = 0; i < block->count; ++i) {
    int64_t row = head.QueryRow(block->begin + i);
    LoadRow(static_cast<const Element*>(head.tile.query) + row * spec.dim, spec.dim,
            block->query[i]);
    LoadRow(static_cast<const Element*>(head.tile.output_gradient) + row * spec.value_dim,
            spec.value_dim, block->output_gradient[i]);
    block->visible[i] = VisibleKeys(head.tile, block->begin + i);
    if (head.tile.lse[row] != -kInfinity) continue;  // adds nothing: times 0, not times NaN
    std::fill_n(block->query[i], kMaxHeadDim, 0.0f);
    std::fill_n(block->output_gradient[i], kMaxHeadDim, 0.0f);
  }
}

template <typename Element>
void LoadKeys(const Head& head, KeyBlock* block) {
  const KernelSpec& spec = head.spec;
  for (int d = 0; d < kMaxHeadDim; ++d) {
    std::fill_n(block->key_columns[d], kKeyBlock, 0.0f);
    std::fill_n(block->value_columns[d], kKeyBlock, 0.0f);
  }
  for (int j = 0; j < block->count; ++j) {
    int64_t row = head.KeyRow(block->begin + j);
    LoadRow(static_cast<const Element*>(head.tile.key) + row * spec.dim, spec.dim, block->key[j]);
    const Element* value = static_cast<const Element*>(head.tile.value) + row * spec.value_dim;
    for (int d = 0; d < spec.dim; ++d) block->key_columns[d][j] = block->key[j][d];
    for (int d = 0; d < spec.value_dim; ++d) block->value_columns[d][j] = ToFloat(value[d]);
  }
}

// The keys of the block that row i of the queries sees.
KeyRange VisibleIn(const QueryBlock& queries, int i, const KeyBlock& keys) {
  int64_t end = keys.begin + keys.count;
  return {std::clamp(queries.visible[i].begin, keys.begin, end) - keys.begin,
          std::clamp(queries.visible[i].end, keys.begin, end) - keys.begin};
}

void ComputeWeights(const Head& head, const QueryBlock& queries, const KeyBlock& keys,
                    Weights* weights) {
  const KernelSpec& spec = head.spec;
  float scores[kQueryBlock][kKeyBlock] = {};
  float dp[kQueryBlock][kKeyBlock] = {};  // gradients of p
  RunWithWidestVectors<MultiplyLoop>(
      queries.count, spec.dim, kKeyBlock, Matrix{queries.query[0], kMaxHeadDim},
      Matrix{keys.key_columns[0], kKeyBlock}, scores[0], int64_t{kKeyBlock});
  RunWithWidestVectors<MultiplyLoop>(
      queries.count, spec.value_dim, kKeyBlock, Matrix{queries.output_gradient[0], kMaxHeadDim},
      Matrix{keys.value_columns[0], kKeyBlock}, dp[0], int64_t{kKeyBlock});
  *weights = {};
  for (int i = 0; i < queries.count; ++i) {
    const float lse = head.tile.lse[head.QueryRow(queries.begin + i)];
    if (lse == -kInfinity) continue;
    const float delta = head.tile.delta[head.QuerySum(queries.begin + i)];
    KeyRange visible = VisibleIn(queries, i, keys);
    for (int64_t j = visible.begin; j < visible.end; ++j) {
      // No score is above the LSE of its row, but for rounding, which is much for large scores.
      const float exponent = scores[i][j] * spec.scale - lse;
      const float p = std::exp(exponent > 0 ? 0 : exponent);  // or of a NaN
      weights->p[i][j] = weights->p_columns[j][i] = p;
      weights->ds[i][j] = weights->ds_columns[j][i] = p * (dp[i][j] - delta) * spec.scale;
    }
  }
}

// sums rows [i, next) += weights b over depth [visible.begin, visible.end).
void AddProducts(int count, KeyRange visible, int columns, const float* weights, int64_t stride,
                 const float (*b)[kMaxHeadDim], float (*sums)[kMaxHeadDim]) {
  RunWithWidestVectors<MultiplyLoop>(count, static_cast<int>(visible.end - visible.begin),
                                     Padded(columns), Matrix{weights + visible.begin, stride},
                                     Matrix{b[visible.begin], kMaxHeadDim}, sums[0],
                                     int64_t{kMaxHeadDim});
}

// Calls add(i, next) for the runs [i, next) of equal ranges.
template <typename Add>
void ForEachRun(const KeyRange* ranges, int count, const Add& add) {
  for (int i = 0, next; i < count; i = next) {
    for (next = i + 1; next < count; ++next) {
      if (ranges[next].begin != ranges[i].begin || ranges[next].end != ranges[i].end) break;
    }
    if (ranges[i].begin < ranges[i].end) add(i, next);
  }
}

// The rows of the queries that see each key of the block: one range, as both ends of what rows see
// grow with the row.
void FindSeers(const QueryBlock& queries, const KeyBlock& keys, KeyRange* seers) {
  std::fill_n(seers, kKeyBlock, KeyRange{0, 0});
  for (int i = 0; i < queries.count; ++i) {
    KeyRange visible = VisibleIn(queries, i, keys);
    for (int64_t j = visible.begin; j < visible.end; ++j) {
      if (seers[j].begin == seers[j].end) seers[j].begin = i;
      seers[j].end = i + 1;
    }
  }
}

void AddRow(const float* from, int dim, float* to) {
  for (int d = 0; d < dim; ++d) to[d] += from[d];
}

// dK and dV of one block of keys.
void AddKeyGradients(const Head& head, const QueryBlock& queries, const KeyBlock& keys,
                     const Weights& weights) {
  const KernelSpec& spec = head.spec;
  float key_sums[kKeyBlock][kMaxHeadDim] = {};
  float value_sums[kKeyBlock][kMaxHeadDim] = {};
  KeyRange seers[kKeyBlock];
  FindSeers(queries, keys, seers);
  ForEachRun(seers, keys.count, [&](int j, int next) {
    AddProducts(next - j, seers[j], spec.dim, weights.ds_columns[j], kQueryBlock, queries.query,
                key_sums + j);
    AddProducts(next - j, seers[j], spec.value_dim, weights.p_columns[j], kQueryBlock,
                queries.output_gradient, value_sums + j);
  });
  for (int j = 0; j < keys.count; ++j) {
    int64_t row = head.KeySum(keys.begin + j);
    AddRow(key_sums[j], spec.dim, head.tile.key_gradient + row * spec.dim);
    AddRow(value_sums[j], spec.value_dim, head.tile.value_gradient + row * spec.value_dim);
  }
}

// dQ of the queries, from one block of keys.
void AddQueryGradients(const Head& head, const QueryBlock& queries, const KeyBlock& keys,
                       const Weights& weights, float (*query_sums)[kMaxHeadDim]) {
  KeyRange visible[kQueryBlock];
  for (int i = 0; i < queries.count; ++i) visible[i] = VisibleIn(queries, i, keys);
  ForEachRun(visible, queries.count, [&](int i, int next) {
    AddProducts(next - i, visible[i], head.spec.dim, weights.ds[i], kKeyBlock, keys.key,
                query_sums + i);
  });
}

// Query rows from row_begin on, at most kQueryBlock, against all keys of the tile.
template <typename Element>
void BackwardRows(const Head& head, int64_t row_begin) {
  const BackwardTile& tile = head.tile;
  QueryBlock queries;
  KeyBlock keys;
  Weights weights;
  queries.begin = row_begin;
  queries.count = static_cast<int>(std::min<int64_t>(kQueryBlock, tile.query_count - row_begin));
  LoadQueries<Element>(head, &queries);
  float query_sums[kQueryBlock][kMaxHeadDim] = {};
  int64_t keys_end = VisibleKeys(tile, row_begin + queries.count - 1).end;
  for (keys.begin = VisibleKeys(tile, row_begin).begin; keys.begin < keys_end;
       keys.begin += kKeyBlock) {
    keys.count = static_cast<int>(std::min<int64_t>(kKeyBlock, keys_end - keys.begin));
    LoadKeys<Element>(head, &keys);
    ComputeWeights(head, queries, keys, &weights);
    AddKeyGradients(head, queries, keys, weights);
    AddQueryGradients(head, queries, keys, weights, query_sums);
  }
  for (int i = 0; i < queries.count; ++i) {
    AddRow(query_sums[i], head.spec.dim,
           tile.query_gradient + head.QuerySum(row_begin + i) * head.spec.dim);
  }
}

}  // namespace

void ReferenceAttentionBackward(const KernelSpec& spec, const BackwardTile* tiles, int64_t count) {
  const int group = spec.query_heads / spec.key_value_heads;
  WithElementType(spec.element, [&](auto element) {
    for (const BackwardTile* tile = tiles; tile != tiles + count; ++tile) {
      for (int64_t row = 0; row < tile->query_count; row += kQueryBlock) {
        for (int head = tile->head_begin; head < tile->head_end; ++head) {
          BackwardRows<decltype(element)>({spec, *tile, head, head / group}, row);
        }
      }
    }
  });
}

}  // namespace flashcp
