// What all transports say of messages.

#include "runtime/transport.h"

#include "absl/strings/str_cat.h"

namespace flashcp {

size_t PayloadBytes(const Message& message) {
  size_t bytes = 0;
  for (const MessageRun& run : message.runs) bytes += run.size * run.count;
  return bytes;
}

bool IsOneBlock(const Message& message) {
  return message.runs.empty() || (message.runs.size() == 1 && message.runs[0].count == 1);
}

std::string DescribeMessage(Message::Direction direction, int rank, int peer, size_t bytes,
                            uint32_t tag) {
  const bool sends = direction == Message::Direction::kSend;
  return absl::StrCat("rank ", rank, (sends ? " sends " : " receives "), bytes, " bytes with tag ",
                      tag, (sends ? " to" : " from"), " rank ", peer);
}

absl::Status Exchange::Wait(absl::Duration) {
  return absl::UnimplementedError("work of the stream waits for the exchange, not the host");
}

}  // namespace flashcp
