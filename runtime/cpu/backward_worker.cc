// Packs a block of keys once and walks the panels of queries that see it.

#include "runtime/cpu/backward_worker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/cpu/reference_kernel.h"

namespace flashcp {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kBlocks = kUnitRows / kBlockRows;

// The reference kernel on part of a tile: for numbers that are not small, which must not reach
// pairs that the mask hides, not even times 0.
void ComputePlain(const KernelSpec& spec, BackwardTile tile, const QueryRange& queries,
                  KeyRange keys) {
  const int64_t rows = queries.row_begin * tile.query_row_heads;
  const int64_t key_rows = keys.begin * tile.key_row_heads;
  const int64_t sums = queries.row_begin * spec.query_heads;
  const int64_t key_sums = keys.begin * spec.key_value_heads;
  const int bytes = BytesPerElement(spec.element);
  tile.query = static_cast<const char*>(tile.query) + rows * spec.dim * bytes;
  tile.output_gradient =
      static_cast<const char*>(tile.output_gradient) + rows * spec.value_dim * bytes;
  tile.key = static_cast<const char*>(tile.key) + key_rows * spec.dim * bytes;
  tile.value = static_cast<const char*>(tile.value) + key_rows * spec.value_dim * bytes;
  tile.lse += rows;
  tile.delta += sums;
  tile.query_gradient += sums * spec.dim;
  tile.key_gradient += key_sums * spec.dim;
  tile.value_gradient += key_sums * spec.value_dim;
  tile.query_position += queries.row_begin;
  tile.query_count = queries.row_end - queries.row_begin;
  tile.key_position += keys.begin;
  tile.key_count = keys.end - keys.begin;
  tile.head_begin = queries.head_begin;
  tile.head_end = queries.head_end;
  ReferenceAttentionBackward(spec, &tile, 1);
}

int64_t ChunkedSize(int dim, int chunk, int64_t rows) { return RoundUp(dim, chunk) * rows; }

}  // namespace

BackwardWorker::BackwardWorker(const GeneratedKernel& kernel, const KernelSpec& spec, int worker,
                               Scratch* scratch)
    : worker_(worker),
      kernel_(kernel),
      spec_(spec),
      format_{spec.element, kernel.pairs},
      block_panels_(kBlockRows / kernel.panel_rows),
      query_stride_(int64_t{kernel.dim} / kernel.elements_per_word() * kernel.panel_rows),
      gradient_stride_(int64_t{kernel.value_dim} / kernel.elements_per_word() * kernel.panel_rows),
      query_rows_stride_(
          ChunkedSize(kernel.dim, kernel.chunk, kBlockRows / kernel.elements_per_word())),
      gradient_rows_stride_(
          ChunkedSize(kernel.value_dim, kernel.chunk, kBlockRows / kernel.elements_per_word())),
      query_(scratch->Take<uint32_t>(kBlocks * block_panels_ * query_stride_)),
      output_gradient_(scratch->Take<uint32_t>(kBlocks * block_panels_ * gradient_stride_)),
      query_rows_(scratch->Take<uint32_t>(kBlocks * query_rows_stride_)),
      gradient_rows_(scratch->Take<uint32_t>(kBlocks * gradient_rows_stride_)),
      row_constants_(scratch->Take<float>(2 * kUnitRows)),
      visible_(scratch->Take<int32_t>(2 * kUnitRows)),
      panel_keys_(scratch->Take<PanelKeys>(kBlocks * block_panels_)),
      query_gradient_(scratch->Take<float>(int64_t{kUnitRows} * kernel.dim)),
      keys_(scratch->Take<uint32_t>(int64_t{kernel.gradient_key_block} * kernel.dim)),
      values_(scratch->Take<uint32_t>(int64_t{kernel.gradient_key_block} * kernel.value_dim)),
      keys_by_dim_(scratch->Take<uint32_t>(int64_t{kernel.gradient_key_block} * kernel.dim)),
      key_gradient_size_(ChunkedSize(kernel.dim, kernel.chunk, kernel.gradient_key_block)),
      value_gradient_size_(ChunkedSize(kernel.value_dim, kernel.chunk, kernel.gradient_key_block)),
      key_gradient_(scratch->Take<float>(key_gradient_size_)),
      value_gradient_(scratch->Take<float>(value_gradient_size_)),
      ranges_(scratch->Take<int64_t>(kBoundsPerPanel * block_panels_)),
      weights_(scratch->Take<uint32_t>(kernel.gradient_key_block * kBlockRows)),
      score_gradients_(scratch->Take<uint32_t>(kernel.gradient_key_block * kBlockRows)),
      panel_weights_(scratch->Take<float>(kernel.gradient_key_block * kernel.panel_rows)),
      panel_score_gradients_(
          scratch->Take<uint32_t>(kernel.gradient_key_block * kernel.panel_rows)) {}

