// A device without streams refuses to make any.

#include "runtime/device.h"

namespace flashcp {
namespace {

absl::Status NoStreams() { return absl::UnimplementedError("the device has no streams"); }

}  // namespace

absl::StatusOr<std::unique_ptr<Stream>> Device::NewStream(StreamPriority) { return NoStreams(); }
absl::StatusOr<std::unique_ptr<Stream>> Device::AdoptStream(void*) { return NoStreams(); }
absl::StatusOr<std::unique_ptr<Event>> Device::NewEvent() { return NoStreams(); }

}  // namespace flashcp
