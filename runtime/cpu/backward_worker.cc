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
      row_words_(scratch->Take<int64_t>(2 * kernel.gradient_key_block / kernel.gradient_group)),
      weights_(scratch->Take<uint32_t>(kernel.gradient_key_block * kBlockRows)),
      score_gradients_(scratch->Take<uint32_t>(kernel.gradient_key_block * kBlockRows)),
      panel_weights_(scratch->Take<float>(kernel.gradient_key_block * kernel.panel_rows)),
      panel_score_gradients_(
          scratch->Take<uint32_t>(kernel.gradient_key_block * kernel.panel_rows)),
      ahead_(scratch) {}

void BackwardWorker::Compute(const BackwardPart& part, GradientOrder* order) {
  const KeyRange seen = FindPanelKeys(part);
  if (seen.begin >= seen.end) return;
  order->Narrow(worker_, seen);
  if (seen.end > kMaxTileKeys) return AddPlain(part, seen, order);
  const BackwardRows rows(spec_, part);
  const Panels panels(part.queries, kernel_.panel_rows);
  std::fill_n(query_gradient_, int64_t{panels.count} * kernel_.dim * kernel_.panel_rows, 0.0f);
  for (int64_t begin = seen.begin; begin < seen.end; begin += kernel_.gradient_key_block) {
    const KeyRange range = {begin, std::min(begin + kernel_.gradient_key_block, seen.end)};
    const bool small = PackKeys(rows, range);
    if (!RunBlocks(part, FindNext(part, range, seen, order), small)) {
      return AddPlain(part, seen, order);
    }
    if (small) {
      order->AwaitKeys(worker_, range);
      AddKeyGradients(rows, range);
    } else {
      AddPlain(part, range, order);
    }
    order->ReleaseKeys(worker_, range.end);
  }
  order->AwaitQueries(worker_);
  AddQueryGradients(part);
}

// The keys that any of the queries see; fills what the panels see.
KeyRange BackwardWorker::FindPanelKeys(const BackwardPart& part) {
  KeyRange seen = {std::numeric_limits<int64_t>::max(), 0};
  const Panels panels(part.queries, kernel_.panel_rows);
  for (int panel = 0; panel < panels.count; ++panel) {
    panel_keys_[panel] =
        FindVisible(*part.tile, part.queries, panel, kernel_, kBlockRows, OfPanel(visible_, panel));
    seen.begin = std::min(seen.begin, panel_keys_[panel].any.begin);
    seen.end = std::max(seen.end, panel_keys_[panel].any.end);
  }
  return seen;
}

// Another worker may take the next part: the rows are only fetched.
BackwardWorker::Keys BackwardWorker::FindNext(const BackwardPart& part, KeyRange range,
                                              KeyRange seen, GradientOrder* order) const {
  Keys keys = {range, range.begin == seen.begin, {}, {}, {}, {}};
  const int64_t step = kernel_.gradient_key_block;
  BackwardPart next;
  if (range.end < seen.end) {
    const BackwardRows rows(spec_, part);
    const KeyRange following = {range.end, std::min(range.end + step, seen.end)};
    keys.next_keys = rows.keys(following);
    keys.next_values = rows.values(following);
  } else if (order->Peek(&next)) {
    const BackwardRows rows(spec_, next);
    const Panels panels(next.queries, kernel_.panel_rows);
    const int64_t begin = VisibleKeys(*next.tile, next.queries.row_begin).begin;
    const KeyRange first = {begin, std::max(begin, std::min(begin + step, next.tile->key_count))};
    keys.next_keys = rows.keys(first);
    keys.next_values = rows.values(first);
    keys.next_queries = OfBlock(panels, rows.query(), 0);
    keys.next_gradients = OfBlock(panels, rows.output_gradient(), 0);
  }
  return keys;
}

