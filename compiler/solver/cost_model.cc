// Decides what a placement costs, and what any placement must cost.
//
// Idea of the compute times: a segment is cut in blocks of rows from its first query on; a row
// block pays for each block of keys that it touches. Key blocks lie at multiples of block_columns,
// so the key blocks that the i-th row block touches are differences of floor((a i + b) / m), and a
// sum over i takes O(log m), whatever the length of the segment.

#include "compiler/solver/cost_model.h"

#include <algorithm>
#include <utility>

#include "compiler/solver/traffic.h"

namespace flashcp::solver {
namespace {

// Sum of floor((slope * i + offset) / divisor) for i in [0, count), all arguments >= 0: Euclid's
// algorithm on the lattice points below a line (Graham, Knuth, Patashnik, Concrete Mathematics,
// 3.5). O(log divisor).
int64_t FloorSum(int64_t count, int64_t divisor, int64_t slope, int64_t offset) {
  int64_t sum = 0;
  while (count > 0) {
    sum += count * (count - 1) / 2 * (slope / divisor) + count * (offset / divisor);
    slope %= divisor;
    offset %= divisor;
    int64_t top = slope * count + offset;
    if (top < divisor) break;
    count = top / divisor;
    offset = top % divisor;
    std::swap(slope, divisor);
  }
  return sum;
}

// Adds up the times of row blocks of one document, for one query head of dimension 128.
class TileSum {
 public:
  TileSum(const TileTable& tiles, const Document& document)
      : tiles_(tiles), document_(document), rows_(tiles.block_rows), keys_(tiles.block_columns) {}

  // `count` blocks of `rows` queries each, the i-th at first + i * block_rows.
  void Add(int64_t first, int64_t rows, int64_t count) {
    if (count <= 0) return;
    switch (document_.mask.kind) {
      case MaskKind::kCausal:
        return AddGrowing(first + rows, count);
      case MaskKind::kFull:
        return AddEqual(BlocksUpTo(document_.length), count);
      case MaskKind::kWindow:
        break;
    }
    // The window of the first blocks reaches key 0: what they see still grows.
    int64_t reach = document_.mask.window - 1 - first;
    int64_t growing = reach < 0 ? 0 : std::min(count, reach / rows_ + 1);
    AddGrowing(first + rows, growing);
    AddSliding(first + growing * rows_, rows, count - growing);
  }

  const ComputeTime& time() const { return time_; }

 private:
  int64_t BlocksUpTo(int64_t keys) const { return (keys + keys_ - 1) / keys_; }

  // Blocks that see keys [0, key_end), [0, key_end + block_rows), ...: cut where the table bends.
  void AddGrowing(int64_t key_end, int64_t count) {
    for (size_t piece = 0; count > 0; ++piece) {
      int64_t here = count;
      if (piece + 2 < tiles_.columns.size()) {
        int64_t room = tiles_.columns[piece + 1] - keys_ - key_end;
        here = room < 0 ? 0 : std::min(count, room / rows_ + 1);
      }
      AddPiece(piece, here, FloorSum(here, keys_, rows_, key_end + keys_ - 1));
      key_end += here * rows_;
      count -= here;
    }
  }

  // Blocks that see whole windows: as many keys each, so that the blocks they touch differ by one
  // at most.
  void AddSliding(int64_t first, int64_t rows, int64_t count) {
    if (count <= 0) return;
    int64_t key_begin = first - document_.mask.window + 1;
    int64_t key_end = first + rows;
    int64_t few = BlocksUpTo(key_end - key_begin);
    int64_t touched = FloorSum(count, keys_, rows_, key_end + keys_ - 1) -
                      FloorSum(count, keys_, rows_, key_begin);
    int64_t with_one_more = touched - count * few;
    AddEqual(few, count - with_one_more);
    AddEqual(few + 1, with_one_more);
  }

