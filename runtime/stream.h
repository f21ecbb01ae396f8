// Streams and events: the order of work on a device that does it behind the caller's back.
//
// A stream does its work in the order in which it was enqueued; streams run side by side; an event
// orders the work of one stream behind the work of another. Equivalent to CUstream and CUevent.

#ifndef FLASHCP_RUNTIME_STREAM_H_
#define FLASHCP_RUNTIME_STREAM_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace flashcp {

// A moment in the work of a stream.
class Event {
 public:
  virtual ~Event() = default;

  // Returns whether the work before the last Record is done; true if there was none. Any thread may
  // ask. An error when the device has failed.
  virtual absl::StatusOr<bool> Poll() const = 0;
};

// Work in order. Used by one thread at a time; nothing here waits on the host. Launches and
// messages are enqueued by what was prepared for them: DeviceTables (device.h) and Exchange
// (transport.h).
class Stream {
 public:
  virtual ~Stream() = default;

  // Moves the event behind the work that the stream holds now.
  virtual absl::Status Record(Event* event) = 0;
  // Lets work that is enqueued later begin after what the event's last Record stands behind.
  virtual absl::Status Wait(const Event& event) = 0;
};

// A stream of kHigh gets compute units before others.
enum class StreamPriority { kNormal, kHigh };

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_STREAM_H_
