// The memory of one launch of a GPU kernel: tensors as buffers with bindings, and the tables.

#ifndef FLASHCP_TESTS_CODEGEN_NVPTX_LAUNCH_MEMORY_H_
#define FLASHCP_TESTS_CODEGEN_NVPTX_LAUNCH_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "codegen/nvptx/kernel_abi.h"
#include "model/dtype.h"
#include "runtime/kernels.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/tensor_map.h"

namespace flashcp::testing {

class LaunchMemory {
 public:
  // Rows of a tensor that a kernel may touch: of each, `used` bytes from its pointer on.
  gpu::BufferRow Add(absl::string_view name, const void* rows, int64_t count, int64_t row_bytes,
                     int64_t used);

  // Returns the number of the tensor map of a tensor's rows and a box of them, 64 columns at a
  // time. It shows a copy, with NaNs in the rows before and behind: neighbours in a batch.
  struct Box {
    uint32_t heads;
    uint32_t rows;
  };
  uint16_t AddMap(gpu::BufferRow tensor, model::DType element, int dim, int heads, int64_t rows,
                  Box box);

  // Memory that the caller keeps until the launch is over.
  template <typename T>
  uint64_t Table(absl::string_view name, std::vector<T>& entries) {
    memory_.Register(name, entries);
    return reinterpret_cast<uint64_t>(entries.data());
  }

  // Launches with what `arguments` leave open: bindings, counters and those of the specification.
  // Fails if a counter is not 0 afterwards.
  absl::Status Launch(const emulator::Kernel& kernel, const KernelSpec& spec,
                      gpu::LaunchArguments arguments, size_t counters,
                      const emulator::LaunchOptions& options);

 private:
  // Rows of a buffer before the first that a table names: tables must count them.
  static constexpr int kRowsBefore = 3;

  emulator::GlobalMemory memory_;
  std::vector<gpu::Binding> bindings_;
  std::vector<emulator::TensorMapImage> maps_;
  std::list<std::vector<uint16_t>> neighboured_;
  std::map<const void*, gpu::BufferRow> buffers_;
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_CODEGEN_NVPTX_LAUNCH_MEMORY_H_
