// The tables of a plan as C structs: rows lie in the plan's bytes, so that handing one out copies
// nothing. The structs of flashcp_tables.h are held to those of plan.fbs here and, field by field,
// by tests/api/tables_test.cc.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "api/flashcp.h"
#include "api/flashcp_tables.h"
#include "api/plan.h"
#include "api/status.h"
#include "runtime/plan/plan.h"
#include "support/nearest_name.h"
#include "support/status_macros.h"

namespace flashcp::capi {
namespace {

template <typename Row, typename FbsRow>
constexpr bool kSameShape = sizeof(Row) == sizeof(FbsRow) && alignof(Row) == alignof(FbsRow);

static_assert(kSameShape<flashcp_band, fbs::Band>);
static_assert(kSameShape<flashcp_document_row, fbs::Document>);
static_assert(kSameShape<flashcp_token_range, fbs::TokenRange>);
static_assert(kSameShape<flashcp_buffer, fbs::Buffer>);
static_assert(kSameShape<flashcp_slice, fbs::Slice>);
static_assert(kSameShape<flashcp_part, fbs::Part>);
static_assert(kSameShape<flashcp_message, fbs::Message>);
static_assert(kSameShape<flashcp_tile, fbs::Tile>);
static_assert(kSameShape<flashcp_instruction, fbs::Instruction>);
static_assert(kSameShape<flashcp_wait, fbs::Wait>);

// The last enumerators of lists that have the order of plan.fbs.
static_assert(FLASHCP_BUFFER_INCOMING == static_cast<int>(fbs::BufferKind::MAX));
static_assert(FLASHCP_RECEIVE == static_cast<int>(fbs::Direction::MAX));
static_assert(FLASHCP_STORE_GRADIENTS == static_cast<int>(fbs::Opcode::MAX));
static_assert(FLASHCP_STREAM_COMMUNICATION == static_cast<int>(fbs::Stream::MAX));

struct Table {
  const void* rows;
  size_t count;
  size_t row_bytes;
};

template <typename Row>
Table TableOf(const flatbuffers::Vector<const Row*>* rows) {
  const absl::Span<const Row> items = Items(rows);
  return {items.data(), items.size(), sizeof(Row)};
}

// A table of a rank by its name.
struct RankTable {
  const char* name;
  Table (*find)(const fbs::RankPlan& rank);
};

using Rank = const fbs::RankPlan&;
constexpr RankTable kRankTables[] = {
    {"layout", [](Rank rank) { return TableOf(rank.layout()); }},
    {"buffers", [](Rank rank) { return TableOf(rank.buffers()); }},
    {"instructions", [](Rank rank) { return TableOf(rank.forward()->instructions()); }},
    {"waits", [](Rank rank) { return TableOf(rank.forward()->waits()); }},
    {"tiles", [](Rank rank) { return TableOf(rank.forward()->tiles()); }},
    {"messages", [](Rank rank) { return TableOf(rank.forward()->messages()); }},
    {"parts", [](Rank rank) { return TableOf(rank.forward()->parts()); }},
    {"slices", [](Rank rank) { return TableOf(rank.forward()->slices()); }},
    {"backward_instructions", [](Rank rank) { return TableOf(rank.backward()->instructions()); }},
    {"backward_waits", [](Rank rank) { return TableOf(rank.backward()->waits()); }},
};

absl::StatusOr<Table> FindTable(const Plan& plan, int rank, absl::string_view name) {
  if (name == "documents") return TableOf(plan->documents());
  std::vector<std::string> names = {"documents"};
  for (const RankTable& table : kRankTables) {
    names.push_back(table.name);
    if (name != table.name) continue;
    if (rank >= 0 && rank < plan.num_ranks()) return table.find(*plan->ranks()->Get(rank));
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", rank, ": the plan has ranks 0 to ", plan.num_ranks() - 1));
  }
  return absl::NotFoundError(UnknownNameMessage("table", name, names));
}

}  // namespace
}  // namespace flashcp::capi

extern "C" flashcp_status flashcp_plan_table(const flashcp_plan* plan, int rank, const char* name,
                                             const void** rows, size_t* count, size_t* row_bytes) {
  using flashcp::capi::Clear;
  Clear(rows), Clear(count), Clear(row_bytes);
  return flashcp::capi::Guarded(
      __func__,
      {{"plan", plan}, {"name", name}, {"rows", rows}, {"count", count}, {"row_bytes", row_bytes}},
      [&]() -> absl::Status {
        ASSIGN_OR_RETURN(const flashcp::capi::Table table,
                         flashcp::capi::FindTable(plan->plan, rank, name));
        *rows = table.rows;
        *count = table.count;
        *row_bytes = table.row_bytes;
        return absl::OkStatus();
      });
}
