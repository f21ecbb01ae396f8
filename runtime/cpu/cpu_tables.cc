// A launch on the CPU gives the tiles of its table their addresses, in memory kept for that, and
// computes them before it returns.

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/cpu/cpu_kernels.h"
#include "runtime/numeric.h"

namespace flashcp {
namespace {

// Gives the rows of tables their addresses.
class Addresses {
 public:
  Addresses(const LaunchTables& tables, BufferBases bases) : tables_(tables), bases_(bases) {}

  char* Of(BufferRow row) const {
    return bases_[row.buffer] + row.row * tables_.row_bytes[row.buffer];
  }
  char* Of(BufferByte byte) const { return bases_[byte.buffer] + byte.offset; }
  float* Floats(BufferRow row) const { return reinterpret_cast<float*>(Of(row)); }
  float* Floats(uint32_t buffer) const { return reinterpret_cast<float*>(bases_[buffer]); }

 private:
  const LaunchTables& tables_;
  const BufferBases bases_;
};

// All of a tile but its pointers and marks.
template <typename Tile, typename Entry>
void SetShape(const KernelSpec& spec, const LaunchTables& tables, const Entry& entry, Tile* tile) {
  const uint64_t head_bytes = spec.dim * BytesPerElement(spec.element);
  tile->query_row_heads = static_cast<int>(tables.row_bytes[entry.query.buffer] / head_bytes);
  tile->key_row_heads = static_cast<int>(tables.row_bytes[entry.key.buffer] / head_bytes);
  tile->query_position = entry.query_position;
  tile->key_position = entry.key_position;
  tile->query_count = entry.query_count;
  tile->key_count = entry.key_count;
  tile->band = entry.band;
  tile->head_begin = entry.head_begin;
  tile->head_end = entry.head_end;
}

void SetRows(const ForwardEntry& entry, const Addresses& addresses, AttentionTile* tile) {
  tile->query = addresses.Of(entry.query);
  tile->key = addresses.Of(entry.key);
  tile->value = addresses.Of(entry.value);
  tile->output = addresses.Of(entry.output);
  tile->lse = addresses.Floats(entry.lse);
  const bool partial = !(entry.first && entry.last);
  tile->accumulator = partial ? addresses.Floats(entry.accumulator) : nullptr;
}

void SetRows(const BackwardEntry& entry, const Addresses& addresses, BackwardTile* tile) {
  tile->query = addresses.Of(entry.query);
  tile->key = addresses.Of(entry.key);
  tile->value = addresses.Of(entry.value);
  tile->output_gradient = addresses.Of(entry.output_gradient);
  tile->lse = addresses.Floats(entry.lse);
  tile->delta = addresses.Floats(entry.delta);
  tile->query_gradient = addresses.Floats(entry.query_gradient);
  tile->key_gradient = addresses.Floats(entry.key_gradient);
  tile->value_gradient = addresses.Floats(entry.value_gradient);
}

// Calls use(source, target) for each row of a move.
template <typename Use>
void ForEachRow(const MoveEntry& entry, const Addresses& addresses, const Use& use) {
  const char* source = addresses.Of(entry.source);
  char* target = addresses.Of(entry.target);
  for (uint64_t row = 0; row < entry.rows; ++row) {
    use(source + row * entry.source_stride, target + row * entry.target_stride);
  }
}

// Returns the sum of the products of two rows. Eight sums side by side do not wait for each other;
// they are added in the end, by halves.
template <typename Element>
float SumOfProducts(const Element* a, const Element* b, int count) {
  constexpr int kSums = 8;
  static_assert(kHeadDimStep % kSums == 0, "rows would have a rest");
  float sums[kSums] = {};
  for (int begin = 0; begin < count; begin += kSums) {
    for (int i = 0; i < kSums; ++i) sums[i] += ToFloat(a[begin + i]) * ToFloat(b[begin + i]);
  }
  for (int half = kSums / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

class CpuTables : public DeviceTables {
 public:
  CpuTables(const KernelSpec& spec, CpuKernels* kernels, LaunchTables tables)
      : spec_(spec),
        kernels_(*kernels),
        tables_(std::move(tables)),
        forward_(tables_.forward.size()),
        backward_(tables_.backward.size()) {
    for (size_t i = 0; i < forward_.size(); ++i) {
      SetShape(spec_, tables_, tables_.forward[i], &forward_[i]);
      forward_[i].first = tables_.forward[i].first;
      forward_[i].last = tables_.forward[i].last;
    }
    for (size_t i = 0; i < backward_.size(); ++i) {
      SetShape(spec_, tables_, tables_.backward[i], &backward_[i]);
    }
    kernels_.Reserve(forward_);
  }

  absl::Status Enqueue(const Launch& launch, BufferBases bases, Stream*) override {
    const Addresses at(tables_, bases);
    switch (launch.kind) {
      case Launch::Kind::kAttend:
        kernels_.Forward(Resolve(tables_.forward, launch, at, &forward_));
        break;
      case Launch::Kind::kAttendBackward:
        kernels_.Backward(Resolve(tables_.backward, launch, at, &backward_));
        break;
      case Launch::Kind::kClear:
        for (const ClearEntry& entry : Entries(tables_.clears, launch)) {
          std::fill_n(at.Floats(entry.buffer), entry.count, 0.0f);
        }
        break;
      case Launch::Kind::kSumProducts:
        for (const ProductEntry& entry : Entries(tables_.products, launch)) {
          SumProducts(entry, at);
        }
        break;
      case Launch::Kind::kRound:
        for (const MoveEntry& entry : Entries(tables_.moves, launch)) {
          ForEachRow(entry, at, [&](const char* source, char* target) {
            FloatsToElements(spec_.element, reinterpret_cast<const float*>(source), entry.count,
                             target);
          });
        }
        break;
      case Launch::Kind::kAdd:
        Add(Entries(tables_.moves, launch), at);
        break;
      case Launch::Kind::kCopy:
        for (const MoveEntry& entry : Entries(tables_.moves, launch)) {
          ForEachRow(entry, at, [&](const char* source, char* target) {
            std::copy_n(source, entry.count, target);
          });
        }
        break;
    }
    return absl::OkStatus();
  }

 private:
  template <typename Entry>
  static absl::Span<const Entry> Entries(const std::vector<Entry>& table, const Launch& launch) {
    return absl::MakeConstSpan(table).subspan(launch.begin, launch.end - launch.begin);
  }

  // The tiles of a launch in `resolved`, which has the shapes of all tiles of the pass.
  template <typename Entry, typename Tile>
  static absl::Span<const Tile> Resolve(const std::vector<Entry>& table, const Launch& launch,
                                        const Addresses& at, std::vector<Tile>* resolved) {
    for (uint32_t i = launch.begin; i < launch.end; ++i) SetRows(table[i], at, &(*resolved)[i]);
    return Entries(*resolved, launch);
  }

  void SumProducts(const ProductEntry& entry, const Addresses& at) const {
    WithElementType(spec_.element, [&](auto element) {
      using Element = decltype(element);
      for (uint32_t row = 0; row < entry.rows; ++row) {
        const auto* output = reinterpret_cast<const Element*>(at.Of(BufferRow{entry.output, row}));
        const auto* gradient =
            reinterpret_cast<const Element*>(at.Of(BufferRow{entry.output_gradient, row}));
        float* sums = at.Floats(BufferRow{entry.sums, row});
        for (int head = 0; head < spec_.query_heads; ++head) {
          sums[head] = SumOfProducts(output, gradient, spec_.value_dim);
          output += spec_.value_dim;
          gradient += spec_.value_dim;
        }
      }
    });
  }

  void Add(absl::Span<const MoveEntry> entries, const Addresses& at) const {
    WithElementType(spec_.element, [&](auto type) {
      for (const MoveEntry& entry : entries) {
        ForEachRow(entry, at, [&](const char* source, char* target) {
          const auto* elements = reinterpret_cast<const decltype(type)*>(source);
          float* sums = reinterpret_cast<float*>(target);
          for (uint64_t i = 0; i < entry.count; ++i) sums[i] += ToFloat(elements[i]);
        });
      }
    });
  }

  const KernelSpec spec_;
  CpuKernels& kernels_;
  const LaunchTables tables_;
  std::vector<AttentionTile> forward_;
  std::vector<BackwardTile> backward_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceTables>> CpuKernels::Upload(LaunchTables tables) {
  return std::make_unique<CpuTables>(spec_, this, std::move(tables));
}

}  // namespace flashcp
