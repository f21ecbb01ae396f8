// How rows of a tensor become what the generated kernels take, and back: transposed or cut into
// chunks, converted to f32 or paired. Needs AVX2 and F16C.

#ifndef FLASHCP_RUNTIME_CPU_PACK_H_
#define FLASHCP_RUNTIME_CPU_PACK_H_

#include <algorithm>
#include <cstdint>

#include "runtime/kernels.h"

namespace flashcp {

// Rows of a tensor, `heads` of them in each row of tokens.
template <typename Byte>
struct RowsOf {
  Byte* data;
  int64_t token_bytes;  // from a token to the next
  int64_t head_bytes;   // from a head to the next
  int heads;
  int first;  // row, over all heads
  int count;

  Byte* Row(int i) const {
    return data + (first + i) / heads * token_bytes + (first + i) % heads * head_bytes;
  }
  // Calls use(Row(i)) for all of them.
  template <typename Use>
  void ForEach(const Use& use) const {
    Byte* token = data + first / heads * token_bytes;
    for (int i = 0, head = first % heads; i < count; ++i) {
      use(token + head * head_bytes);
      if (++head == heads) {
        head = 0;
        token += token_bytes;
      }
    }
  }
  // Calls use(first row, number of rows) for the heads of each token, which lie side by side.
  template <typename Use>
  void ForEachToken(const Use& use) const {
    if (count == 0) return;  // there may be no heads, either
    Byte* token = data + first / heads * token_bytes;
    for (int head = first % heads, left = count; left > 0; head = 0, token += token_bytes) {
      const int rows = std::min(heads - head, left);
      use(token + head * head_bytes, rows);
      left -= rows;
    }
  }
  RowsOf Slice(int begin, int size) const {
    return {data, token_bytes, head_bytes, heads, first + begin, size};
  }
};
using Rows = RowsOf<const char>;
using MutableRows = RowsOf<char>;

// Generated kernels multiply masked pairs too, by a weight of 0: elements below this magnitude have
// dot products, of up to kMaxHeadDim dims, whose sums of two are finite. An infinity or a NaN is
// not small.
inline constexpr float kSmall = 0x1p59f;
inline constexpr float kSmallProduct = kMaxHeadDim * kSmall * kSmall;

// What words are made from.
struct WordFormat {
  model::DType element;  // of the rows
  bool pairs;            // of bf16, as they are; otherwise words are f32
};

// Writes [row / group][dim][group] words, a group every group_stride words, times a factor where
// they are f32; zeros up to a multiple of 8 rows and of the group. Returns whether all elements are
// small. The rows are read in steps of 8, so that groups of 4 are written in twos.
bool PackGroups(WordFormat format, const Rows& rows, int dim, int group, int64_t group_stride,
                void* words, float factor = 1);

// Writes [dim / chunk][row][chunk] words, `capacity` rows (pairs: row pairs) a chunk; words pair
// rows. Zeros for rows up to padded_count. Returns whether all elements are small.
bool PackChunks(WordFormat format, const Rows& rows, int dim, int chunk, int64_t capacity,
                int padded_count, void* words);

// Writes a panel, [dim][panel_rows] floats times a factor for each row, to rows of elements.
void StorePanel(model::DType element, const float* panel, int panel_rows, const float* factors,
                int dim, const MutableRows& rows);

// rows += factor * panel, rows of f32.
void AddPanel(const float* panel, int panel_rows, float factor, int dim, const MutableRows& rows);

// rows += factor * chunks, [dim / chunk][capacity][chunk] floats, rows of f32.
void AddChunks(const float* chunks, int chunk, int64_t capacity, float factor, int dim,
               const MutableRows& rows);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_PACK_H_
