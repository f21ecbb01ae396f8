// The ranks behind a group's handle: for each rank of this process a transport, and a device once
// an executor asks for it.

#ifndef FLASHCP_API_GROUP_H_
#define FLASHCP_API_GROUP_H_

#include <atomic>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/flashcp.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/device.h"
#include "runtime/threads/threads_transport.h"
#include "runtime/transport.h"

namespace flashcp::capi {

struct GroupSettings {
  CpuDeviceOptions device;
  absl::Duration timeout = absl::Seconds(60);
};

class Group {
 public:
  // Ranks that are threads of this process.
  Group(int ranks, GroupSettings settings);
  // One rank, and others elsewhere.
  Group(std::unique_ptr<Transport> transport, GroupSettings settings);

  int size() const { return size_; }
  // Returns the rank of this process, or -1 if it has all of them.
  int rank() const { return threads_ != nullptr ? -1 : first_rank_; }
  absl::Duration timeout() const { return settings_.timeout; }

  // State of a rank of this process, used by its thread.
  struct Member {
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Device> device;
    std::atomic<bool> in_call{false};
  };
  // Returns that of a rank. InvalidArgument for one that is not of this process.
  absl::StatusOr<Member*> Join(int rank);

  // Ends the group in the name of a rank of this process, from any thread.
  absl::Status Abort(int rank, const absl::Status& reason);

 private:
  absl::Status CheckRank(int rank) const;

  const GroupSettings settings_;
  const std::unique_ptr<ThreadsGroup> threads_;  // null if ranks are processes
  std::vector<Member> members_;                  // ranks from first_rank_ on
  const int first_rank_;
  const int size_;
};

// A call of a rank, while it lasts. FailedPrecondition if another thread is in one: a rank is one
// thread at a time, and this tells a mistake from a hang.
class RankCall {
 public:
  RankCall(Group::Member* member, int rank);
  RankCall(const RankCall&) = delete;
  ~RankCall();
  const absl::Status& status() const { return status_; }

 private:
  Group::Member& member_;
  absl::Status status_;
};

}  // namespace flashcp::capi

struct flashcp_group {
  std::shared_ptr<flashcp::capi::Group> group;  // shared with its executors
};

#endif  // FLASHCP_API_GROUP_H_
