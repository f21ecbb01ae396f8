// One worker of the forward pass: packs queries, keys and values, and runs the generated kernel.

#ifndef FLASHCP_RUNTIME_CPU_FORWARD_WORKER_H_
#define FLASHCP_RUNTIME_CPU_FORWARD_WORKER_H_

#include <cstdint>

#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/panels.h"
#include "runtime/cpu/scratch.h"
#include "runtime/kernels.h"

namespace flashcp {

class ForwardWorker {
 public:
  // Takes its memory from `scratch`.
  ForwardWorker(const GeneratedKernel& kernel, const KernelSpec& spec, Scratch* scratch);

  // At most kUnitRows query rows of a tile, against all keys that they see. The heads share their
  // keys and values.
  void Compute(const AttentionTile& tile, const QueryRange& queries);

 private:
  bool PackRun(const AttentionTile& tile, int key_value_head, KeyRange run);
  KeyRange FindKeys(const AttentionTile& tile, const QueryRange& queries);
  void LoadPanel(const AttentionTile& tile, const QueryRange& queries, int panel);
  void Attend(KeyRange run, int panel);
  void StorePanelOf(const AttentionTile& tile, const QueryRange& queries, int panel);
  uint32_t* Query(int panel) const { return query_ + panel % slots_ * query_stride_; }
  float* State(int panel) const { return state_ + panel % slots_ * 2 * kernel_.panel_rows; }
  float* Output(int panel) const {
    return output_ + int64_t{panel % slots_} * kernel_.value_dim * kernel_.panel_rows;
  }

  const GeneratedKernel& kernel_;
  const KernelSpec spec_;
  const WordFormat format_;
  const int64_t query_stride_;  // words of a panel

  // Of all panels, in the kernel's layouts.
  int slots_ = 1;  // panels whose queries and outputs are held at once
  uint32_t* const query_;
  float* const output_;
  float* const state_;
  int32_t* const visible_;
  PanelKeys* const panel_keys_;
  // Of the run.
  uint32_t* const keys_;
  uint32_t* const values_;
  float* const scores_;
  uint32_t* const weights_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_FORWARD_WORKER_H_
