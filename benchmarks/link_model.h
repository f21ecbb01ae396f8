// A link that is modelled: when messages between threads arrive, if each rank sends and receives at
// a given bandwidth.

#ifndef FLASHCP_BENCHMARKS_LINK_MODEL_H_
#define FLASHCP_BENCHMARKS_LINK_MODEL_H_

#include <cstddef>
#include <vector>

#include "model/cluster.h"
#include "runtime/threads/threads_transport.h"

namespace flashcp {

// A message of B bytes takes B / bytes_per_us on the sender's way out and on the receiver's way in,
// both at the same time. Each way carries one message after the other, in the order in which both
// sides had started them, and never waits where it has one to carry: whatever ranks compute
// meanwhile. It arrives latency_us after that.
class LinkModel : public DeliveryModel {
 public:
  LinkModel(int ranks, const model::LinkClass& link);

  Time Arrival(int sender, int receiver, size_t bytes, Time now) override;

 private:
  const model::LinkClass link_;
  std::vector<Time> out_free_, in_free_;  // by rank
};

}  // namespace flashcp

#endif  // FLASHCP_BENCHMARKS_LINK_MODEL_H_
