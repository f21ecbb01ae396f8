// How ranks move bytes to each other: grouped, asynchronous, point to point.
//
// One Transport object belongs to one rank and is used by one thread. Semantics are those of a
// group of nonblocking sends and receives (ncclGroupStart/End, MPI_Isend/Irecv + Waitall): a group
// completes once every peer has started the matching operation; between two ranks, messages match
// in the order in which they were started.
//
// Every wait has a timeout: how long the ranks that it waits for may do nothing. A rank does
// something while it computes, as SetComputing says, and while it waits for ranks that do. So a
// slow rank is waited for, and one that left, stands still or is in a circle of waits is found
// within the timeout. A transport between processes cannot know what the others do: there the
// timeout counts from the start of the wait.
//
// Where messages do not match, a wait runs out of time or a rank calls Abort, the whole group of
// ranks ends: every call of every rank that cannot complete fails from then on, with the first
// reason. Once a call has returned such an error to a rank, no memory of this rank is touched.

#ifndef FLASHCP_RUNTIME_TRANSPORT_H_
#define FLASHCP_RUNTIME_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace flashcp {

// A run of bytes of a message. The memory belongs to the caller and stays valid and, for a send,
// unchanged until the group that names it has completed.
struct Bytes {
  char* data;
  size_t size;
};

// One message to or from `peer`: its payload is the runs one after the other. The two sides may
// cut the payload differently; the totals are equal.
struct Transfer {
  enum class Direction { kSend, kReceive };
  Direction direction;
  int peer;
  uint32_t tag;  // equal on both sides; a mismatch is an error
  absl::Span<const Bytes> runs;
};

size_t PayloadBytes(const Transfer& transfer);

// "rank 0 sends 5 bytes with tag 7 to rank 1", as errors say it.
std::string DescribeMessage(Transfer::Direction direction, int rank, int peer, size_t bytes,
                            uint32_t tag);

class Transport {
 public:
  using Group = uint64_t;  // handle of a started group

  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Starts all transfers together and returns without waiting. The Transfer objects and their runs
  // must stay valid until the group has completed. InvalidArgument, naming both ranks, where tag or
  // size of a message differ on the two sides (the rank that started first learns it from Wait, or,
  // where it sent and its part was complete, from a later call).
  virtual absl::StatusOr<Group> Start(absl::Span<const Transfer> transfers) = 0;

  // Waits for a started group. DeadlineExceeded when `timeout` has passed, naming rank and peer;
  // Aborted when another rank has called Abort, with its message.
  virtual absl::Status Wait(Group group, absl::Duration timeout) = 0;

  // When the last message of the group that Wait has last returned had been delivered, nanoseconds
  // of the steady clock; 0 where only the return of Wait is known. For traces.
  virtual int64_t CompletedNs() const { return 0; }

  // Says whether this rank computes from now on, between its calls: other ranks then do not take it
  // for lost, however long it takes. A computation must come to an end by itself.
  virtual void SetComputing(bool computing) { (void)computing; }

  // Gathers one value of every rank, in rank order; all ranks call it. Used at set-up only.
  virtual absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value,
                                                          absl::Duration timeout) = 0;

  // Ends the group of ranks: the waits of the others fail with Aborted, this rank and this reason.
  virtual void Abort(const absl::Status& reason) = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_TRANSPORT_H_
