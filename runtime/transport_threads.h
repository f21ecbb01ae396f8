// Ranks as threads of one process: messages are copied from memory to memory.

#ifndef FLASHCP_RUNTIME_TRANSPORT_THREADS_H_
#define FLASHCP_RUNTIME_TRANSPORT_THREADS_H_

#include <memory>

#include "runtime/transport.h"

namespace flashcp {

// The state that the ranks of one group share: who has started what. Thread-safe; the transports
// keep what they need alive, so it may go before them.
class ThreadsGroup {
 public:
  explicit ThreadsGroup(int size);
  ~ThreadsGroup();

  // The transport of one rank in [0, size), for the thread that is that rank; one for each rank.
  // Destroying it with groups that have not completed ends the group of ranks, as Abort does.
  std::unique_ptr<Transport> MakeTransport(int rank);

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_TRANSPORT_THREADS_H_
