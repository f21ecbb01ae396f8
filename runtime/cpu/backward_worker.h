// One worker of the backward pass: packs what the five products take, and runs the generated
// kernel.

#ifndef FLASHCP_RUNTIME_CPU_BACKWARD_WORKER_H_
#define FLASHCP_RUNTIME_CPU_BACKWARD_WORKER_H_

#include <cstdint>

#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/gradient_order.h"
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
  KeyRange FindPanelKeys(const BackwardTile& tile, const QueryRange& queries);
  bool PackQueries(const BackwardTile& tile, const QueryRange& queries);
  bool PackPanel(const Rows& rows, int panel, int dim, int64_t stride, uint32_t* panels,
                 int64_t rows_stride, uint32_t* by_row, float factor) const;
  bool LoadRowConstants(const BackwardTile& tile, const QueryRange& queries, int panel);
  bool PackKeys(const BackwardTile& tile, int key_value_head, KeyRange keys);
  void RunBlocks(const QueryRange& queries, KeyRange keys);
  void AddKeyGradients(const BackwardTile& tile, int key_value_head, KeyRange keys);
  void AddQueryGradients(const BackwardTile& tile, const QueryRange& queries);
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
  uint32_t* const weights_;
  uint32_t* const score_gradients_;
  float* const panel_weights_;
  uint32_t* const panel_score_gradients_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_BACKWARD_WORKER_H_
