// Any bytes as a plan, as they are and with their content hash made right: refused with an error,
// or a plan on which statistics and verifier come to an end, and agree where it is correct.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "flatbuffers/flatbuffers.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/statistics.h"
#include "runtime/plan/verify.h"

namespace flashcp {
namespace {

// Stores the right hash where the bytes have a place for it: else nearly every input would end
// there, and none would reach the verifier.
void Reseal(std::string* bytes) {
  // Longer than what a string keeps inside itself, without alignment.
  if (bytes->size() < 64) return;
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
  if (!fbs::VerifyPlanBuffer(verifier)) return;
  fbs::Plan* plan = fbs::GetMutablePlan(bytes->data());
  plan->mutate_content_hash(ContentHash(*plan, *bytes));
}

void CheckCorrectPlan(const Plan& plan, const PlanStatistics& statistics) {
  uint64_t tokens = 0, sent = 0, received = 0, sent_backward = 0, received_backward = 0;
  for (const RankStatistics& rank : statistics.ranks) {
    tokens += rank.tokens;
    sent += rank.send_bytes_forward;
    received += rank.receive_bytes_forward;
    sent_backward += rank.send_bytes_backward;
    received_backward += rank.receive_bytes_backward;
  }
  assert(static_cast<int>(statistics.ranks.size()) == plan.num_ranks());
  assert(tokens == statistics.tokens);
  assert(sent == received && received == statistics.receive_bytes_total);
  assert(sent_backward == received_backward);
}

void Load(std::string bytes) {
  auto plan = Plan::FromBytes(std::move(bytes));
  if (!plan.ok()) {
    assert(absl::IsInvalidArgument(plan.status()));
    return;
  }
  PlanStatistics statistics = ComputeStatistics(*plan);
  absl::Status status = VerifyPlan(*plan);
  if (status.ok()) {
    CheckCorrectPlan(*plan, statistics);
  } else {
    assert(absl::IsFailedPrecondition(status) && absl::StartsWith(status.message(), "P"));
  }
}

}  // namespace
}  // namespace flashcp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  flashcp::Load(bytes);
  flashcp::Reseal(&bytes);
  flashcp::Load(std::move(bytes));
  return 0;
}