// Returns whether all numbers of the block of queries are small.
bool BackwardWorker::PackQueries(const BackwardPart& part, int block) {
  const BackwardRows rows(spec_, part);
  const Panels panels(part.queries, kernel_.panel_rows);
  const int end = std::min((block + 1) * block_panels_, panels.count);
  bool small = true;
  for (int panel = block * block_panels_; panel < end; ++panel) {
    small &= LoadRowConstants(panels.RowsOfPanel(rows.lse(), panel),
                              panels.RowsOfPanel(rows.delta(), panel), panel);
    small &= PackPanel(panels.RowsOfPanel(rows.query(), panel), panel, spec_.dim, query_stride_,
                       query_, query_rows_stride_, query_rows_, spec_.scale * kLog2E);
    small &=
        PackPanel(panels.RowsOfPanel(rows.output_gradient(), panel), panel, spec_.value_dim,
                  gradient_stride_, output_gradient_, gradient_rows_stride_, gradient_rows_, 1);
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
bool BackwardWorker::LoadRowConstants(const Rows& lse, const Rows& delta, int panel) {
  const int panel_rows = kernel_.panel_rows;
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
bool BackwardWorker::PackKeys(const BackwardRows& rows, KeyRange keys) {
  const Rows key = rows.keys(keys), value = rows.values(keys);
  const int group = kernel_.group;
  const int words = kernel_.elements_per_word();
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

// Runs the blocks of queries that see any of the keys; packs all of them if the keys are the first
// ones. Returns false if numbers of a block that it packs are not small.
bool BackwardWorker::RunBlocks(const BackwardPart& part, const Keys& keys, bool small_keys) {
  const Panels panels(part.queries, kernel_.panel_rows);
  const BlockRange busy = BlocksThatSee(panels, keys.range);
  const int blocks = static_cast<int>(RoundUp(panels.count, block_panels_) / block_panels_);
  for (int block = keys.first ? 0 : busy.begin; block < (keys.first ? blocks : busy.end); ++block) {
    if (keys.first && !PackQueries(part, block)) return false;
    if (!small_keys || block < busy.begin || block >= busy.end) continue;
    LookAhead(part, keys, block, busy);
    RunBlock(panels, block, keys.range);
  }
  return true;
}

BackwardWorker::BlockRange BackwardWorker::BlocksThatSee(const Panels& panels,
                                                         KeyRange keys) const {
  BlockRange blocks = {panels.count, 0};
  for (int panel = 0; panel < panels.count; ++panel) {
    const KeyRange any = panel_keys_[panel].any;
    if (any.begin >= keys.end || any.end <= keys.begin) continue;
    blocks.begin = std::min(blocks.begin, panel / block_panels_);
    blocks.end = panel / block_panels_ + 1;
  }
  return blocks;
}

// What is touched next, for the kernel to fetch: the queries of the block that follows, where the
// gradients of this one go to, and this block's share of what all blocks lead to.
void BackwardWorker::LookAhead(const BackwardPart& part, const Keys& keys, int block,
                               BlockRange busy) {
  const BackwardRows rows(spec_, part);
  const Panels panels(part.queries, kernel_.panel_rows);
  const int first_panel = block * block_panels_;
  const int end_panel = std::min(first_panel + block_panels_, panels.count);
  ahead_.Clear();
  if (keys.first && end_panel < panels.count) {
    ahead_.Add(OfBlock(panels, rows.query(), block + 1));
    ahead_.Add(OfBlock(panels, rows.output_gradient(), block + 1));
  }
  if (panel_keys_[end_panel - 1].any.end <= keys.range.end) {
    ahead_.Add(OfBlock(panels, rows.query_gradient(), block));
  }
  const auto add_share = [&](const auto& all) {
    const int count = busy.end - busy.begin, index = block - busy.begin;
    const int begin = all.count * index / count;
    ahead_.Add(all.Slice(begin, all.count * (index + 1) / count - begin));
  };
  add_share(rows.key_gradient(keys.range));
  add_share(rows.value_gradient(keys.range));
  add_share(keys.next_keys);
  add_share(keys.next_values);
  add_share(keys.next_queries);
  add_share(keys.next_gradients);
}

// A block of queries against the block of keys.
void BackwardWorker::RunBlock(const Panels& panels, int block, KeyRange keys) {
  const int first = block * block_panels_;
  const int count = std::min(block_panels_, panels.count - first);
  FindBounds(first, count, keys);
  const int64_t key_count =
      RoundUp(keys.end - keys.begin, std::lcm(kernel_.group, kernel_.gradient_group));
  kernel_.backward(
      query_ + first * query_stride_, output_gradient_ + first * gradient_stride_,
      query_rows_ + block * query_rows_stride_, gradient_rows_ + block * gradient_rows_stride_,
      row_constants_ + 2 * block * kBlockRows, visible_ + 2 * block * kBlockRows, ranges_,
      row_words_, keys_, values_, keys_by_dim_,
      query_gradient_ + int64_t{first} * kernel_.dim * kernel_.panel_rows, key_gradient_,
      value_gradient_, weights_, score_gradients_, panel_weights_, panel_score_gradients_, count,
      key_count, static_cast<int32_t>(keys.begin), spec_.scale * kLog2E, spec_.dim, spec_.value_dim,
      ahead_.pairs(), ahead_.Share(2 * count * key_count / kernel_.group));
}

// Fills what each panel of a block sees of the keys, and which rows of the block see any of each
// group of keys: from the first panel that does, or from its second vector if the keys are narrow,
// to the last panel that does.
void BackwardWorker::FindBounds(int first_panel, int panels, KeyRange keys) {
  const int words = kernel_.elements_per_word(), group = kernel_.gradient_group;
  std::fill_n(row_words_, 2 * kernel_.gradient_key_block / group, 0);
  for (int panel = panels - 1; panel >= 0; --panel) {
    const PanelKeys within = Within(panel_keys_[first_panel + panel], keys, kernel_.group);
    // In the order of PanelBound in codegen/x86/BackwardKernel.cpp.
    const int64_t ranges[kBoundsPerPanel] = {within.any.begin, within.any.end, within.all.begin,
                                             within.all.end, within.narrow};
    std::copy_n(ranges, kBoundsPerPanel, ranges_ + kBoundsPerPanel * panel);
    const int64_t begin = panel * kernel_.panel_rows / words;
    const int64_t second = begin + kernel_.lanes / words;
    const int64_t end = begin + kernel_.panel_rows / words;
    for (int64_t i = within.any.begin / group; i * group < within.any.end; ++i) {
      row_words_[2 * i] = within.narrow <= i * group ? second : begin;
      if (row_words_[2 * i + 1] == 0) row_words_[2 * i + 1] = end;
    }
  }
}

void BackwardWorker::AddKeyGradients(const BackwardRows& rows, KeyRange keys) {
  const int capacity = kernel_.gradient_key_block;
  AddChunks(key_gradient_, kernel_.chunk, capacity, spec_.scale, spec_.dim,
            rows.key_gradient(keys));
  AddChunks(value_gradient_, kernel_.chunk, capacity, 1, spec_.value_dim,
            rows.value_gradient(keys));
}

void BackwardWorker::AddQueryGradients(const BackwardPart& part) {
  const int panel_rows = kernel_.panel_rows;
  const Panels panels(part.queries, panel_rows);
  const MutableRows gradient = BackwardRows(spec_, part).query_gradient();
  for (int panel = 0; panel < panels.count; ++panel) {
    AddPanel(query_gradient_ + int64_t{panel} * kernel_.dim * panel_rows, panel_rows, spec_.scale,
             spec_.dim, panels.RowsOfPanel(gradient, panel));
  }
}

void BackwardWorker::AddPlain(const BackwardPart& part, KeyRange keys, GradientOrder* order) {
  order->AwaitKeys(worker_, keys);
  order->AwaitQueries(worker_);
  ComputePlain(spec_, *part.tile, part.queries, keys);
}

}  // namespace flashcp
