// A transport that does what another one does, but is late, reorders, loses, cuts, vanishes or
// throws.

#ifndef FLASHCP_TESTS_TESTING_FAULTY_TRANSPORT_H_
#define FLASHCP_TESTS_TESTING_FAULTY_TRANSPORT_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "runtime/transport.h"

namespace flashcp::testing {

enum class Fault { kNone, kDrop, kTruncate, kVanish, kThrow };

class FaultyTransport : public Transport {
 public:
  // The fault strikes once, at the Start with number `strike` (or the first after it that it can
  // strike). Delays of random length, and Starts with messages in another order where they are to
  // other peers, happen always.
  FaultyTransport(std::unique_ptr<Transport> inner, uint64_t seed, Fault fault, int strike)
      : inner_(std::move(inner)),
        rank_(inner_->rank()),
        size_(inner_->size()),
        random_(seed),
        fault_(fault),
        strike_(strike) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) override;
  // The first one, where ranks that have just been created meet, waits for a minute at least.
  absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value, absl::Duration timeout) override;
  void SetComputing(bool computing) override;
  void Abort(const absl::Status& reason) override;

  bool struck() const { return struck_; }

 private:
  class FaultyExchange;

  // Starts the messages, changed, as an exchange of the transport below.
  absl::Status Start(std::vector<Message> messages, BufferBases bases, Exchange** started);
  absl::Status Wait(Exchange* started, absl::Duration timeout);
  void Delay();
  void Shuffle(std::vector<Message>* messages);
  void Strike(std::vector<Message>* messages);

  std::unique_ptr<Transport> inner_;  // null: vanished
  const int rank_;
  const int size_;
  std::mt19937_64 random_;
  const Fault fault_;
  int strike_;
  bool struck_ = false;
  bool met_ = false;
  std::deque<std::unique_ptr<Exchange>> started_;  // kept until the end
};

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_FAULTY_TRANSPORT_H_
