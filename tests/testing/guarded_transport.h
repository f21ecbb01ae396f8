// Finds messages that come too early, and reads and writes that come too late, whenever messages
// are copied: an exchange must not touch memory of another one that is under way, what it sends
// must stay as it is until it is done, and what it is going to fill is filled with NaNs when it
// starts.

#ifndef FLASHCP_TESTS_TESTING_GUARDED_TRANSPORT_H_
#define FLASHCP_TESTS_TESTING_GUARDED_TRANSPORT_H_

#include <memory>
#include <vector>

#include "runtime/transport.h"

namespace flashcp::testing {

// Does what another transport without streams does. Start is an Internal error if a message would
// be received where an exchange under way sends or receives, or sent from where one receives; Wait
// is one if something that was sent has changed.
class GuardedTransport : public Transport {
 public:
  explicit GuardedTransport(Transport* inner) : inner_(*inner) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) override;
  absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value, absl::Duration timeout) override {
    return inner_.AllGather(value, timeout);
  }
  void SetComputing(bool computing) override { inner_.SetComputing(computing); }
  void Abort(const absl::Status& reason) override { inner_.Abort(reason); }

 private:
  class GuardedExchange;

  Transport& inner_;
  std::vector<const GuardedExchange*> under_way_;
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_GUARDED_TRANSPORT_H_
