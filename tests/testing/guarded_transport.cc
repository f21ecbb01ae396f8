// Received blocks of an exchange do not overlap, so that they are searched in the order of memory.

#include "tests/testing/guarded_transport.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp::testing {
namespace {

struct Block {
  char* begin;
  char* end;
};

// The blocks that go this way, in the order of memory.
std::vector<Block> BlocksOf(const std::vector<Message>& messages, Message::Direction direction,
                            BufferBases bases) {
  std::vector<Block> blocks;
  for (const Message& message : messages) {
    if (message.direction != direction) continue;
    for (const MessageRun& run : message.runs) {
      for (uint64_t i = 0; i < run.count && run.size > 0; ++i) {
        char* const begin = bases[run.buffer] + run.offset + i * run.stride;
        blocks.push_back({begin, begin + run.size});
      }
    }
  }
  std::sort(blocks.begin(), blocks.end(),
            [](const Block& a, const Block& b) { return a.begin < b.begin; });
  return blocks;
}

std::string BytesOf(const std::vector<Block>& blocks) {
  std::string bytes;
  for (const Block& block : blocks) bytes.append(block.begin, block.end);
  return bytes;
}

bool Touch(const std::vector<Block>& received, const std::vector<Block>& others) {
  return std::any_of(others.begin(), others.end(), [&](const Block& other) {
    const auto behind =
        std::partition_point(received.begin(), received.end(),
                             [&](const Block& block) { return block.end <= other.begin; });
    return behind != received.end() && behind->begin < other.end;
  });
}

}  // namespace

class GuardedTransport::GuardedExchange : public Exchange {
 public:
  GuardedExchange(GuardedTransport* transport, std::vector<Message> messages,
                  std::unique_ptr<Exchange> inner)
      : transport_(*transport), messages_(std::move(messages)), inner_(std::move(inner)) {}
  ~GuardedExchange() override { Leave(); }

  absl::Status Start(BufferBases bases, Stream* stream) override {
    sent_ = BlocksOf(messages_, Message::Direction::kSend, bases);
    received_ = BlocksOf(messages_, Message::Direction::kReceive, bases);
    for (const GuardedExchange* other : transport_.under_way_) {
      if (Touch(received_, other->received_) || Touch(received_, other->sent_) ||
          Touch(other->received_, sent_)) {
        return Error("starts an exchange in memory of another one");
      }
    }
    for (const Block& block : received_) std::memset(block.begin, 0xff, block.end - block.begin);
    bytes_ = BytesOf(sent_);
    transport_.under_way_.push_back(this);
    return inner_->Start(bases, stream);
  }
  absl::Status Wait(absl::Duration timeout) override {
    RETURN_IF_ERROR(inner_->Wait(timeout));
    Leave();
    if (BytesOf(sent_) != bytes_) return Error("writes where an exchange sends from");
    return absl::OkStatus();
  }
  int64_t CompletedNs() const override { return inner_->CompletedNs(); }

 private:
  absl::Status Error(const char* what) const {
    return absl::InternalError(absl::StrCat("rank ", transport_.rank(), " ", what));
  }
  void Leave() {
    std::vector<const GuardedExchange*>& all = transport_.under_way_;
    all.erase(std::remove(all.begin(), all.end(), this), all.end());
  }

  GuardedTransport& transport_;
  const std::vector<Message> messages_;
  const std::unique_ptr<Exchange> inner_;
  std::vector<Block> sent_, received_;  // of the present run
  std::string bytes_;                   // that were sent
};

absl::StatusOr<std::unique_ptr<Exchange>> GuardedTransport::Prepare(std::vector<Message> messages) {
  ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, inner_.Prepare(messages));
  return std::make_unique<GuardedExchange>(this, std::move(messages), std::move(exchange));
}

}  // namespace flashcp::testing
