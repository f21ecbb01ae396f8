// Cuts rows by exact fractions of integers, so that every caller finds the same cuts.

#include "compiler/solver/row_stage.h"

#include <algorithm>
#include <numeric>

namespace flashcp::solver {
namespace {

constexpr int64_t kCutMultiple = 128;   // rows
constexpr int64_t kLeastShare = 256;    // rows: shorter ranges cost more than even loads are worth
constexpr int64_t kShareMultiple = 64;  // rows: copied in whole blocks

}  // namespace

Rotation::Rotation(int ranks, int ranks_per_node)
    : ranks_per_node_(ranks_per_node), nodes_((ranks - 1) / ranks_per_node + 1), carries_(nodes_) {}

int Rotation::Distance(int receiver, int owner) const {
  return (Node(owner) - Node(receiver) + nodes_) % nodes_;
}

int Rotation::Turns() const { return std::count(carries_.begin(), carries_.end(), true); }

std::vector<OwnerRows> RotateOwners(const Rotation& rotation, int receiver,
                                    const std::vector<int64_t>& rows) {
  std::vector<int64_t> nearer(rows.size() + 1);  // rows of nearer nodes, by distance
  for (size_t owner = 0; owner < rows.size(); ++owner) {
    nearer[rotation.Distance(receiver, owner) + 1] += rows[owner];
  }
  std::partial_sum(nearer.begin(), nearer.end(), nearer.begin());
  std::vector<OwnerRows> owners;
  for (size_t owner = 0; owner < rows.size(); ++owner) {
    const int distance = rotation.Distance(receiver, owner);
    owners.push_back(
        {rows[owner], nearer[distance], nearer[distance + 1] - nearer[distance], nearer.back()});
  }
  return owners;
}

int64_t FirstRowOfStage(const OwnerRows& owner, int stage, int stages) {
  const int64_t begin = (stage * owner.all + stages - 1) / stages - owner.before;
  if (begin <= 0) return 0;
  if (begin >= owner.of_node) return owner.rows;
  const int64_t first = (begin * owner.rows + owner.of_node - 1) / owner.of_node;
  return owner.all >= stages * kCutMultiple ? first / kCutMultiple * kCutMultiple : first;
}

int RowStage(const OwnerRows& owner, int64_t row, int stages) {
  int stage = (owner.before + row * owner.of_node / owner.rows) * stages / owner.all;
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
