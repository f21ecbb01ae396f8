// Adds up buffers: those that last a round, and slots that stages take in turn, each as large as
// the largest stage in it.

#include "compiler/solver/workspace.h"

#include <algorithm>
#include <array>

namespace flashcp::solver {
namespace {

// Slots of the f32 sums of received rows: where relays add what comes back, one stage waits while
// the next is computed.
constexpr int kMostSumSlots = 2;

int SumSlots(const StageLoads& loads) { return loads.relays() ? kMostSumSlots : 1; }

int64_t Aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

// Bytes of the rows of one group of heads.
struct RowBytes {
  int64_t query_float, key_float, key, delta;

  RowBytes(const Problem& problem, int groups)
      : query_float(int64_t{4} * problem.heads.query / groups * problem.heads.dim),
        key_float(int64_t{4} * problem.heads.key_value / groups * problem.heads.dim),
        key(int64_t{BytesPerElement(problem.dtype)} * problem.heads.key_value / groups *
            problem.heads.dim),
        delta(int64_t{4} * problem.heads.query / groups) {}
};

// Returns what backward takes for the rank's own rows.
int64_t OwnBytes(const RowBytes& bytes, const RankBase& base) {
  return Aligned(base.tokens * bytes.delta) + Aligned(base.tokens * bytes.query_float) +
         2 * Aligned(base.tokens * bytes.key_float);
}

}  // namespace

Workspace WorkspaceOf(const StageLoads& loads, const RankBase& base, const RankStage* stages,
                      int num_stages, int groups) {
  const RowBytes bytes(loads.problem(), groups);
  std::array<int64_t, kKeyValueSlots> rows = {};
  std::array<int64_t, kMostSumSlots> sums = {};
  int64_t direct = 0;   // rows of the fullest exchange
  int64_t relayed = 0;  // likewise, of relays
  for (int k = 0; k < num_stages; ++k) {
    const RankStage& stage = stages[k];
    int64_t& row = rows[KeyValueSlot(k)];
    int64_t& sum = sums[k % SumSlots(loads)];
    row = std::max(row, stage.RowsIn());
    sum = std::max(sum, stage.RowsIn());
    direct = std::max(direct, stage.in_node.rows_out + stage.between_nodes.rows_out);
    relayed = std::max(relayed, stage.relayed.rows_out);
  }
  // One stage has places for several rounds instead of slots.
  const int64_t places = num_stages == 1 ? std::min(groups, kKeyValueSlots) : 1;
  Workspace workspace;
  for (int64_t slot : rows) workspace.forward_bytes += 2 * places * Aligned(slot * bytes.key);
  workspace.backward_bytes = workspace.forward_bytes + OwnBytes(bytes, base);
  for (int64_t slot : sums) workspace.backward_bytes += 2 * Aligned(slot * bytes.key_float);
  workspace.backward_bytes += Aligned(2 * direct * bytes.key) + Aligned(2 * relayed * bytes.key);
  workspace.forward_bytes += Aligned(base.shared_rows * bytes.query_float);
  return workspace;
}

int64_t LeastWorkspaceBytes(const StageLoads& loads, int num_stages, int groups) {
  const RowBytes bytes(loads.problem(), groups);
  // A slot is as large as the mean of its stages at least.
  auto turns = [&](int slots) { return std::max(1, (num_stages + slots - 1) / slots); };
  int64_t most = 0;
  for (const RankBase& base : loads.ranks()) {
    const int64_t least = OwnBytes(bytes, base) +
                          2 * base.rows_in * bytes.key / turns(kKeyValueSlots) +
                          2 * base.rows_in * bytes.key_float / turns(SumSlots(loads));
    most = std::max(most, least);
  }
  return most;
}

}  // namespace flashcp::solver
