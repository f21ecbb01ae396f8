// Walks the keys of a unit in runs that fit the cache, panel after panel.

#include "runtime/cpu/forward_worker.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/cpu/reference_kernel.h"

namespace flashcp {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The reference kernel: for values that are not small, which must not reach rows that do not see
// them, not even times 0.
void ComputePlain(const KernelSpec& spec, const ForwardPart& part) {
  const QueryRange& queries = part.queries;
  AttentionTile tile = *part.tile;
  const int64_t rows = queries.row_begin * tile.query_row_heads;
  const int bytes = BytesPerElement(spec.element);
  tile.query = static_cast<const char*>(tile.query) + rows * spec.dim * bytes;
  tile.output = static_cast<char*>(tile.output) + rows * spec.value_dim * bytes;
  tile.lse += rows;
  if (tile.accumulator != nullptr) {
    tile.accumulator += queries.row_begin * spec.query_heads * spec.value_dim;
  }
  tile.query_position += queries.row_begin;
  tile.query_count = queries.row_end - queries.row_begin;
  tile.head_begin = queries.head_begin;
  tile.head_end = queries.head_end;
  ReferenceAttention(spec, &tile, 1);
}

// The first run of keys that a part sees, about: by its first and its last query.
KeyRange FirstRunOf(const ForwardPart& part) {
  const int64_t begin = VisibleKeys(*part.tile, part.queries.row_begin).begin;
  const int64_t end = VisibleKeys(*part.tile, part.queries.row_end - 1).end;
  return {begin, std::max(begin, std::min(begin + kRunKeys, end))};
}

}  // namespace

ForwardWorker::ForwardWorker(const GeneratedKernel& kernel, const KernelSpec& spec,
                             Scratch* scratch)
    : kernel_(kernel),
      spec_(spec),
      format_{spec.element, kernel.pairs},
      query_stride_(int64_t{kernel.dim} / kernel.elements_per_word() * kernel.panel_rows),
      query_(scratch->Take<uint32_t>(kUnitRows / kernel.panel_rows * query_stride_)),
      output_(scratch->Take<float>(int64_t{kUnitRows} * kernel.value_dim)),
      state_(scratch->Take<float>(2 * kUnitRows)),
      visible_(scratch->Take<int32_t>(2 * kUnitRows)),
      panel_keys_(scratch->Take<PanelKeys>(kUnitRows / kernel.panel_rows)),
      keys_(scratch->Take<uint32_t>(int64_t{kRunKeys} * kernel.dim)),
      values_(scratch->Take<uint32_t>(int64_t{kRunKeys} * kernel.value_dim)),
      scores_(scratch->Take<float>(kernel.key_block * kernel.panel_rows)),
      weights_(scratch->Take<uint32_t>(kernel.key_block * kernel.panel_rows)),
      ahead_(scratch) {}

void ForwardWorker::Compute(const ForwardPart& part, const ForwardPart* next) {
  const Panels panels(part.queries, kernel_.panel_rows);
  const KeyRange keys = FindKeys(part);
  if (keys.end > kMaxTileKeys) return ComputePlain(spec_, part);
  // Where there is one run of keys, panels come and go one by one, through the caches: they share
  // the memory of the first.
  slots_ = keys.end - keys.begin > kRunKeys ? panels.count : 1;
  KeyRange run = {keys.begin, std::min(keys.begin + kRunKeys, keys.end)};
  for (bool first = true;; first = false) {
    const bool last = run.end == keys.end;
    if (!PackRun(RowsOfRun(part, run))) return ComputePlain(spec_, part);
    const KeyRange following = {run.end, std::min(run.end + kRunKeys, keys.end)};
    const Run upcoming = !last             ? RowsOfRun(part, following)
                         : next != nullptr ? RowsOfRun(*next, FirstRunOf(*next))
                                           : Run{};
    for (int panel = 0; panel < panels.count; ++panel) {
      if (first) LoadPanel(part, panel);
      LookAhead(part, panel, first, last, upcoming);
      Attend(run, panel);
      if (last) StorePanelOf(part, panel);
    }
    if (last) return;
    run = following;
  }
}

// What the panels see, and all of them together.
KeyRange ForwardWorker::FindKeys(const ForwardPart& part) {
  const int rows = kernel_.panel_rows;
  KeyRange keys = {std::numeric_limits<int64_t>::max(), 0};
  const Panels panels(part.queries, rows);
  for (int panel = 0; panel < panels.count; ++panel) {
    panel_keys_[panel] =
        FindVisible(*part.tile, part.queries, panel, kernel_, rows, visible_ + panel * 2 * rows);
    keys.begin = std::min(keys.begin, panel_keys_[panel].any.begin);
    keys.end = std::max(keys.end, panel_keys_[panel].any.end);
  }
  return keys.begin < keys.end ? keys : KeyRange{0, 0};
}

Rows ForwardWorker::RowsOfQuery(const ForwardPart& part) const {
  return RowsOfQueries(static_cast<const char*>(part.tile->query), part.queries,
                       part.tile->query_row_heads, spec_.dim * BytesPerElement(spec_.element));
}

// What the part writes: O, or the accumulator of a tile that others follow.
MutableRows ForwardWorker::RowsOfOutput(const ForwardPart& part) const {
  const AttentionTile& tile = *part.tile;
  char* to =
      tile.last ? static_cast<char*>(tile.output) : reinterpret_cast<char*>(tile.accumulator);
  return RowsOfQueries(to, part.queries, tile.last ? tile.query_row_heads : spec_.query_heads,
                       spec_.value_dim * BytesPerElement(OutputElement(part)));
}

