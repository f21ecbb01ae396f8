// The attention kernels of a GPU target, run by the emulator on tiles of the host: what tests of
// CPU kernels compute, tests of GPU kernels do, too.

#ifndef FLASHCP_TESTS_CODEGEN_NVPTX_KERNEL_RUNNER_H_
#define FLASHCP_TESTS_CODEGEN_NVPTX_KERNEL_RUNNER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
  GpuModule(absl::string_view target, int dim, int value_dim)
      : GpuModule(target, dim, value_dim, PtxOf(target, dim, value_dim)) {}
  // Takes a text in its place.
  GpuModule(absl::string_view target, int dim, int value_dim, absl::string_view ptx);

  // Returns the text of the file.
  static std::string PtxOf(absl::string_view target, int dim, int value_dim);

  codegen::nvptx::AttentionShape ShapeOf(model::DType element) const;
  bool HasBackward() const;
  // Whether kernels load by TMA.
  bool IsHopper() const { return target_->hopper; }
  // Fails if the text or the kernel cannot be translated.
  absl::StatusOr<const emulator::Kernel*> Find(const std::string& symbol) const;

 private:
  const codegen::nvptx::GpuTarget* target_;
  codegen::HeadDims dims_;
  absl::StatusOr<std::unique_ptr<emulator::Module>> module_;
};

// How kernels are launched.
struct GpuLaunch {
  int ctas = 2;  // All of them resident.
  emulator::Schedule schedule;
  bool races = false;
  // Whether tiles of the same rows are one chain, whose sums stay in registers. Otherwise each is a
  // launch that merges with what the ones before it left in memory.
  bool chains = true;
  bool may_fail = false;  // The test asks status() itself.
};

// Expects each launch to succeed, unless it may fail, and to leave its counters as they were.
class EmulatedGpuKernels : public CpuKernels {
 public:
  EmulatedGpuKernels(const KernelSpec& spec, const GpuModule& module, const GpuLaunch& launch = {})
      : CpuKernels(spec), module_(module), launch_(launch) {}

  absl::string_view name() const override { return "emulated GPU"; }
  void Reserve(absl::Span<const AttentionTile>) override {}
  void Forward(absl::Span<const AttentionTile> tiles) override;
  void Backward(absl::Span<const BackwardTile> tiles) override;

  // Why the first launch that failed did.
  const absl::Status& status() const { return status_; }

 private:
  void Update(const absl::Status& status);

  const GpuModule& module_;
  const GpuLaunch launch_;
  absl::Status status_;
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_CODEGEN_NVPTX_KERNEL_RUNNER_H_
