// The attention kernels of a GPU target, run by the emulator on tiles of the host: what tests of
// CPU kernels compute, tests of GPU kernels do, too.

#ifndef FLASHCP_TESTS_CODEGEN_NVPTX_KERNEL_RUNNER_H_
#define FLASHCP_TESTS_CODEGEN_NVPTX_KERNEL_RUNNER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "codegen/nvptx/KernelInfo.h"
#include "runtime/cpu/cpu_kernels.h"
#include "tests/emulator/emulator.h"

namespace flashcp::testing {

// The PTX of the kernels of a target for one pair of dims, and the kernels in it.
class GpuModule {
 public:
  // Loads the file that the build makes of flashcp-kernelgen's output.
  GpuModule(absl::string_view target, int dim, int value_dim);

  codegen::nvptx::AttentionShape ShapeOf(model::DType element) const;
  bool HasBackward() const;
  // Whether kernels load by TMA.
  bool IsHopper() const { return target_->hopper; }
  const emulator::Kernel* Find(const std::string& symbol) const;

 private:
  const codegen::nvptx::GpuTarget* target_;
  codegen::HeadDims dims_;
  std::unique_ptr<emulator::Module> module_;
};

// How kernels are launched.
struct GpuLaunch {
  int ctas = 2;  // All of them resident.
  emulator::Schedule schedule;
  bool races = false;
  // Whether tiles of the same rows are one chain, whose sums stay in registers. Otherwise each is a
  // launch that merges with what the ones before it left in memory.
  bool chains = true;
};

// Expects each launch to succeed, and to leave its counters as they were.
class EmulatedGpuKernels : public CpuKernels {
 public:
  EmulatedGpuKernels(const KernelSpec& spec, const GpuModule& module, const GpuLaunch& launch = {})
      : CpuKernels(spec), module_(module), launch_(launch) {}

  absl::string_view name() const override { return "emulated GPU"; }
  void Reserve(absl::Span<const AttentionTile>) override {}
  void Forward(absl::Span<const AttentionTile> tiles) override;
  void Backward(absl::Span<const BackwardTile> tiles) override;

  // Why the last launch failed, for tests that expect it to.
  const absl::Status& status() const { return status_; }

 private:
  const GpuModule& module_;
  const GpuLaunch launch_;
  absl::Status status_;
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_CODEGEN_NVPTX_KERNEL_RUNNER_H_
