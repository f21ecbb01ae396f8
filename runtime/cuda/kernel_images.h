// The GPU kernels that the build has made: what they are, and their code, compressed, by
// architecture.

#ifndef FLASHCP_RUNTIME_CUDA_KERNEL_IMAGES_H_
#define FLASHCP_RUNTIME_CUDA_KERNEL_IMAGES_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/cuda/kernel_info.h"

namespace flashcp::gpu {

struct GeneratedKernel {
  KernelInfo info;
  const char* file;  // images of this name have the kernel
};

// A module of one or more kernels.
struct KernelImage {
  enum class Kind : uint8_t {
    kPtx,    // that drivers assemble: of sm_80 for all later GPUs, of sm_90a for 9.0 alone
    kCubin,  // for the architecture, and later ones of its major version unless it ends with a
             // letter
  };
  const char* file;
  const char* architecture;  // such as sm_90a
  Kind kind;
  size_t offset;
  size_t compressed_size;
  size_t size;
};

absl::Span<const GeneratedKernel> GeneratedKernels();
absl::Span<const KernelImage> KernelImages();

// Returns the text of a PTX image, or the bytes of a cubin.
absl::StatusOr<std::string> Decompress(const KernelImage& image);

}  // namespace flashcp::gpu

#endif  // FLASHCP_RUNTIME_CUDA_KERNEL_IMAGES_H_
