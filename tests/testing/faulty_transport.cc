#include "tests/testing/faulty_transport.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "absl/time/clock.h"

namespace flashcp::testing {
namespace {

absl::Status Vanished() { return absl::UnavailableError("this rank has vanished"); }

}  // namespace

void FaultyTransport::Delay() {
  if (random_() % 4 == 0) absl::SleepFor(absl::Microseconds(random_() % 300));
}

// Keeps the order of messages between two ranks: swaps neighbours of different peers only.
void FaultyTransport::Shuffle(std::vector<Transfer>* transfers) {
  for (size_t round = 0; round < transfers->size(); ++round) {
    for (size_t i = 1; i < transfers->size(); ++i) {
      Transfer& left = (*transfers)[i - 1];
      Transfer& right = (*transfers)[i];
      if (left.peer != right.peer && random_() % 2 == 0) std::swap(left, right);
    }
  }
}

void FaultyTransport::Strike(Changed* changed) {
  std::vector<Transfer>& transfers = changed->transfers;
  if (struck_ || fault_ == Fault::kNone || strike_-- > 0) return;
  if (fault_ == Fault::kVanish) {
    struck_ = true;
    inner_.reset();
    return;
  }
  if (fault_ == Fault::kThrow) {
    struck_ = true;
    throw std::runtime_error("the wire is cut");
  }
  if (transfers.empty()) return;
  const size_t chosen = random_() % transfers.size();
  if (PayloadBytes(transfers[chosen]) == 0) return;
  struck_ = true;
  if (fault_ == Fault::kDrop) {
    transfers.erase(transfers.begin() + chosen);
    return;
  }
  absl::Span<const Bytes> runs = transfers[chosen].runs;
  changed->cut.assign(runs.begin(), runs.end());
  while (changed->cut.back().size == 0) changed->cut.pop_back();
  changed->cut.back().size -= 1 + random_() % changed->cut.back().size;
  transfers[chosen].runs = changed->cut;
}

absl::StatusOr<Transport::Group> FaultyTransport::Start(absl::Span<const Transfer> transfers) {
  if (inner_ == nullptr) return Vanished();
  Delay();
  changed_.emplace_back();
  changed_.back().transfers.assign(transfers.begin(), transfers.end());
  Shuffle(&changed_.back().transfers);
  Strike(&changed_.back());
  if (inner_ == nullptr) return Vanished();
  return inner_->Start(changed_.back().transfers);
}

absl::Status FaultyTransport::Wait(Group group, absl::Duration timeout) {
  if (inner_ == nullptr) return Vanished();
  Delay();
  return inner_->Wait(group, timeout);
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