void BackwardWorker::Compute(const BackwardPart& part, GradientOrder* order) {
  const BackwardTile& tile = *part.tile;
  const QueryRange& queries = part.queries;
  const KeyRange seen = FindPanelKeys(tile, queries);
  if (seen.begin >= seen.end) return;
  if (seen.end > kMaxTileKeys || !PackQueries(tile, queries)) {
    const KeyRange all = {0, tile.key_count};
    order->AwaitKeys(worker_, all);
    order->AwaitQueries(worker_);
    return ComputePlain(spec_, tile, queries, all);
  }
  order->Narrow(worker_, seen);
  const int rows = kernel_.panel_rows;
  std::fill_n(query_gradient_, Panels(queries, rows).count * int64_t{kernel_.dim} * rows, 0.0f);
  const int key_value_head = queries.head_begin / (spec_.query_heads / spec_.key_value_heads);
  for (int64_t begin = seen.begin; begin < seen.end; begin += kernel_.gradient_key_block) {
    const KeyRange keys = {begin, std::min(begin + kernel_.gradient_key_block, seen.end)};
    const bool small = PackKeys(tile, key_value_head, keys);
    if (small) RunBlocks(queries, keys);
    order->AwaitKeys(worker_, keys);
    if (small) {
      AddKeyGradients(tile, key_value_head, keys);
    } else {
      order->AwaitQueries(worker_);
      ComputePlain(spec_, tile, queries, keys);
    }
    order->ReleaseKeys(worker_, keys.end);
  }
  order->AwaitQueries(worker_);
  AddQueryGradients(tile, queries);
}

// The keys that any of the queries see; fills what the panels see.
KeyRange BackwardWorker::FindPanelKeys(const BackwardTile& tile, const QueryRange& queries) {
  KeyRange seen = {std::numeric_limits<int64_t>::max(), 0};
  const int rows = kernel_.panel_rows;
  const Panels panels(queries, rows);
  for (int panel = 0; panel < panels.count; ++panel) {
    panel_keys_[panel] =
        FindVisible(tile, queries, panel, kernel_, kBlockRows, OfPanel(visible_, panel));
    seen.begin = std::min(seen.begin, panel_keys_[panel].any.begin);
    seen.end = std::max(seen.end, panel_keys_[panel].any.end);
  }
  return seen;
}

// Returns whether all numbers are small.
bool BackwardWorker::PackQueries(const BackwardTile& tile, const QueryRange& queries) {
  const int bytes = BytesPerElement(spec_.element);
  const Rows query = RowsOfQueries(static_cast<const char*>(tile.query), queries,
                                   tile.query_row_heads, spec_.dim * bytes);
  const Rows gradient = RowsOfQueries(static_cast<const char*>(tile.output_gradient), queries,
                                      tile.query_row_heads, spec_.value_dim * bytes);
  const Panels panels(queries, kernel_.panel_rows);
  bool small = true;
  for (int panel = 0; panel < panels.count; ++panel) {
    small &= LoadRowConstants(tile, queries, panel);
    small &= PackPanel(panels.RowsOfPanel(query, panel), panel, spec_.dim, query_stride_, query_,
                       query_rows_stride_, query_rows_, spec_.scale * kLog2E);
    small &=
        PackPanel(panels.RowsOfPanel(gradient, panel), panel, spec_.value_dim, gradient_stride_,
                  output_gradient_, gradient_rows_stride_, gradient_rows_, 1);
  }
  return small;
}

// Fills both layouts of a panel; what is not by row is in f32 times `factor`. Returns whether all
// numbers are small.
bool BackwardWorker::PackPanel(const Rows& rows, int panel, int dim, int64_t stride,
                               uint32_t* panels, int64_t rows_stride, uint32_t* by_row,
                               float factor) const {
  const int words = kernel_.elements_per_word();
  const int first = panel % block_panels_ * kernel_.panel_rows / words;  // in its block
  PackChunks(format_, rows, dim, kernel_.chunk, kBlockRows / words, kernel_.panel_rows,
             by_row + panel / block_panels_ * rows_stride + first * kernel_.chunk);
  return PackGroups(format_, rows, dim, kernel_.panel_rows, stride, panels + panel * stride,
                    factor);
}

// Rows that add nothing, since they are none or saw no key, get the LSE +inf: all weights are 0.
bool BackwardWorker::LoadRowConstants(const BackwardTile& tile, const QueryRange& queries,
                                      int panel) {
  const int panel_rows = kernel_.panel_rows;
  const Panels panels(queries, panel_rows);
  const auto lse = panels.RowsOfPanel(RowsOfQueries(reinterpret_cast<const char*>(tile.lse),
                                                    queries, tile.query_row_heads, sizeof(float)),
                                      panel);
  const auto delta = panels.RowsOfPanel(RowsOfQueries(reinterpret_cast<const char*>(tile.delta),
                                                      queries, spec_.query_heads, sizeof(float)),
                                        panel);
  float* constants = OfPanel(row_constants_, panel);
  std::fill_n(constants, panel_rows, kInfinity);
  std::fill_n(constants + kBlockRows, panel_rows, 0.0f);
  bool small = true;
  for (int row = 0; row < lse.count; ++row) {
    const float row_lse = *reinterpret_cast<const float*>(lse.Row(row));
    if (row_lse == -kInfinity) continue;
    constants[row] = row_lse * kLog2E;
    constants[kBlockRows + row] = *reinterpret_cast<const float*>(delta.Row(row));
    small &= std::isfinite(row_lse) && std::abs(constants[kBlockRows + row]) < kSmallProduct;
  }
  return small;
}

