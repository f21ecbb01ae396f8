// Where a rank's compute runs: memory for the workspace, kernels by specification, launches over
// tables that were uploaded once, and, on devices that work behind the caller's back, streams.

#ifndef FLASHCP_RUNTIME_DEVICE_H_
#define FLASHCP_RUNTIME_DEVICE_H_

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/kernels.h"
#include "runtime/launch_tables.h"
#include "runtime/stream.h"

namespace flashcp {

// Memory of a device; freed with the handle.
using DeviceMemory = std::unique_ptr<char, void (*)(char*)>;

// The tables of one pass on a device, with the kernels that read them.
class DeviceTables {
 public:
  virtual ~DeviceTables() = default;

  // Enqueues a launch. A device without streams takes null and is done when the call returns.
  // Allocates nothing. An error ends the pass: on this rank with its code, on the others as
  // Aborted.
  virtual absl::Status Enqueue(const Launch& launch, BufferBases bases, Stream* stream) = 0;
};

// The kernels of one specification. They must not outlive their device.
class AttentionKernels {
 public:
  virtual ~AttentionKernels() = default;
  virtual absl::string_view name() const = 0;

  // Makes the tables ready for launches. ResourceExhausted if the device has no memory for them.
  // They must not outlive the kernels.
  virtual absl::StatusOr<std::unique_ptr<DeviceTables>> Upload(LaunchTables tables) = 0;
};

// One Device object belongs to one rank and is used by one thread.
class Device {
 public:
  virtual ~Device() = default;

  // At least `bytes` bytes, aligned to 64. ResourceExhausted if there is no such memory.
  virtual absl::StatusOr<DeviceMemory> Allocate(size_t bytes) = 0;

  // The kernels for a specification. NotFound if the device has none, InvalidArgument if
  // those it was told to use do not run here or do not take such elements, ResourceExhausted
  // without memory or threads for them. They must not outlive the device.
  virtual absl::StatusOr<std::shared_ptr<AttentionKernels>> FindKernels(const KernelSpec& spec) = 0;

  // Whether work goes on behind the caller's back, ordered by streams and events. If so, the device
  // has the three calls below and works with a transport that has streams, too.
  virtual bool has_streams() const { return false; }
  virtual absl::StatusOr<std::unique_ptr<Stream>> NewStream(StreamPriority priority);
  // A stream that the caller has made with the device's own interface, such as a CUstream;
  // borrowed.
  virtual absl::StatusOr<std::unique_ptr<Stream>> AdoptStream(void* native);
  virtual absl::StatusOr<std::unique_ptr<Event>> NewEvent();
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_DEVICE_H_
