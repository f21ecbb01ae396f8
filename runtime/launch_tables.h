// The tables that launches read: plain data that names memory as a buffer and a row, made once. The
// first bytes of the buffers are a small argument of each launch, so new tensors cost nothing.

#ifndef FLASHCP_RUNTIME_LAUNCH_TABLES_H_
#define FLASHCP_RUNTIME_LAUNCH_TABLES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/band.h"
#include "runtime/kernels.h"

namespace flashcp {

// The first byte of each buffer of a rank, by its index. Read during the call that takes it.
using BufferBases = absl::Span<char* const>;

// The first of some rows of a buffer.
struct BufferRow {
  uint32_t buffer;
  uint32_t row;
};

// A byte of a buffer.
struct BufferByte {
  uint32_t buffer;
  uint64_t offset;
};

// An AttentionTile (kernels.h) before its buffers have addresses; fields of one name mean the same.
struct ForwardEntry {
  BufferRow query;
  BufferRow key;
  BufferRow value;
  BufferRow output;
  BufferRow lse;
  BufferRow accumulator;  // unless first and last
  int64_t query_position;
  int64_t key_position;
  int64_t query_count;
  int64_t key_count;
  model::Band band;
  int head_begin;
  int head_end;
  bool first;
  bool last;
};

// A BackwardTile, likewise.
struct BackwardEntry {
  BufferRow query;
  BufferRow key;
  BufferRow value;
  BufferRow output_gradient;
  BufferRow lse;
  BufferRow delta;
  BufferRow query_gradient;
  BufferRow key_gradient;
  BufferRow value_gradient;
  int64_t query_position;
  int64_t key_position;
  int64_t query_count;
  int64_t key_count;
  model::Band band;
  int head_begin;
  int head_end;
};

// Rows of `count` things that lie side by side, read here and written there; the two do not
// overlap.
struct MoveEntry {
  BufferByte source;
  BufferByte target;
  uint64_t count;  // of each row
  uint64_t rows = 1;
  uint64_t source_stride = 0;  // bytes from a row to the next, if there are several
  uint64_t target_stride = 0;
};

// Floats that become 0.
struct ClearEntry {
  uint32_t buffer;
  uint64_t count;
};

// Rows [0, rows) of O and of its gradient, and the sums over each head of the kernels of their
// products.
struct ProductEntry {
  uint32_t output;  // buffers
  uint32_t output_gradient;
  uint32_t sums;  // f32
  uint32_t rows;
};

// All tables of one pass of one rank.
struct LaunchTables {
  std::vector<uint64_t> row_bytes;  // by buffer: from a row to the next, whatever heads it has
  std::vector<ForwardEntry> forward;
  std::vector<BackwardEntry> backward;
  std::vector<MoveEntry> moves;
  std::vector<ClearEntry> clears;
  std::vector<ProductEntry> products;
};

// One launch: entries [begin, end) of the table that its kind reads.
struct Launch {
  enum class Kind : uint8_t {
    kAttend,          // forward
    kAttendBackward,  // backward
    kClear,           // clears
    kSumProducts,     // products
    kRound,           // moves: target = source, floats rounded to elements
    kAdd,             // moves: target += source, elements added to floats, entry after entry
    kCopy,            // moves: target = source, bytes
  };
  Kind kind;
  uint32_t begin;
  uint32_t end;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_LAUNCH_TABLES_H_
