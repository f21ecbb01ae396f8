// The tables are lines that the build writes, with a macro for each.

#include "runtime/cuda/kernel_images.h"

#include <zlib.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

// All images, one after another.
extern "C" const unsigned char flashcp_kernel_images[];

namespace flashcp::gpu {

absl::Span<const GeneratedKernel> GeneratedKernels() {
  static constexpr GeneratedKernel kKernels[] = {
#define FLASHCP_KERNEL(symbol, file, threads, shared, rows, keys, registers) \
  {{#symbol, threads, shared, rows, keys}, #file},
#include "runtime/cuda/sm_80_kernels.inc"
#include "runtime/cuda/sm_90a_kernels.inc"
#undef FLASHCP_KERNEL
  };
  return kKernels;
}

absl::Span<const KernelImage> KernelImages() {
  static constexpr KernelImage kImages[] = {
#define FLASHCP_IMAGE(file, architecture, kind, offset, compressed_size, size) \
  {#file, #architecture, KernelImage::Kind::kind, offset, compressed_size, size},
#include "runtime/cuda/gpu_kernels_images.inc"
#undef FLASHCP_IMAGE
  };
  return kImages;
}

absl::StatusOr<std::string> Decompress(const KernelImage& image) {
  std::string text(image.size, '\0');
  uLongf size = image.size;
  const int code = uncompress(reinterpret_cast<Bytef*>(&text[0]), &size,
                              flashcp_kernel_images + image.offset, image.compressed_size);
  if (code != Z_OK || size != image.size) {
    return absl::InternalError(absl::StrCat("the image of GPU kernels ", image.file, " for ",
                                            image.architecture, " is damaged: zlib error ", code,
                                            ", ", size, " of ", image.size, " bytes"));
  }
  return text;
}

}  // namespace flashcp::gpu