// Returns whether all numbers are small.
bool BackwardWorker::PackKeys(const BackwardTile& tile, int key_value_head, KeyRange keys) {
  const int bytes = BytesPerElement(spec_.element);
  const int group = kernel_.group;
  const int words = kernel_.elements_per_word();
  const Rows key = RowsOfKeys(static_cast<const char*>(tile.key), keys, key_value_head,
                              tile.key_row_heads, spec_.dim * bytes);
  const Rows value = RowsOfKeys(static_cast<const char*>(tile.value), keys, key_value_head,
                                tile.key_row_heads, spec_.value_dim * bytes);
  bool small =
      PackGroups(format_, key, spec_.dim, group, int64_t{spec_.dim} / words * group, keys_);
  small &= PackGroups(format_, value, spec_.value_dim, group,
                      int64_t{spec_.value_dim} / words * group, values_);
  PackChunks(format_, key, spec_.dim, group, kernel_.gradient_key_block / words,
             static_cast<int>(RoundUp(key.count, group)), keys_by_dim_);
  std::fill_n(key_gradient_, key_gradient_size_, 0.0f);
  std::fill_n(value_gradient_, value_gradient_size_, 0.0f);
  return small;
}

// All blocks of queries against the block of keys.
void BackwardWorker::RunBlocks(const QueryRange& queries, KeyRange keys) {
  const int num_panels = Panels(queries, kernel_.panel_rows).count;
  const int64_t step = std::lcm(kernel_.group, kernel_.gradient_group);
  for (int first = 0; first < num_panels; first += block_panels_) {
    const int panels = std::min(block_panels_, num_panels - first);
    bool any = false;
    for (int panel = 0; panel < panels; ++panel) {
      const PanelKeys within = Within(panel_keys_[first + panel], keys, kernel_.group);
      any |= within.any.begin < within.any.end;
      // In the order of PanelBound in codegen/x86/BackwardKernel.cpp.
      const int64_t ranges[kBoundsPerPanel] = {within.any.begin, within.any.end, within.all.begin,
                                               within.all.end, within.narrow};
      std::copy_n(ranges, kBoundsPerPanel, ranges_ + kBoundsPerPanel * panel);
    }
    if (!any) continue;
    const int block = first / block_panels_;
    kernel_.backward(
        query_ + first * query_stride_, output_gradient_ + first * gradient_stride_,
        query_rows_ + block * query_rows_stride_, gradient_rows_ + block * gradient_rows_stride_,
        row_constants_ + 2 * block * kBlockRows, visible_ + 2 * block * kBlockRows, ranges_, keys_,
        values_, keys_by_dim_, query_gradient_ + int64_t{first} * kernel_.dim * kernel_.panel_rows,
        key_gradient_, value_gradient_, weights_, score_gradients_, panel_weights_,
        panel_score_gradients_, panels, RoundUp(keys.end - keys.begin, step),
        static_cast<int32_t>(keys.begin), spec_.scale * kLog2E, spec_.dim, spec_.value_dim);
  }
}

void BackwardWorker::AddKeyGradients(const BackwardTile& tile, int key_value_head, KeyRange keys) {
  const int capacity = kernel_.gradient_key_block;
  AddChunks(key_gradient_, kernel_.chunk, capacity, spec_.scale, spec_.dim,
            RowsOfKeys(reinterpret_cast<char*>(tile.key_gradient), keys, key_value_head,
                       spec_.key_value_heads, spec_.dim * static_cast<int>(sizeof(float))));
  AddChunks(value_gradient_, kernel_.chunk, capacity, 1, spec_.value_dim,
            RowsOfKeys(reinterpret_cast<char*>(tile.value_gradient), keys, key_value_head,
                       spec_.key_value_heads, spec_.value_dim * static_cast<int>(sizeof(float))));
}

void BackwardWorker::AddQueryGradients(const BackwardTile& tile, const QueryRange& queries) {
  const int rows = kernel_.panel_rows;
  const MutableRows gradient =
      RowsOfQueries(reinterpret_cast<char*>(tile.query_gradient), queries, spec_.query_heads,
                    spec_.dim * static_cast<int>(sizeof(float)));
  const Panels panels(queries, rows);
  for (int panel = 0; panel < panels.count; ++panel) {
    AddPanel(query_gradient_ + int64_t{panel} * kernel_.dim * rows, rows, spec_.scale, spec_.dim,
             panels.RowsOfPanel(gradient, panel));
  }
}

}  // namespace flashcp
