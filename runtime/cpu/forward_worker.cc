#include "runtime/cpu/forward_worker.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace flashcp {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The plain kernel on part of a tile: for values that are not finite, which must not reach rows
// that do not see them, not even times 0.
void ComputePlain(const KernelSpec& spec, AttentionTile tile, const QueryRange& queries) {
  const int64_t rows = queries.row_begin * spec.query_heads;
  const int bytes = ElementBytes(spec.element);
  tile.query = static_cast<const char*>(tile.query) + rows * spec.dim * bytes;
  tile.output = static_cast<char*>(tile.output) + rows * spec.value_dim * bytes;
  tile.lse += rows;
  if (tile.accumulator != nullptr) tile.accumulator += rows * spec.value_dim;
  tile.query_position += queries.row_begin;
  tile.query_count = queries.row_end - queries.row_begin;
  tile.head_begin = queries.head_begin;
  tile.head_end = queries.head_end;
  ReferenceAttention(spec, &tile, 1);
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
      weights_(scratch->Take<uint32_t>(kernel.key_block * kernel.panel_rows)) {}

void ForwardWorker::Compute(const AttentionTile& tile, const QueryRange& queries) {
  const Panels panels(queries, kernel_.panel_rows);
  const KeyRange keys = FindKeys(tile, queries);
  // Where there is one run of keys, panels come and go one by one, through the caches: they share
  // the memory of the first.
  slots_ = keys.end - keys.begin > kRunKeys ? panels.count : 1;
  const int key_value_head = queries.head_begin / (spec_.query_heads / spec_.key_value_heads);
  int64_t begin = keys.begin;
  do {
    const KeyRange run = {begin, std::min(begin + kRunKeys, keys.end)};
    if (!PackRun(tile, key_value_head, run)) return ComputePlain(spec_, tile, queries);
    for (int panel = 0; panel < panels.count; ++panel) {
      if (run.begin == keys.begin) LoadPanel(tile, queries, panel);
      Attend(run, panel);
      if (run.end == keys.end) StorePanelOf(tile, queries, panel);
    }
    begin = run.end;
  } while (begin < keys.end);
}

// What the panels see, and all of them together.
KeyRange ForwardWorker::FindKeys(const AttentionTile& tile, const QueryRange& queries) {
  const int rows = kernel_.panel_rows;
  KeyRange keys = {std::numeric_limits<int64_t>::max(), 0};
  const Panels panels(queries, rows);
  for (int panel = 0; panel < panels.count; ++panel) {
    panel_keys_[panel] = FindVisible(tile, queries, panel, rows, rows, visible_ + panel * 2 * rows);
    keys.begin = std::min(keys.begin, panel_keys_[panel].any.begin);
    keys.end = std::max(keys.end, panel_keys_[panel].any.end);
  }
  return keys.begin < keys.end ? keys : KeyRange{0, 0};
}

// Returns whether all values are finite.
bool ForwardWorker::PackRun(const AttentionTile& tile, int key_value_head, KeyRange run) {
  const int bytes = ElementBytes(spec_.element);
  const Rows keys = RowsOfKeys(static_cast<const char*>(tile.key), run, key_value_head,
                               spec_.key_value_heads, spec_.dim * bytes);
  const Rows values = RowsOfKeys(static_cast<const char*>(tile.value), run, key_value_head,
                                 spec_.key_value_heads, spec_.value_dim * bytes);
  const int group = kernel_.group;
  PackGroups(format_, keys, spec_.dim, group,
             int64_t{spec_.dim} / kernel_.elements_per_word() * group, keys_);
  return PackChunks(format_, values, spec_.value_dim, group, kRunKeys / kernel_.elements_per_word(),
                    static_cast<int>(RoundUp(values.count, group)), values_);
}

// A panel starts from nothing, or from the partial result of earlier tiles: one that has the
// maximum LSE and the sum 1.
void ForwardWorker::LoadPanel(const AttentionTile& tile, const QueryRange& queries, int panel) {
  const int rows = kernel_.panel_rows;
  const Panels panels(queries, rows);
  const auto query = RowsOfQueries(static_cast<const char*>(tile.query), queries, spec_.query_heads,
                                   spec_.dim * ElementBytes(spec_.element));
  PackGroups(format_, panels.RowsOfPanel(query, panel), spec_.dim, rows, query_stride_,
             Query(panel));
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
  PackGroups({ElementType::kF32, false}, panels.RowsOfPanel(accumulator, panel), spec_.value_dim,
             rows, 0, Output(panel));
  const auto lse = panels.RowsOfPanel(RowsOfQueries(reinterpret_cast<const char*>(tile.lse),
                                                    queries, spec_.query_heads, sizeof(float)),
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
                  keys.all.begin, keys.all.end, static_cast<int32_t>(run.begin),
                  spec_.scale * kLog2E, spec_.dim, spec_.value_dim);
}

void ForwardWorker::StorePanelOf(const AttentionTile& tile, const QueryRange& queries, int panel) {
  const int rows = kernel_.panel_rows;
  const Panels panels(queries, rows);
  const float* maxima = State(panel);
  float* sums = State(panel) + rows;
  const auto lse = panels.RowsOfPanel(
      RowsOfQueries(reinterpret_cast<char*>(tile.lse), queries, spec_.query_heads, sizeof(float)),
      panel);
  for (int i = 0; i < lse.count; ++i) {
    const bool empty = sums[i] == 0;  // saw no key
    const float maximum = maxima[i] == -kInfinity ? 0 : maxima[i];
    *reinterpret_cast<float*>(lse.Row(i)) = empty ? -kInfinity : maximum * kLn2 + std::log(sums[i]);
    sums[i] = empty ? 0 : 1 / sums[i];
  }
  const ElementType element = tile.last ? spec_.element : ElementType::kF32;
  char* to =
      tile.last ? static_cast<char*>(tile.output) : reinterpret_cast<char*>(tile.accumulator);
  const auto output =
      RowsOfQueries(to, queries, spec_.query_heads, spec_.value_dim * ElementBytes(element));
  StorePanel(element, Output(panel), rows, sums, spec_.value_dim,
             panels.RowsOfPanel(output, panel));
}

}  // namespace flashcp
