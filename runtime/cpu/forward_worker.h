// One worker of the forward pass: packs queries, keys and values, and runs the generated kernel.

#ifndef FLASHCP_RUNTIME_CPU_FORWARD_WORKER_H_
#define FLASHCP_RUNTIME_CPU_FORWARD_WORKER_H_

#include <cstdint>

#include "runtime/cpu/forward_units.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/lines_ahead.h"
#include "runtime/cpu/panels.h"
#include "runtime/cpu/scratch.h"
#include "runtime/kernels.h"

namespace flashcp {

class ForwardWorker {
 public:
  // Takes its memory from `scratch`.
  ForwardWorker(const GeneratedKernel& kernel, const KernelSpec& spec, Scratch* scratch);

  // All keys that the part sees. Fetches what `next`, if any, starts with.
  void Compute(const ForwardPart& part, const ForwardPart* next);

 private:
  // Keys and values of a run.
  struct Run {
    Rows keys = {nullptr, 0, 0, 1, 0, 0};
    Rows values = {nullptr, 0, 0, 1, 0, 0};
  };

  KeyRange FindKeys(const ForwardPart& part);
  Rows RowsOfQuery(const ForwardPart& part) const;
  MutableRows RowsOfOutput(const ForwardPart& part) const;
  model::DType OutputElement(const ForwardPart& part) const {
    return part.tile->last ? spec_.element : model::DType::kF32;
  }
  Run RowsOfRun(const ForwardPart& part, KeyRange keys) const;
  bool PackRun(const Run& run);
  void LoadPanel(const ForwardPart& part, int panel);
  void LookAhead(const ForwardPart& part, int panel, bool first, bool last, const Run& upcoming);
  void Attend(KeyRange run, int panel);
  void StorePanelOf(const ForwardPart& part, int panel);
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
  LinesAhead ahead_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_FORWARD_WORKER_H_
