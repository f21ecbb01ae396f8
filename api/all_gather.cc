// The rows of all ranks at each of them: one exchange over the group's transport, for companions of
// attention that need no speed, such as labels, sequence order and results to look at.

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "api/flashcp.h"
#include "api/group.h"
#include "api/status.h"
#include "runtime/transport.h"
#include "support/status_macros.h"

namespace flashcp::capi {
namespace {

enum Buffer : uint32_t { kLocal, kAll };

// Returns a send of `rank`'s bytes to each other rank, and a receive of the bytes of each.
std::vector<Message> MessagesOf(int rank, int ranks, const uint64_t* rank_bytes) {
  std::vector<Message> messages;
  uint64_t offset = 0;
  for (int peer = 0; peer < ranks; offset += rank_bytes[peer], ++peer) {
    if (peer == rank) continue;
    if (rank_bytes[rank] > 0) {
      messages.push_back({Message::Direction::kSend, peer, 0, {{kLocal, 0, rank_bytes[rank]}}});
    }
    if (rank_bytes[peer] > 0) {
      messages.push_back(
          {Message::Direction::kReceive, peer, 0, {{kAll, offset, rank_bytes[peer]}}});
    }
  }
  return messages;
}

absl::Status Exchanged(Transport* transport, std::vector<Message> messages, BufferBases bases,
                       absl::Duration timeout) {
  ASSIGN_OR_RETURN(std::unique_ptr<Exchange> exchange, transport->Prepare(std::move(messages)));
  RETURN_IF_ERROR(exchange->Start(bases, nullptr));
  return exchange->Wait(timeout);
}

absl::Status AllGather(Group* group, int rank, const void* local, const uint64_t* rank_bytes,
                       void* all) {
  ASSIGN_OR_RETURN(Group::Member * member, group->Join(rank));
  const RankCall call(member, rank);
  RETURN_IF_ERROR(call.status());
  if (local == nullptr && rank_bytes[rank] > 0) {
    absl::Status status = absl::InvalidArgumentError(
        absl::StrCat("rank ", rank, ": local is null, ", rank_bytes[rank], " bytes expected"));
    member->transport->Abort(status);
    return status;
  }
  uint64_t offset = 0;
  for (int before = 0; before < rank; ++before) offset += rank_bytes[before];
  if (rank_bytes[rank] > 0) std::memcpy(static_cast<char*>(all) + offset, local, rank_bytes[rank]);
  char* const bases[] = {static_cast<char*>(const_cast<void*>(local)), static_cast<char*>(all)};
  absl::Status status =
      Exchanged(member->transport.get(), MessagesOf(rank, group->size(), rank_bytes), bases,
                group->timeout());
  if (!status.ok()) member->transport->Abort(status);
  return status;
}

}  // namespace
}  // namespace flashcp::capi

extern "C" flashcp_status flashcp_group_all_gather(flashcp_group* group, int rank,
                                                   const void* local, const uint64_t* rank_bytes,
                                                   void* all) {
  return flashcp::capi::Guarded(
      __func__, {{"group", group}, {"rank_bytes", rank_bytes}, {"all", all}},
      [&] { return flashcp::capi::AllGather(group->group.get(), rank, local, rank_bytes, all); });
}
