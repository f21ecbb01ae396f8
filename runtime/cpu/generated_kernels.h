// What flashcp-kernelgen makes, in C++: the functions of each kernel, how it is blocked, and the
// sizes of what it works on. codegen/x86/{Forward,Backward}Kernel.cpp say what they compute.
//
// A panel is `panel_rows` query rows, one a lane; a row is a query of one head, and the heads that
// share keys lie beside each other. A word is what one broadcast multiplies by: one f32, or a pair
// of bf16. "By row", "by key": words pair neighbours of that kind; otherwise they pair dims.

#ifndef FLASHCP_RUNTIME_CPU_GENERATED_KERNELS_H_
#define FLASHCP_RUNTIME_CPU_GENERATED_KERNELS_H_

#include <cstdint>

#include "absl/types/span.h"

namespace flashcp {

inline constexpr int kRunKeys = 256;         // keys that the forward kernel takes at once, at most
inline constexpr int kBlockRows = 96;        // query rows that the backward kernel takes, at most
inline constexpr int kBoundsPerPanel = 5;    // of its keys, that the backward kernel takes
inline constexpr int kMaxPairsAhead = 1280;  // of lines, that a call of a kernel fetches

// One panel against keys [begin, end) of a run; state and output grow. Memory is aligned to 64
// bytes and does not overlap.
using ForwardFunction = void(const void* query,   // [dim][row] words; f32: times `scale`
                             const void* keys,    // [key / group][dim][group] words
                             const void* values,  // [value dim / group][run][group] words, by key
                             float* output,       // [value dim][row]
                             float* state,        // [2][row]: maxima in units of log 2, sums
                             float* scores,       // [key_block][row], scratch
                             void* weights,       // the same in words, scratch
                             const int32_t* visible,  // [2][row]: first key, one after the last
                             int64_t begin,           // multiples of group
                             int64_t end,
                             int64_t narrow_begin,    // from here on the first vector's see none
                             int64_t unmasked_begin,  // keys of the run that all rows see
                             int64_t unmasked_end,
                             int32_t first_key,  // of the run, as `visible` counts
                             float scale,        // of scores, times log2(e)
                             int64_t dim, int64_t value_dim,
                             // Pairs of lines to fetch, so many with each group of keys; they need
                             // not be there.
                             const void* const* pairs_ahead, int64_t pairs_per_group);

// Up to kBlockRows rows, in panels, against up to gradient_key_block keys; the gradients grow,
// without `scale`.
using BackwardFunction =
    void(const void* query,            // [panel][dim][row] words; f32: times `scale`
         const void* output_gradient,  // [panel][value dim][row] words
         const void* query_rows,       // [dim / chunk][row][chunk] words, by row
         const void* gradient_rows,    // [value dim / chunk][row][chunk] words, by row
         const float* row_constants,   // [2][row]: LSE in units of log 2 (+inf for none), delta
         const int32_t* visible,       // [2][row]
         const int64_t* ranges,        // [panel][5]: as of the forward kernel, narrow_begin last
         const int64_t* row_words,     // [key / gradient_group][2]: words, by row, of the rows that
                                       // see any of the keys: the first, one after the last
         const void* keys,             // [key / group][dim][group] words
         const void* values,           // [key / group][value dim][group] words
         const void* keys_by_dim,      // [dim / group][key][group] words, by key
         float* query_gradient,        // [panel][dim][row]
         float* key_gradient,          // [dim / chunk][key][chunk]
         float* value_gradient,        // [value dim / chunk][key][chunk]
         void* weights, void* score_gradients, float* panel_weights,
         void* panel_score_gradients,  // scratch
         int64_t panels,
         int64_t key_count,  // a multiple of group and gradient_group
         int32_t first_key,
         float scale,  // of scores, times log2(e)
         int64_t dim, int64_t value_dim,
         // As of the forward kernel, twice for each panel: groups of key_count keys.
         const void* const* pairs_ahead, int64_t pairs_per_group);

struct GeneratedKernel {
  const char* name;
  const char* target;  // avx2, avx512, avx512-bf16
  bool emulated;       // runs where avx2 does
  bool pairs;          // takes bf16 in pairs; otherwise words are f32
  bool any_dim;        // dim and value_dim are the largest it takes, in steps of 8
  int dim;
  int value_dim;
  int panel_rows;
  int lanes;               // rows of a vector of the panel
  int group;               // keys or dims that lie side by side when packed
  int key_block;           // keys, forward, between two updates of the maxima
  int gradient_key_block;  // keys, backward, of one call
  int gradient_group;      // keys whose dK and dV are summed at once
  int chunk;               // dims that they are summed for at once
  ForwardFunction* forward;
  BackwardFunction* backward;

  int elements_per_word() const { return pairs ? 2 : 1; }
};

// All kernels in this library; those for any dim after those for one.
absl::Span<const GeneratedKernel> GeneratedKernels();
// The same in other instructions, in a library of its own, for tests.
absl::Span<const GeneratedKernel> EmulatedKernels();

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_GENERATED_KERNELS_H_
