// Plans in C: reading, facts, layouts. Only plans that pass the verifier get a handle, so that all
// other functions may trust what they hold.

#include "api/plan.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "api/flashcp.h"
#include "api/status.h"
#include "runtime/layout.h"
#include "runtime/plan/verify.h"
#include "session/plan_json.h"
#include "support/status_macros.h"

namespace flashcp::capi {
namespace {

static_assert(FLASHCP_F32 == static_cast<int>(fbs::DType::f32));
static_assert(FLASHCP_BF16 == static_cast<int>(fbs::DType::bf16));
static_assert(FLASHCP_F16 == static_cast<int>(fbs::DType::f16));

// Hands out a plan if it keeps the rules.
absl::Status HandOut(absl::StatusOr<Plan> read, flashcp_plan** plan) {
  ASSIGN_OR_RETURN(Plan value, std::move(read));
  RETURN_IF_ERROR(VerifyPlan(value));
  *plan = new flashcp_plan{std::move(value)};
  return absl::OkStatus();
}

flashcp_plan_info InfoOf(const Plan& plan) {
  const fbs::HeadShape& heads = *plan->heads();
  const fbs::Modelled& modelled = *plan->modelled();
  flashcp_plan_info info;
  info.hash = plan.hash();
  info.tokens = TotalTokens(plan);
  info.documents = static_cast<int64_t>(Items(plan->documents()).size());
  info.ranks = plan.num_ranks();
  info.query_heads = static_cast<int32_t>(heads.query());
  info.key_value_heads = static_cast<int32_t>(heads.key_value());
  info.head_dim = static_cast<int32_t>(heads.dim());
  info.head_groups = static_cast<int32_t>(plan->head_groups());
  info.dtype = static_cast<flashcp_dtype>(plan->dtype());
  info.scale = plan->scale();
  info.forward_us = modelled.forward_us();
  info.backward_us = modelled.backward_us();
  info.bound_us = std::max({modelled.compute_bound_us(), modelled.communication_bound_us(),
                            modelled.combined_bound_us()});
  return info;
}

absl::Status FindRankInfo(const Plan& plan, int rank, flashcp_rank_info* info) {
  ASSIGN_OR_RETURN(const int64_t tokens, RankTokens(plan, rank));
  ASSIGN_OR_RETURN(const RankMemory memory, RankMemoryOf(plan, rank));
  *info = {tokens, memory.workspace, memory.backward_workspace, memory.saved};
  return absl::OkStatus();
}

// One of the functions that write a value for each row.
using WriteValues = absl::Status (*)(const Plan&, int, absl::Span<int64_t>);

flashcp_status Write(const char* who, WriteValues write, const flashcp_plan* plan, int rank,
                     int64_t* values, size_t count) {
  const void* const room = count > 0 ? values : static_cast<const void*>(plan);
  return Guarded(who, {{"plan", plan}, {"values", room}},
                 [&] { return write(plan->plan, rank, absl::MakeSpan(values, count)); });
}

// Copies a text for the caller.
absl::StatusOr<char*> NewText(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) return absl::ResourceExhaustedError("out of memory for a text");
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

}  // namespace
}  // namespace flashcp::capi

using flashcp::Plan;
using flashcp::capi::Clear;
using flashcp::capi::Guarded;

extern "C" {

flashcp_status flashcp_plan_from_bytes(const void* bytes, size_t size, flashcp_plan** plan) {
  Clear(plan);
  return Guarded(__func__, {{"bytes", bytes}, {"plan", plan}}, [&] {
    return flashcp::capi::HandOut(
        Plan::FromBytes(std::string(static_cast<const char*>(bytes), size)), plan);
  });
}

flashcp_status flashcp_plan_load(const char* path, flashcp_plan** plan) {
  Clear(plan);
  return Guarded(__func__, {{"path", path}, {"plan", plan}},
                 [&] { return flashcp::capi::HandOut(Plan::Load(path), plan); });
}

flashcp_status flashcp_plan_save(const flashcp_plan* plan, const char* path) {
  return Guarded(__func__, {{"plan", plan}, {"path", path}}, [&] { return plan->plan.Save(path); });
}

void flashcp_plan_destroy(flashcp_plan* plan) { delete plan; }

const void* flashcp_plan_bytes(const flashcp_plan* plan, size_t* size) {
  const absl::string_view bytes = plan != nullptr ? plan->plan.bytes() : absl::string_view();
  if (size != nullptr) *size = bytes.size();
  return bytes.data();
}

flashcp_status flashcp_plan_get_info(const flashcp_plan* plan, flashcp_plan_info* info) {
  Clear(info);
  return Guarded(__func__, {{"plan", plan}, {"info", info}}, [&] {
    *info = flashcp::capi::InfoOf(plan->plan);
    return absl::OkStatus();
  });
}

flashcp_status flashcp_plan_get_rank_info(const flashcp_plan* plan, int rank,
                                          flashcp_rank_info* info) {
  Clear(info);
  return Guarded(__func__, {{"plan", plan}, {"info", info}},
                 [&] { return flashcp::capi::FindRankInfo(plan->plan, rank, info); });
}

flashcp_status flashcp_plan_token_indices(const flashcp_plan* plan, int rank, int64_t* values,
                                          size_t count) {
  return flashcp::capi::Write(__func__, flashcp::WriteTokenIndices, plan, rank, values, count);
}

flashcp_status flashcp_plan_position_ids(const flashcp_plan* plan, int rank, int64_t* values,
                                         size_t count) {
  return flashcp::capi::Write(__func__, flashcp::WritePositionIds, plan, rank, values, count);
}

flashcp_status flashcp_plan_document_ids(const flashcp_plan* plan, int rank, int64_t* values,
                                         size_t count) {
  return flashcp::capi::Write(__func__, flashcp::WriteDocumentIds, plan, rank, values, count);
}

flashcp_status flashcp_plan_scatter(const flashcp_plan* plan, int rank, size_t row_bytes,
                                    const void* global, size_t global_bytes, void* local,
                                    size_t local_bytes) {
  return Guarded(__func__, {{"plan", plan}}, [&] {
    return flashcp::ScatterRows(plan->plan, rank, row_bytes, {global, global_bytes},
                                {local, local_bytes});
  });
}

flashcp_status flashcp_plan_gather(const flashcp_plan* plan, int rank, size_t row_bytes,
                                   const void* local, size_t local_bytes, void* global,
                                   size_t global_bytes) {
  return Guarded(__func__, {{"plan", plan}}, [&] {
    return flashcp::GatherRows(plan->plan, rank, row_bytes, {local, local_bytes},
                               {global, global_bytes});
  });
}

flashcp_status flashcp_plan_inspect(const flashcp_plan* plan, char** json) {
  Clear(json);
  return Guarded(__func__, {{"plan", plan}, {"json", json}}, [&]() -> absl::Status {
    const std::string text = flashcp::session::PlanJson(plan->plan, std::nullopt);
    ASSIGN_OR_RETURN(*json, flashcp::capi::NewText(text));
    return absl::OkStatus();
  });
}

void flashcp_text_destroy(char* text) { std::free(text); }

}  // extern "C"
