// Forwards to another transport and breaks what the fault names.

#include "tests/testing/faulty_transport.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "absl/time/clock.h"
#include "support/status_macros.h"

namespace flashcp::testing {
namespace {

absl::Status Vanished() { return absl::UnavailableError("this rank has vanished"); }

}  // namespace

void FaultyTransport::Delay() {
  if (random_() % 4 == 0) absl::SleepFor(absl::Microseconds(random_() % 300));
}

// Keeps the order of messages between two ranks: swaps neighbours of different peers only.
void FaultyTransport::Shuffle(std::vector<Message>* messages) {
  for (size_t round = 0; round < messages->size(); ++round) {
    for (size_t i = 1; i < messages->size(); ++i) {
      Message& left = (*messages)[i - 1];
      Message& right = (*messages)[i];
      if (left.peer != right.peer && random_() % 2 == 0) std::swap(left, right);
    }
  }
}

void FaultyTransport::Strike(std::vector<Message>* messages) {
  if (struck_ || fault_ == Fault::kNone || strike_-- > 0) return;
  if (fault_ == Fault::kVanish) {
    struck_ = true;
    started_.clear();
    inner_.reset();
    return;
  }
  if (fault_ == Fault::kThrow) {
    struck_ = true;
    throw std::runtime_error("the wire is cut");
  }
  if (messages->empty()) return;
  const size_t chosen = random_() % messages->size();
  if (PayloadBytes((*messages)[chosen]) == 0) return;
  struck_ = true;
  if (fault_ == Fault::kDrop) {
    messages->erase(messages->begin() + chosen);
    return;
  }
  std::vector<MessageRun>& runs = (*messages)[chosen].runs;
  while (runs.back().size == 0) runs.pop_back();
  runs.back().size -= 1 + random_() % runs.back().size;
}

class FaultyTransport::FaultyExchange : public Exchange {
 public:
  FaultyExchange(FaultyTransport* transport, std::vector<Message> messages)
      : transport_(*transport), messages_(std::move(messages)) {}
  absl::Status Start(BufferBases bases, Stream*) override {
    return transport_.Start(messages_, bases, &started_);
  }
  absl::Status Wait(absl::Duration timeout) override { return transport_.Wait(started_, timeout); }

 private:
  FaultyTransport& transport_;
  const std::vector<Message> messages_;
  Exchange* started_ = nullptr;
};

absl::StatusOr<std::unique_ptr<Exchange>> FaultyTransport::Prepare(std::vector<Message> messages) {
  return std::make_unique<FaultyExchange>(this, std::move(messages));
}

absl::Status FaultyTransport::Start(std::vector<Message> messages, BufferBases bases,
                                    Exchange** started) {
  if (inner_ == nullptr) return Vanished();
  Delay();
  Shuffle(&messages);
  Strike(&messages);
  if (inner_ == nullptr) return Vanished();
  ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, inner_->Prepare(std::move(messages)));
  started_.push_back(std::move(exchange));
  *started = started_.back().get();
  return (*started)->Start(bases, nullptr);
}

absl::Status FaultyTransport::Wait(Exchange* started, absl::Duration timeout) {
  if (inner_ == nullptr) return Vanished();
  Delay();
  return started->Wait(timeout);
}

absl::StatusOr<std::vector<uint64_t>> FaultyTransport::AllGather(uint64_t value,
                                                                 absl::Duration timeout) {
  if (inner_ == nullptr) return Vanished();
  if (!std::exchange(met_, true)) timeout = std::max(timeout, absl::Minutes(1));
  return inner_->AllGather(value, timeout);
}

void FaultyTransport::SetComputing(bool computing) {
  if (inner_ != nullptr) inner_->SetComputing(computing);
}

void FaultyTransport::Abort(const absl::Status& reason) {
  if (inner_ != nullptr) inner_->Abort(reason);
}

}  // namespace flashcp::testing
