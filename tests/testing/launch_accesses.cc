// A tile touches its own heads of its rows alone: stages of heads work on others at the same time.

#include "tests/testing/launch_accesses.h"

#include "runtime/numeric.h"

namespace flashcp::testing {
namespace {

class Accesses {
 public:
  Accesses(const LaunchTables& tables, const KernelSpec& spec, BufferBases bases)
      : tables_(tables), spec_(spec), bases_(bases) {}

  void Add(const ForwardEntry& tile) {
    AddQueries(tile, tile.query, spec_.dim * element_bytes_, false);
    AddKeys(tile, tile.key, spec_.dim * element_bytes_, false);
    AddKeys(tile, tile.value, spec_.value_dim * element_bytes_, false);
    AddQueries(tile, tile.lse, sizeof(float), true);
    if (tile.last) AddQueries(tile, tile.output, spec_.value_dim * element_bytes_, true);
    if (!(tile.first && tile.last)) {
      AddQueries(tile, tile.accumulator, spec_.value_dim * sizeof(float), true);
    }
  }

  void Add(const BackwardEntry& tile) {
    AddQueries(tile, tile.query, spec_.dim * element_bytes_, false);
    AddQueries(tile, tile.output_gradient, spec_.value_dim * element_bytes_, false);
    AddQueries(tile, tile.lse, sizeof(float), false);
    AddQueries(tile, tile.delta, sizeof(float), false);
    AddQueries(tile, tile.query_gradient, spec_.dim * sizeof(float), true);
    AddKeys(tile, tile.key, spec_.dim * element_bytes_, false);
    AddKeys(tile, tile.value, spec_.value_dim * element_bytes_, false);
    AddKeys(tile, tile.key_gradient, spec_.dim * sizeof(float), true);
    AddKeys(tile, tile.value_gradient, spec_.value_dim * sizeof(float), true);
  }

  void Add(const MoveEntry& move, size_t source_bytes, size_t target_bytes) {
    for (uint64_t row = 0; row < move.rows; ++row) {
      AddBytes(At(move.source) + row * move.source_stride, move.count * source_bytes, false);
      AddBytes(At(move.target) + row * move.target_stride, move.count * target_bytes, true);
    }
  }

  void Add(const ClearEntry& entry) {
    AddBytes(bases_[entry.buffer], entry.count * sizeof(float), true);
  }

  void Add(const ProductEntry& entry) {
    for (uint32_t buffer : {entry.output, entry.output_gradient}) {
      AddRows({buffer, 0}, entry.rows, 0, spec_.query_heads, spec_.value_dim * element_bytes_,
              false);
    }
    AddRows({entry.sums, 0}, entry.rows, 0, spec_.query_heads, sizeof(float), true);
  }

  size_t element_bytes() const { return element_bytes_; }
  std::vector<RaceCheck::Access> Take() { return std::move(accesses_); }

 private:
  char* At(BufferByte byte) const { return bases_[byte.buffer] + byte.offset; }

  void AddBytes(const char* data, size_t size, bool write) {
    accesses_.push_back({data, size, write});
  }
  void AddRows(BufferRow first, int64_t rows, int head_begin, int head_end, size_t head_bytes,
               bool write) {
    const uint64_t row_bytes = tables_.row_bytes[first.buffer];
    for (int64_t row = first.row; row < first.row + rows; ++row) {
      AddBytes(bases_[first.buffer] + row * row_bytes + head_begin * head_bytes,
               (head_end - head_begin) * head_bytes, write);
    }
  }
  template <typename Tile>
  void AddQueries(const Tile& tile, BufferRow first, size_t head_bytes, bool write) {
    AddRows(first, tile.query_count, tile.head_begin, tile.head_end, head_bytes, write);
  }
  template <typename Tile>
  void AddKeys(const Tile& tile, BufferRow first, size_t head_bytes, bool write) {
    const int group = spec_.query_heads / spec_.key_value_heads;
    AddRows(first, tile.key_count, tile.head_begin / group, (tile.head_end + group - 1) / group,
            head_bytes, write);
  }

  const LaunchTables& tables_;
  const KernelSpec& spec_;
  const BufferBases bases_;
  const size_t element_bytes_ = BytesPerElement(spec_.element);
  std::vector<RaceCheck::Access> accesses_;
};

}  // namespace

std::vector<RaceCheck::Access> AccessesOf(const Launch& launch, const LaunchTables& tables,
                                          const KernelSpec& spec, BufferBases bases) {
  Accesses accesses(tables, spec, bases);
  const size_t element = accesses.element_bytes();
  for (uint32_t i = launch.begin; i < launch.end; ++i) {
    switch (launch.kind) {
      case Launch::Kind::kAttend:
        accesses.Add(tables.forward[i]);
        break;
      case Launch::Kind::kAttendBackward:
        accesses.Add(tables.backward[i]);
        break;
      case Launch::Kind::kClear:
        accesses.Add(tables.clears[i]);
        break;
      case Launch::Kind::kSumProducts:
        accesses.Add(tables.products[i]);
        break;
      case Launch::Kind::kRound:
        accesses.Add(tables.moves[i], sizeof(float), element);
        break;
      case Launch::Kind::kAdd:
        accesses.Add(tables.moves[i], element, sizeof(float));
        break;
      case Launch::Kind::kCopy:
        accesses.Add(tables.moves[i], 1, 1);
        break;
    }
  }
  return accesses.Take();
}

}  // namespace flashcp::testing