ForwardWorker::Run ForwardWorker::RowsOfRun(const ForwardPart& part, KeyRange keys) const {
  const int bytes = BytesPerElement(spec_.element);
  const int head = part.queries.head_begin / (spec_.query_heads / spec_.key_value_heads);
  const AttentionTile& tile = *part.tile;
  return {RowsOfKeys(static_cast<const char*>(tile.key), keys, head, tile.key_row_heads,
                     spec_.dim * bytes),
          RowsOfKeys(static_cast<const char*>(tile.value), keys, head, tile.key_row_heads,
                     spec_.value_dim * bytes)};
}

// Returns whether all values are small.
bool ForwardWorker::PackRun(const Run& run) {
  const int group = kernel_.group;
  PackGroups(format_, run.keys, spec_.dim, group,
             int64_t{spec_.dim} / kernel_.elements_per_word() * group, keys_);
  return PackChunks(format_, run.values, spec_.value_dim, group,
                    kRunKeys / kernel_.elements_per_word(),
                    static_cast<int>(RoundUp(run.values.count, group)), values_);
}

// What is touched next, for the kernel to fetch: the queries of the panel that follows, where this
// one goes to, and this panel's share of the run to come.
void ForwardWorker::LookAhead(const ForwardPart& part, int panel, bool first, bool last,
                              const Run& upcoming) {
  const Panels panels(part.queries, kernel_.panel_rows);
  ahead_.Clear();
  if (first && panel + 1 < panels.count) {
    ahead_.Add(panels.RowsOfPanel(RowsOfQuery(part), panel + 1));
  }
  if (last) {
    ahead_.Add(panels.RowsOfPanel(RowsOfOutput(part), panel));
  }
  const int begin = upcoming.keys.count * panel / panels.count;
  const int count = upcoming.keys.count * (panel + 1) / panels.count - begin;
  ahead_.Add(upcoming.keys.Slice(begin, count));
  ahead_.Add(upcoming.values.Slice(begin, count));
}

// A panel starts from nothing, or from the partial result of earlier tiles: one that has the
// maximum LSE and the sum 1.
void ForwardWorker::LoadPanel(const ForwardPart& part, int panel) {
  const AttentionTile& tile = *part.tile;
  const QueryRange& queries = part.queries;
  const int rows = kernel_.panel_rows;
  const Panels panels(queries, rows);
  PackGroups(format_, panels.RowsOfPanel(RowsOfQuery(part), panel), spec_.dim, rows, query_stride_,
             Query(panel), spec_.scale * kLog2E);
  float* maxima = State(panel);
  float* sums = maxima + rows;
  std::fill_n(maxima, rows, -kInfinity);
  std::fill_n(sums, rows, 0.0f);
  if (tile.first) {
    std::fill_n(Output(panel), int64_t{spec_.value_dim} * rows, 0.0f);
    return;
  }
  const auto accumulator =
      RowsOfQueries(reinterpret_cast<const char*>(tile.accumulator), queries, spec_.query_heads,
                    spec_.value_dim * static_cast<int>(sizeof(float)));
  PackGroups({model::DType::kF32, false}, panels.RowsOfPanel(accumulator, panel), spec_.value_dim,
             rows, 0, Output(panel));
  const auto lse = panels.RowsOfPanel(RowsOfQueries(reinterpret_cast<const char*>(tile.lse),
                                                    queries, tile.query_row_heads, sizeof(float)),
                                      panel);
  for (int i = 0; i < lse.count; ++i) {
    const float value = *reinterpret_cast<const float*>(lse.Row(i));
    if (value == -kInfinity) continue;
    maxima[i] = value * kLog2E;
    sums[i] = 1;
  }
}

void ForwardWorker::Attend(KeyRange run, int panel) {
  const PanelKeys keys = Within(panel_keys_[panel], run, kernel_.group);
  if (keys.any.begin == keys.any.end) return;
  kernel_.forward(Query(panel), keys_, values_, Output(panel), State(panel), scores_, weights_,
                  visible_ + panel * 2 * kernel_.panel_rows, keys.any.begin, keys.any.end,
                  keys.narrow, keys.all.begin, keys.all.end, static_cast<int32_t>(run.begin),
                  spec_.scale * kLog2E, spec_.dim, spec_.value_dim, ahead_.pairs(),
                  ahead_.Share((keys.any.end - keys.any.begin) / kernel_.group));
}

void ForwardWorker::StorePanelOf(const ForwardPart& part, int panel) {
  const int rows = kernel_.panel_rows;
  const Panels panels(part.queries, rows);
  const float* maxima = State(panel);
  float* sums = State(panel) + rows;
  const auto lse =
      panels.RowsOfPanel(RowsOfQueries(reinterpret_cast<char*>(part.tile->lse), part.queries,
                                       part.tile->query_row_heads, sizeof(float)),
                         panel);
  for (int i = 0; i < lse.count; ++i) {
    const bool empty = sums[i] == 0;  // saw no key
    const float maximum = maxima[i] == -kInfinity ? 0 : maxima[i];
    *reinterpret_cast<float*>(lse.Row(i)) = empty ? -kInfinity : maximum * kLn2 + std::log(sums[i]);
    sums[i] = empty ? 0 : 1 / sums[i];
  }
  StorePanel(OutputElement(part), Output(panel), rows, sums, spec_.value_dim,
             panels.RowsOfPanel(RowsOfOutput(part), panel));
}

}  // namespace flashcp
