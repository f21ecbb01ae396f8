// Cuts rows by exact fractions of integers, so that every caller finds the same cuts.

#include "compiler/solver/row_stage.h"

#include <algorithm>

namespace flashcp::solver {
namespace {

constexpr int64_t kCutMultiple = 128;   // rows
constexpr int64_t kLeastShare = 256;    // rows: shorter ranges cost more than even loads are worth
constexpr int64_t kShareMultiple = 64;  // rows: copied in whole blocks

}  // namespace

Rotation::Rotation(int ranks, int ranks_per_node)
    : ranks_per_node_(ranks_per_node),
      nodes_((ranks - 1) / ranks_per_node + 1),
      before_(nodes_ + 1) {}

int Rotation::Distance(int receiver, int owner) const {
  return (Node(owner) - Node(receiver) + nodes_) % nodes_;
}

void Rotation::Add(int receiver, int owner) {
  const int distance = Distance(receiver, owner);
  if (before_[distance] < before_[distance + 1]) return;
  for (int further = distance + 1; further <= nodes_; ++further) ++before_[further];
}

int64_t FirstRowOfStage(const OwnerRows& owner, int stage, int stages) {
  const int64_t all = owner.turns * owner.rows;  // as if all owners on the way had as many
  const int64_t first = (stage * all + stages - 1) / stages - owner.turn * owner.rows;
  if (first <= 0) return 0;
  if (first >= owner.rows) return owner.rows;
  return all >= stages * kCutMultiple ? first / kCutMultiple * kCutMultiple : first;
}

int RowStage(const OwnerRows& owner, int64_t row, int stages) {
  int stage = (owner.turn * owner.rows + row) * stages / (owner.turns * owner.rows);
  while (stage + 1 < stages && FirstRowOfStage(owner, stage + 1, stages) <= row) ++stage;
  return stage;
}

// The first relay depends on the owner, so that shares of short runs even out.
void ForEachRelayShare(const RelayRun& run, int64_t first, int64_t rows,
                       absl::FunctionRef<void(const RelayShare&)> visit) {
  const int64_t count = std::clamp<int64_t>(run.rows / kLeastShare, 1, run.receivers);
  int64_t begin = 0;
  for (int64_t number = first * count / run.rows; begin < rows; ++number) {
    const int64_t cut = std::min((number + 1) * run.rows / count - first, rows);
    const int64_t end = cut < rows ? cut / kShareMultiple * kShareMultiple : rows;
    const int receiver = (run.owner + number) % run.receivers;
    if (end > begin) visit({begin, end, receiver});
    begin = std::max(begin, end);
  }
}

}  // namespace flashcp::solver
