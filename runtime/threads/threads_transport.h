// Ranks as threads of one process: messages are copied from memory to memory.

#ifndef FLASHCP_RUNTIME_THREADS_THREADS_TRANSPORT_H_
#define FLASHCP_RUNTIME_THREADS_THREADS_TRANSPORT_H_

#include <chrono>
#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "runtime/transport.h"

namespace flashcp {

// When messages arrive, where that is not at once: a link that is modelled, for tests and
// benchmarks.
class DeliveryModel {
 public:
  using Time = std::chrono::steady_clock::time_point;

  virtual ~DeliveryModel() = default;
  // The time of arrival of a message whose two sides have both been started, the later one at
  // `now`. Called for all messages of a group of ranks one after the other, in the order of `now`.
  virtual Time Arrival(int sender, int receiver, size_t bytes, Time now) = 0;
};

// The state that the ranks of one group share: who has started what. Thread-safe; the transports
// keep what they need alive, so it may go before them.
class ThreadsGroup {
 public:
  // The model is borrowed and outlives the transports; without one, messages arrive at once.
  explicit ThreadsGroup(int size, DeliveryModel* model = nullptr);
  ~ThreadsGroup();

  int size() const;

  // The transport of one rank in [0, size), for the thread that is that rank; one for each rank.
  std::unique_ptr<Transport> MakeTransport(int rank);

  // Ends the group as Transport::Abort of the rank does. Any thread may call it.
  void Abort(int rank, const absl::Status& reason);

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_THREADS_THREADS_TRANSPORT_H_