  // `count` row blocks against `blocks` key blocks each.
  void AddEqual(int64_t blocks, int64_t count) {
    size_t piece = 0;
    while (piece + 2 < tiles_.columns.size() && blocks * keys_ >= tiles_.columns[piece + 1]) {
      ++piece;
    }
    AddPiece(piece, count, count * blocks);
  }

  // `count` row blocks on one linear piece of the table, against `blocks` key blocks together.
  void AddPiece(size_t piece, int64_t count, int64_t blocks) {
    int64_t left = tiles_.columns[piece];
    int64_t beyond = blocks * keys_ - count * left;
    double share = static_cast<double>(beyond) / (tiles_.columns[piece + 1] - left);
    auto sum = [&](const std::vector<double>& us) {
      return count * us[piece] + share * (us[piece + 1] - us[piece]);
    };
    time_.forward_us += sum(tiles_.forward_us);
    time_.backward_us += sum(tiles_.backward_us);
  }

  const TileTable& tiles_;
  const Document& document_;
  const int64_t rows_;  // of a block
  const int64_t keys_;  // of a block
  ComputeTime time_;
};

ComputeTime Scaled(const ComputeTime& time, const HeadShape& heads) {
  double scale = heads.query * heads.dim / 128.0;
  return {time.forward_us * scale, time.backward_us * scale};
}

// Less than this no partition of the document costs: a row block of any segment has at most
// block_rows rows, so those that hold rows 0, block_rows, 2 block_rows, ... are all different, and
// each pays at least for the keys that this one row sees.
ComputeTime LeastTime(const Problem& problem, const Document& document) {
  TileSum sum(problem.cluster.tiles, document);
  int64_t block_rows = problem.cluster.tiles.block_rows;
  sum.Add(0, 1, (document.length + block_rows - 1) / block_rows);
  return Scaled(sum.time(), problem.heads);
}

// Both classes of links work at once, each in both directions; a message received costs latency.
void AddTransfers(const Problem& problem, const Traffic& traffic, RankCost& cost) {
  const LinkClass& intra = problem.cluster.intra_node;
  const LinkClass& inter = problem.cluster.inter_node;
  const int64_t row_bytes = problem.KeyValueBytesPerToken();
  auto bytes_us = [row_bytes](const LinkClass& link, int64_t rows) {
    return static_cast<double>(rows * row_bytes) / link.bytes_per_us;
  };
  int64_t received = traffic.received - traffic.received_in_node;
  int64_t sent = traffic.sent - traffic.sent_in_node;
  double sources_us = intra.latency_us * traffic.sources_in_node +
                      inter.latency_us * (traffic.sources - traffic.sources_in_node);
  double destinations_us = intra.latency_us * traffic.destinations_in_node +
                           inter.latency_us * (traffic.destinations - traffic.destinations_in_node);

  cost.receive_bytes_forward = traffic.received * row_bytes;
  cost.send_bytes_forward = traffic.sent * row_bytes;
  cost.receive_bytes_backward = cost.receive_bytes_forward + cost.send_bytes_forward;
  cost.send_bytes_backward = cost.receive_bytes_backward;
  cost.peers = traffic.sources + traffic.destinations;
  cost.transfer_forward_us =
      std::max(bytes_us(intra, std::max(traffic.received_in_node, traffic.sent_in_node)),
               bytes_us(inter, std::max(received, sent))) +
      sources_us;
  cost.transfer_backward_us =
      std::max(bytes_us(intra, traffic.received_in_node + traffic.sent_in_node),
               bytes_us(inter, received + sent)) +
      sources_us + destinations_us;
}

// Largest over mean.
template <typename Field>
double Imbalance(const std::vector<RankCost>& ranks, Field field) {
  double total = 0;
  int64_t most = 0;
  for (const RankCost& rank : ranks) {
    total += rank.*field;
    most = std::max(most, rank.*field);
  }
  return total > 0 ? most * static_cast<double>(ranks.size()) / total : 1;
}

// K/V rows that some rank receives, whatever the placement.
int64_t LeastReceivedRows(const Problem& problem) {
  if (problem.ranks == 1) return 0;
  int64_t total = problem.TotalTokens();
  // Some rank owns an even share at most, and receives all the rest.
  if (problem.exchange == Exchange::kAllGather) return total - total / problem.ranks;
  int64_t rows = 0;
  int64_t cap = problem.TokenCap();
  for (const Document& document : problem.documents) {
    KeyRange keys = KeysNeeded(document, document.length - 1, document.length);
    if (document.length > 0) rows = std::max(rows, keys.end - keys.begin - cap);
  }
  return rows;
}

// The most that one rank can receive in a microsecond.
double ReceiveBandwidth(const Problem& problem) {
  const Cluster& cluster = problem.cluster;
  if (problem.ranks <= cluster.ranks_per_node) return cluster.intra_node.bytes_per_us;
  if (cluster.ranks_per_node == 1) return cluster.inter_node.bytes_per_us;
  return cluster.intra_node.bytes_per_us + cluster.inter_node.bytes_per_us;
}

}  // namespace

double RankCost::ForwardUs() const { return std::max(compute_forward_us, transfer_forward_us); }

double RankCost::BackwardUs() const { return std::max(compute_backward_us, transfer_backward_us); }

double PlacementCost::WorkImbalance() const { return Imbalance(ranks, &RankCost::pairs); }

double PlacementCost::TokenImbalance() const { return Imbalance(ranks, &RankCost::tokens); }

ComputeTime SegmentTime(const Problem& problem, const Document& document, int64_t begin,
                        int64_t end) {
  if (begin >= end) return {};
  TileSum sum(problem.cluster.tiles, document);
  int64_t block_rows = problem.cluster.tiles.block_rows;
  int64_t blocks = (end - begin) / block_rows;
  int64_t rest = begin + blocks * block_rows;
  sum.Add(begin, block_rows, blocks);
  if (rest < end) sum.Add(rest, end - rest, 1);
  return Scaled(sum.time(), problem.heads);
}

PlacementCost Evaluate(const Problem& problem, const Placement& placement) {
  PlacementCost cost;
  cost.ranks.resize(problem.ranks);
  for (size_t d = 0; d < placement.documents.size(); ++d) {
    const Document& document = problem.documents[d];
    for (const Segment& segment : placement.documents[d]) {
      RankCost& rank = cost.ranks[segment.rank];
      ComputeTime time = SegmentTime(problem, document, segment.begin, segment.end);
      rank.tokens += segment.end - segment.begin;
      rank.pairs += CountPairs(document, segment.begin, segment.end);
      rank.segments += 1;
      rank.compute_forward_us += time.forward_us;
      rank.compute_backward_us += time.backward_us;
    }
  }
  std::vector<Traffic> traffic = ForwardTraffic(problem, placement);
  for (int rank = 0; rank < problem.ranks; ++rank) {
    AddTransfers(problem, traffic[rank], cost.ranks[rank]);
    cost.forward_us = std::max(cost.forward_us, cost.ranks[rank].ForwardUs());
    cost.backward_us = std::max(cost.backward_us, cost.ranks[rank].BackwardUs());
  }
  return cost;
}

double LowerBoundUs(const Problem& problem) {
  ComputeTime compute;
  for (const Document& document : problem.documents) {
    ComputeTime time = LeastTime(problem, document);
    compute.forward_us += time.forward_us;
    compute.backward_us += time.backward_us;
  }
  // Backward returns dK/dV besides, but perhaps to other ranks.
  double transfer_us =
      LeastReceivedRows(problem) * problem.KeyValueBytesPerToken() / ReceiveBandwidth(problem);
  return std::max(compute.forward_us / problem.ranks, transfer_us) +
         std::max(compute.backward_us / problem.ranks, transfer_us);
}

}  // namespace flashcp::solver
