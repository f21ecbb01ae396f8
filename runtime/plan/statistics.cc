// One pass over the tables of each rank, which stand for as many rounds as there are groups of heads.

#include "runtime/plan/statistics.h"

#include <algorithm>

#include "model/band.h"
#include "runtime/plan/conversion.h"

namespace flashcp {
namespace {

// 128 bits, since pairs of a rank times heads may pass 64.
using Wide = unsigned __int128;

uint64_t PairsOf(const fbs::Plan& plan, const fbs::Program& program) {
  absl::Span<const fbs::Document> documents = Items(plan.documents());
  Wide pairs_of_heads = 0;
  for (const fbs::Tile& tile : Items(program.tiles())) {
    if (tile.document() >= documents.size() || tile.head_begin() > tile.head_end()) continue;
    const fbs::Document& document = documents[tile.document()];
    auto range = [&document](uint64_t begin, uint64_t count) {
      uint64_t length = document.length();
      return model::TokenRange{static_cast<int64_t>(std::min(begin, length)),
                               static_cast<int64_t>(std::min(begin + count, length))};
    };
    pairs_of_heads += static_cast<Wide>(CountPairs(ModelOf(tile.band()),
                                                   range(tile.query_position(), tile.query_count()),
                                                   range(tile.key_position(), tile.key_count()))) *
                      (tile.head_end() - tile.head_begin());
  }
  return pairs_of_heads * plan.head_groups() / std::max<uint32_t>(plan.heads()->query(), 1);
}

void CountLayout(const fbs::RankPlan& plan, RankStatistics* rank) {
  const fbs::TokenRange* before = nullptr;
  for (const fbs::TokenRange& range : Items(plan.layout())) {
    rank->tokens += uint64_t{range.end()} - range.begin();
    bool continues = before != nullptr && before->document() == range.document() &&
                     before->end() == range.begin();
    if (!continues) ++rank->segments;
    before = &range;
  }
}

// For each part of a program, the payload of all parts before it that are not saved; one more in
// the end. Parts and slices of a plan that nobody verified may lie out of bounds.
std::vector<uint64_t> BytesAgainBefore(const fbs::Plan& plan, const fbs::Program& program) {
  std::vector<uint64_t> rows_before = {0};  // by slice
  for (const fbs::Slice& slice : Items(program.slices())) {
    rows_before.push_back(rows_before.back() + slice.count());
  }
  const uint64_t head_bytes = uint64_t{plan.heads()->dim()} * DTypeBytes(plan.dtype());
  std::vector<uint64_t> bytes_before = {0};
  for (const fbs::Part& part : Items(program.parts())) {
    bool counts = !part.saved() && part.slice_begin() <= part.slice_end() &&
                  part.slice_end() < rows_before.size() && part.head_begin() <= part.head_end();
    uint64_t rows = counts ? rows_before[part.slice_end()] - rows_before[part.slice_begin()] : 0;
    bytes_before.push_back(bytes_before.back() +
                           rows * (part.head_end() - part.head_begin()) * head_bytes);
  }
  return bytes_before;
}

void CountTraffic(const fbs::Plan& plan, const fbs::Program& program, RankStatistics* rank) {
  const std::vector<uint64_t> again_before = BytesAgainBefore(plan, program);
  const uint64_t rounds = plan.head_groups();
  for (const fbs::Message& message : Items(program.messages())) {
    rank->messages += rounds;
    bool send = message.direction() == fbs::Direction::send;
    if (!send) rank->receive_messages += rounds;
    const uint64_t bytes = rounds * message.bytes();
    (send ? rank->send_bytes_forward : rank->receive_bytes_forward) += bytes;
    // Gradients of all rows come back.
    (send ? rank->receive_bytes_backward : rank->send_bytes_backward) += bytes;
    if (message.part_begin() > message.part_end() || message.part_end() >= again_before.size()) {
      continue;
    }
    (send ? rank->send_bytes_backward : rank->receive_bytes_backward) +=
        rounds * (again_before[message.part_end()] - again_before[message.part_begin()]);
  }
}

void CountMemory(const fbs::RankPlan& plan, RankStatistics* rank) {
  rank->workspace_bytes = std::max(plan.workspace_bytes(), plan.backward_workspace_bytes());
  rank->saved_bytes = plan.saved_bytes();
  rank->forward_peak_bytes = plan.saved_bytes() + plan.workspace_bytes();
  rank->peak_bytes = plan.saved_bytes() + rank->workspace_bytes;
  for (const fbs::Buffer& buffer : Items(plan.buffers())) {
    if (buffer.kind() > fbs::BufferKind::value_gradient) continue;
    uint64_t bytes =
        uint64_t{buffer.rows()} * buffer.heads() * buffer.dim() * DTypeBytes(buffer.dtype());
    rank->peak_bytes += bytes;
    if (buffer.kind() <= fbs::BufferKind::lse) rank->forward_peak_bytes += bytes;
  }
}

// Largest over mean of one number of the ranks; 1 if all are 0.
double Imbalance(const std::vector<RankStatistics>& ranks, uint64_t RankStatistics::*number) {
  double most = 0;
  double total = 0;
  for (const RankStatistics& rank : ranks) {
    most = std::max<double>(most, rank.*number);
    total += rank.*number;
  }
  return total > 0 ? most * ranks.size() / total : 1;
}

}  // namespace

PlanStatistics ComputeStatistics(const Plan& plan) {
  PlanStatistics statistics;
  for (int r = 0; r < plan.num_ranks(); ++r) {
    const fbs::RankPlan& rank_plan = *plan->ranks()->Get(r);
    RankStatistics rank;
    CountLayout(rank_plan, &rank);
    CountTraffic(*plan, *rank_plan.forward(), &rank);
    CountMemory(rank_plan, &rank);
    rank.pairs = PairsOf(*plan, *rank_plan.forward());
    statistics.tokens += rank.tokens;
    statistics.receive_bytes_total += rank.receive_bytes_forward;
    statistics.receive_bytes_max =
        std::max(statistics.receive_bytes_max, rank.receive_bytes_forward);
    statistics.ranks.push_back(rank);
  }
  statistics.work_imbalance = Imbalance(statistics.ranks, &RankStatistics::pairs);
  statistics.token_imbalance = Imbalance(statistics.ranks, &RankStatistics::tokens);
  return statistics;
}

}  // namespace flashcp
