#include "runtime/transport.h"

#include "absl/strings/str_cat.h"

namespace flashcp {

size_t PayloadBytes(const Transfer& transfer) {
  size_t bytes = 0;
  for (const Bytes& run : transfer.runs) bytes += run.size;
  return bytes;
}

std::string DescribeMessage(Transfer::Direction direction, int rank, int peer, size_t bytes,
                            uint32_t tag) {
  const bool sends = direction == Transfer::Direction::kSend;
  return absl::StrCat("rank ", rank, (sends ? " sends " : " receives "), bytes, " bytes with tag ",
                      tag, (sends ? " to" : " from"), " rank ", peer);
}

}  // namespace flashcp
