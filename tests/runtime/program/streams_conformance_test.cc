// The conformance suite of transports over a transport on streams: the host waits for an event
// behind each exchange, under seeded orders of all that the machine does.

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "runtime/trace.h"
#include "support/status_macros.h"
#include "tests/runtime/transport_conformance.h"
#include "tests/testing/fake_machine.h"
#include "tests/testing/run_on_streams.h"

namespace flashcp::testing {
namespace {

// Lets the host drive an exchange on a stream.
class HostedExchange : public Exchange {
 public:
  HostedExchange(Transport* transport, Stream* stream, const Message* first,
                 std::unique_ptr<Exchange> base, std::unique_ptr<Event> event)
      : transport_(*transport),
        stream_(*stream),
        peer_(first == nullptr ? 0 : first->peer),
        base_(std::move(base)),
        done_(std::move(event)) {}

  absl::Status Start(BufferBases bases, Stream*) override {
    if (active_) return absl::InvalidArgumentError("started, not waited for");
    RETURN_IF_ERROR(base_->Start(bases, &stream_));
    active_ = true;
    return stream_.Record(done_.get());
  }

  absl::Status Wait(absl::Duration timeout) override {
    if (!active_) return absl::InvalidArgumentError("not started");
    const absl::Time deadline = absl::Now() + timeout;
    while (true) {
      ASSIGN_OR_RETURN(const bool done, done_->Poll());
      RETURN_IF_ERROR(transport_.Health());
      if (done) break;
      if (absl::Now() > deadline) {
        return absl::DeadlineExceededError(absl::StrCat("rank ", transport_.rank(), " waited ",
                                                        absl::FormatDuration(timeout), " for rank ",
                                                        peer_));
      }
      absl::SleepFor(absl::Microseconds(20));
    }
    active_ = false;
    completed_ns_ = TraceNow();
    return absl::OkStatus();
  }
  int64_t CompletedNs() const override { return completed_ns_; }

 private:
  Transport& transport_;
  Stream& stream_;
  const int peer_;
  const std::unique_ptr<Exchange> base_;
  const std::unique_ptr<Event> done_;
  bool active_ = false;
  int64_t completed_ns_ = 0;
};

class HostedTransport : public Transport {
 public:
  HostedTransport(std::unique_ptr<Device> device, std::unique_ptr<Transport> base)
      : device_(std::move(device)),
        base_(std::move(base)),
        stream_(device_->NewStream(StreamPriority::kHigh).value()) {}

  int rank() const override { return base_->rank(); }
  int size() const override { return base_->size(); }
  absl::StatusOr<std::unique_ptr<Exchange>> Prepare(std::vector<Message> messages) override {
    ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, base_->Prepare(messages));
    return std::make_unique<HostedExchange>(base_.get(), stream_.get(),
                                            messages.empty() ? nullptr : &messages[0],
                                            std::move(exchange), device_->NewEvent().value());
  }
  absl::StatusOr<std::vector<uint64_t>> AllGather(uint64_t value, absl::Duration timeout) override {
    return base_->AllGather(value, timeout);
  }
  void Abort(const absl::Status& reason) override { base_->Abort(reason); }

 private:
  const std::unique_ptr<Device> device_;
  const std::unique_ptr<Transport> base_;
  const std::unique_ptr<Stream> stream_;
};

template <uint64_t seed>
absl::Status RunOnMachine(int num_ranks, const std::function<absl::Status(Transport*)>& run) {
  FakeMachine::Options options;
  options.seed = seed;
  FakeMachine machine(num_ranks, options);
  std::vector<absl::Status> results(num_ranks);
  std::vector<std::unique_ptr<HostedTransport>> transports;
  for (int rank = 0; rank < num_ranks; ++rank) {
    transports.push_back(
        std::make_unique<HostedTransport>(machine.MakeDevice(rank), machine.MakeTransport(rank)));
  }
  OnAllRanks(num_ranks, [&](int rank) {
    results[rank] = run(transports[rank].get());
    if (!results[rank].ok()) transports[rank]->Abort(results[rank]);
  });
  absl::Status first;
  for (const absl::Status& result : results) {
    if (!result.ok() && !absl::IsAborted(result)) return result;
    if (first.ok()) first = result;
  }
  return first;
}

}  // namespace
}  // namespace flashcp::testing

namespace flashcp {

INSTANTIATE_TEST_SUITE_P(Streams, TransportConformanceTest,
                         ::testing::Values(&testing::RunOnMachine<1>, &testing::RunOnMachine<2>,
                                           &testing::RunOnMachine<3>, &testing::RunOnMachine<4>));

}  // namespace flashcp
