// How ranks move bytes to each other: grouped, asynchronous, point to point.
//
// One Transport object belongs to one rank and is used by one thread. What moves together is an
// exchange, prepared once and run in every step. Semantics are those of a group of nonblocking
// sends and receives (ncclGroupStart/End, MPI_Isend/Irecv + Waitall): an exchange completes once
// every peer has started the matching operations; between two ranks, messages match in the order in
// which they were started.
//
// Who waits for an exchange depends on the transport. Without streams the host does: Start begins
// at once, Wait blocks. With streams nothing does: Start enqueues the exchange behind the work of a
// stream, completion is that of later work of this stream, and Health says what went wrong.
//
// Every wait has a timeout: how long the ranks that it waits for may do nothing. A rank does
// something while it computes, as SetComputing says, and while it waits for ranks that do. So a
// slow rank is waited for, and one that left, stands still or is in a circle of waits is found
// within the timeout. A transport between processes cannot know what the others do: there the
// timeout counts from the start of the wait.
//
// Where messages do not match, a wait runs out of time or a rank calls Abort, the whole group of
// ranks ends: every call of every rank that cannot complete fails from then on, with the first
// reason. Once a call has returned such an error to a rank, no other rank touches its memory.

#ifndef FLASHCP_RUNTIME_TRANSPORT_H_
#define FLASHCP_RUNTIME_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/launch_tables.h"
#include "runtime/stream.h"

namespace flashcp {

// Blocks of a message, such as some heads of rows of a tensor, at one distance of each other. Their
// memory belongs to the caller and stays valid and, for a send, unchanged until the exchange has
// completed.
struct MessageRun {
  uint32_t buffer;
  uint64_t offset;      // of the first byte
  uint64_t size;        // of a block
  uint64_t count = 1;   // of blocks; at least one
  uint64_t stride = 0;  // from a block to the next; at least `size` if there are several
};

// One message to or from `peer`: its payload is the blocks one after the other. The two sides may
// cut the payload differently; the totals are equal.
struct Message {
  enum class Direction { kSend, kReceive };
  Direction direction;
  int peer;
  uint32_t tag;  // equal on both sides; a mismatch is an error
  std::vector<MessageRun> runs;
};

size_t PayloadBytes(const Message& message);

// Whether the payload lies side by side.
bool IsOneBlock(const Message& message);

// "rank 0 sends 5 bytes with tag 7 to rank 1", as errors say it.
std::string DescribeMessage(Message::Direction direction, int rank, int peer, size_t bytes,
                            uint32_t tag);

// Messages that start together, ready to run: what can be made once has been made. Must not outlive
// its transport; destroying it under way ends the group of ranks, as Abort does.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // Starts all messages together and returns without waiting; allocates nothing. A transport
  // without streams takes null; the exchange may start again once it was waited for. One with
  // streams begins after the work that the stream holds, as often as it is asked to.
  // InvalidArgument, naming both ranks, if tag or size of a message differ on the two sides (the
  // rank that started first gets it from Wait, or, if its send had already completed, from a later
  // call).
  virtual absl::Status Start(BufferBases bases, Stream* stream) = 0;

  // Without streams: waits for what was started. DeadlineExceeded when `timeout` has passed, naming
  // rank and peer; Aborted when another rank has called Abort, with its message.
  virtual absl::Status Wait(absl::Duration timeout);

  // Without streams: when the last message that Wait has last returned had been delivered, in
  // nanoseconds of the steady clock; 0 if only the return of Wait is known. For traces.
  virtual int64_t CompletedNs() const { return 0; }
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Whether exchanges run on streams of the device.
  virtual bool has_streams() const { return false; }
  // Whether a message may have several blocks; otherwise at most one, and launches pack messages.
  // Transports without streams gather.
  virtual bool gathers() const { return true; }

  // Makes an exchange ready: datatypes, registration, connections. Called at set-up; with streams,
  // for the same exchanges in the same order on all ranks, which may meet here. InvalidArgument for
  // a peer that there is not, or a message that the transport cannot carry.
  virtual absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) = 0;

  // Gathers one value of every rank, in rank order; all ranks call it. Used at set-up only.
  virtual absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value,
                                                          absl::Duration timeout) = 0;

  // Says whether this rank computes from now on, between its calls: other ranks then do not take it
  // for lost, however long it takes. A computation must come to an end by itself.
  virtual void SetComputing(bool computing) { (void)computing; }

  // With streams: why the group of ranks has ended, if it has. Any thread may ask.
  virtual absl::Status Health() { return absl::OkStatus(); }

  // Ends the group of ranks: the waits of the others fail with Aborted, this rank and this reason.
  // With streams: any thread may call it, and what is under way completes without its messages.
  virtual void Abort(const absl::Status& reason) = 0;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_TRANSPORT_H_
