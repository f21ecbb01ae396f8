// One worker of the backward pass: packs what the five products take, and runs the generated
// kernel.

#ifndef FLASHCP_RUNTIME_CPU_BACKWARD_WORKER_H_
#define FLASHCP_RUNTIME_CPU_BACKWARD_WORKER_H_

#include <algorithm>
#include <cstdint>

#include "runtime/cpu/backward_rows.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/gradient_order.h"
#include "runtime/cpu/lines_ahead.h"
#include "runtime/cpu/panels.h"
#include "runtime/cpu/scratch.h"
#include "runtime/kernels.h"

namespace flashcp {

class BackwardWorker {
 public:
  // `worker`: its number. Takes its memory from `scratch`, which is zeroed.
  BackwardWorker(const GeneratedKernel& kernel, const KernelSpec& spec, int worker,
                 Scratch* scratch);

  // At most kUnitRows query rows of a tile, against all keys that they see. Adds to the gradients
  // when it is its turn.
  void Compute(const BackwardPart& part, GradientOrder* order);

 private:
  // A block of keys, and what is read after it: the next block, or the next part's first blocks.
  struct Keys {
    KeyRange range;
    bool first;  // of the part
    Rows next_keys, next_values, next_queries, next_gradients;
  };
  struct BlockRange {
    int begin;
    int end;
  };

  KeyRange FindPanelKeys(const BackwardPart& part);
  Keys FindNext(const BackwardPart& part, KeyRange range, KeyRange seen,
                GradientOrder* order) const;
  bool PackQueries(const BackwardPart& part, int block);
  bool PackPanel(const Rows& rows, int panel, int dim, int64_t stride, uint32_t* panels,
                 int64_t rows_stride, uint32_t* by_row, float factor) const;
  bool LoadRowConstants(const Rows& lse, const Rows& delta, int panel);
  bool PackKeys(const BackwardRows& rows, KeyRange keys);
  bool RunBlocks(const BackwardPart& part, const Keys& keys, bool small_keys);
  BlockRange BlocksThatSee(const Panels& panels, KeyRange keys) const;
  void LookAhead(const BackwardPart& part, const Keys& keys, int block, BlockRange busy);
  void RunBlock(const Panels& panels, int block, KeyRange keys);
  void FindBounds(int first_panel, int panels, KeyRange keys);
  void AddKeyGradients(const BackwardRows& rows, KeyRange keys);
  void AddQueryGradients(const BackwardPart& part);
  void AddPlain(const BackwardPart& part, KeyRange keys, GradientOrder* order);
  // Of all rows of a part, those of a block.
  template <typename Byte>
  RowsOf<Byte> OfBlock(const Panels& panels, const RowsOf<Byte>& rows, int block) const {
    const int first = panels.FirstRow(block * block_panels_);
    const int end = panels.FirstRow(std::min((block + 1) * block_panels_, panels.count));
    return rows.Slice(first, end - first);
  }
  // Of [block][2][kBlockRows] numbers, those of the panel's first row.
  template <typename T>
  T* OfPanel(T* rows, int panel) const {
    return rows + 2 * (panel / block_panels_) * kBlockRows +
           panel % block_panels_ * kernel_.panel_rows;
  }

  const int worker_;
  const GeneratedKernel& kernel_;
  const KernelSpec spec_;
  const WordFormat format_;
  const int block_panels_;
  // Words of a panel, and of the chunks of a block.
  const int64_t query_stride_, gradient_stride_, query_rows_stride_, gradient_rows_stride_;

  // Of all query rows, in the kernel's layouts.
  uint32_t* const query_;
  uint32_t* const output_gradient_;
  uint32_t* const query_rows_;
  uint32_t* const gradient_rows_;
  float* const row_constants_;  // [block][2][kBlockRows]
  int32_t* const visible_;      // [block][2][kBlockRows]
  PanelKeys* const panel_keys_;
  float* const query_gradient_;
  // Of a block of keys.
  uint32_t* const keys_;
  uint32_t* const values_;
  uint32_t* const keys_by_dim_;
  const int64_t key_gradient_size_, value_gradient_size_;
  float* const key_gradient_;
  float* const value_gradient_;
  // Of a block of queries and one of keys.
  int64_t* const ranges_;
  int64_t* const row_words_;
  uint32_t* const weights_;
  uint32_t* const score_gradients_;
  float* const panel_weights_;
  uint32_t* const panel_score_gradients_;
  LinesAhead ahead_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_BACKWARD_WORKER_H_
