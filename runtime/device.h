// Where a rank's compute runs: memory for the workspace, kernels by specification, launches.

#ifndef FLASHCP_RUNTIME_DEVICE_H_
#define FLASHCP_RUNTIME_DEVICE_H_

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "runtime/kernels.h"

namespace flashcp {

// Memory of a device; freed with the handle.
using DeviceMemory = std::unique_ptr<char, void (*)(char*)>;

// The kernels of one specification. Each call is one launch over a table of tiles.
class AttentionKernels {
 public:
  virtual ~AttentionKernels() = default;
  virtual absl::string_view name() const = 0;
  // Makes room for Forward over tables of these sizes, whatever the pointers are: it allocates
  // nothing then. Covers forward tables alone; Backward allocates nothing without it.
  virtual void Reserve(absl::Span<const AttentionTile> tiles) = 0;
  virtual void Forward(absl::Span<const AttentionTile> tiles) = 0;
  virtual void Backward(absl::Span<const BackwardTile> tiles) = 0;
};

// `count` numbers that lie side by side, read as one type and written as another; source and target
// do not overlap.
struct ConvertedRun {
  const void* source;
  void* target;
  int64_t count;
};

struct FloatRange {
  float* data;
  int64_t count;
};

// Rows of O and of its gradient, and the sums over each head of their products.
struct ProductRows {
  const void* output;           // [rows, query_heads, value_dim] elements
  const void* output_gradient;  // the same
  float* sums;                  // [rows, query_heads]
  int64_t rows;
};

// One Device object belongs to one rank and is used by one thread.
class Device {
 public:
  virtual ~Device() = default;

  // At least `bytes` bytes, aligned to 64. ResourceExhausted where there is no such memory.
  virtual absl::StatusOr<DeviceMemory> Allocate(size_t bytes) = 0;

  // The kernels for a specification. NotFound where the device has none, InvalidArgument where
  // those it was told to use do not run here or do not take such elements, ResourceExhausted
  // without memory or threads for them. They must not outlive the device.
  virtual absl::StatusOr<std::shared_ptr<AttentionKernels>> FindKernels(const KernelSpec& spec) = 0;

  // One launch over a table; done when the call returns. An error of this call, or of one below,
  // ends the pass: on this rank with its code, on the others as Aborted. The CPU returns none.
  virtual absl::Status Attend(AttentionKernels* kernels, absl::Span<const AttentionTile> tiles) = 0;
  virtual absl::Status AttendBackward(AttentionKernels* kernels,
                                      absl::Span<const BackwardTile> tiles) = 0;
  // rows.sums = what ProductRows says; an error where the launch failed.
  virtual absl::Status SumProducts(const KernelSpec& spec, const ProductRows& rows) = 0;
  // Sets all floats to 0; an error where the launch failed.
  virtual absl::Status Clear(absl::Span<const FloatRange> ranges) = 0;
  // target = source, floats rounded to elements; an error where the launch failed.
  virtual absl::Status Round(model::DType element, absl::Span<const ConvertedRun> runs) = 0;
  // target += source, elements added to floats, run after run; an error where the launch failed.
  virtual absl::Status Add(model::DType element, absl::Span<const ConvertedRun> runs) = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_DEVICE_H_
