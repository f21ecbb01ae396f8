// Adds up the cost of a placement.
//
// Idea of the compute times: a segment is cut in blocks of rows from its first query on; a row
// block pays for each block of keys that it touches, and for one if it sees no key. Key blocks lie
// at multiples of block_columns, so the key blocks that the i-th row block touches are differences
// of floor((a i + b) / m), and a sum over i takes O(log m), whatever the length of the segment.

#include "compiler/solver/cost_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "compiler/solver/traffic.h"

namespace flashcp::solver {
namespace {

// Sum of floor((slope * i + offset) / divisor) for i in [0, count), all arguments >= 0: Euclid's
// algorithm on the lattice points below a line (Graham, Knuth, Patashnik, Concrete Mathematics,
// 3.5). O(log divisor), and fast if slope and divisor are equal.
int64_t FloorSum(int64_t count, int64_t divisor, int64_t slope, int64_t offset) {
  int64_t sum = 0;
  if (slope == divisor) return count * (count - 1) / 2 + count * (offset / divisor);
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
    const int64_t length = document_.length;
    // Keys that the first block sees, some beyond the ends of the document; they move up from block
    // to block.
    const int64_t begin = first + document_.mask.band().lower;
    const int64_t end = first + rows + document_.mask.band().upper;
    const int64_t way = (count - 1) * rows_;
    if (begin + way <= 0 && end >= length) return AddEqual(BlocksUpTo(length), count);
    if (begin + way <= 0 && end > 0 && end + way <= length) return AddGrowing(end, count);
    const int64_t before = BlocksUntil(end, 0, count);  // these see no key yet
    const int64_t from_first = BlocksUntil(begin, 0, count);
    const int64_t inside = BlocksUntil(end, length, count);
    const int64_t seeing = BlocksUntil(begin, length - 1, count);
    const int64_t grown = std::min(from_first, inside);
    const int64_t moved = std::max(from_first, inside);
    AddEqual(1, before + count - seeing);
    AddGrowing(end + before * rows_, grown - before);
    if (inside < from_first) AddEqual(BlocksUpTo(length), moved - grown);
    if (inside > from_first) AddSliding(begin + grown * rows_, end + grown * rows_, moved - grown);
    AddShrinking(begin + moved * rows_, seeing - moved);
  }

  const ComputeTime& time() const { return time_; }

 private:
  int64_t BlocksUpTo(int64_t keys) const { return (keys + keys_ - 1) / keys_; }

  // Returns the number of `count` blocks for which key + i * block_rows is at most `last`.
  int64_t BlocksUntil(int64_t key, int64_t last, int64_t count) const {
    if (key > last) return 0;
    if (key + (count - 1) * rows_ <= last) return count;
    return (last - key) / rows_ + 1;
  }

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

  // Blocks that see keys [begin, length), [begin + block_rows, length), ...: taken from the last
  // one on, they grow.
  void AddShrinking(int64_t key_begin, int64_t count) {
    if (count <= 0) return;
    const int64_t last_begin = key_begin + (count - 1) * rows_;
    AddGrowing(BlocksUpTo(document_.length) * keys_ - last_begin, count);
  }

  // Blocks that see equally many keys each, so that the blocks they touch differ by one at most.
  void AddSliding(int64_t key_begin, int64_t key_end, int64_t count) {
    int64_t few = BlocksUpTo(key_end - key_begin);
    int64_t touched = FloorSum(count, keys_, rows_, key_end + keys_ - 1) -
                      FloorSum(count, keys_, rows_, key_begin);
    int64_t with_one_more = touched - count * few;
    AddEqual(few, count - with_one_more);
    AddEqual(few + 1, with_one_more);
  }

  // `count` row blocks against `blocks` key blocks each.
  void AddEqual(int64_t blocks, int64_t count) {
    if (count <= 0) return;
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

int64_t Size(TokenRange range) { return std::max<int64_t>(0, range.end - range.begin); }

// Returns how many queries see keys of other segments at least, if no segment has more tokens.
int64_t LeastMergingRows(const Document& document, int64_t token_cap) {
  const model::Band& band = document.mask.band();
  const int64_t length = document.length;
  if (length <= token_cap || band.lower > 0 || band.upper < 0) return 0;
  const bool all_before = -int64_t{band.lower} >= length - 1;
  const bool all_behind = band.upper >= length - 1;
  if (all_before && all_behind) return length;
  return all_before || all_behind ? length - token_cap : 0;  // one end of the document
}

void AddTransfers(const Problem& problem, const Traffic& traffic, RankCost& cost) {
  const int64_t row_bytes = problem.KeyValueBytesPerToken();
  const LinkTraffic& in_node = traffic.in_node;
  const LinkTraffic& between = traffic.between_nodes;
  auto bytes = [row_bytes](double rows) { return std::llround(rows * row_bytes); };
  cost.receive_bytes_forward = std::llround(in_node.received + between.received) * row_bytes;
  cost.send_bytes_forward = bytes(in_node.sent + between.sent);
  cost.receive_bytes_between_nodes = bytes(between.received);
  cost.send_bytes_between_nodes = bytes(between.sent);
  cost.receive_bytes_backward = cost.receive_bytes_forward + cost.send_bytes_forward;
  cost.send_bytes_backward = cost.receive_bytes_backward;
  cost.peers = in_node.sources + between.sources + in_node.destinations + between.destinations;
  TransferTime time = TransferModel(problem).Time(traffic);
  cost.transfer_forward_us = time.forward_us;
  cost.transfer_backward_us = time.backward_us;
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

}  // namespace

double RankCost::ForwardUs() const { return std::max(compute_forward_us, transfer_forward_us); }

double RankCost::BackwardUs() const { return std::max(compute_backward_us, transfer_backward_us); }

double PlacementCost::WorkImbalance() const { return Imbalance(ranks, &RankCost::pairs); }

double PlacementCost::TokenImbalance() const { return Imbalance(ranks, &RankCost::tokens); }

ComputeTime PrologueTime(const Problem& problem) {
  const TileTable& tiles = problem.cluster.tiles;
  auto first = [&](const std::vector<double>& us) {
    const double slope = (us[1] - us[0]) / (tiles.columns[1] - tiles.columns[0]);
    return std::max(0.0, us[0] - slope * tiles.columns[0]);
  };
  return Scaled({first(tiles.forward_us), first(tiles.backward_us)}, problem.heads);
}

ComputeTime MergeTime(const Problem& problem) {
  ComputeTime time = PrologueTime(problem);
  time.forward_us += Scaled({problem.cluster.tiles.merge_us, 0}, problem.heads).forward_us;
  return time;
}

ComputeTime TileTime(const Problem& problem, const Document& document, int64_t begin, int64_t end) {
  if (begin >= end) return {};
  TileSum sum(problem.cluster.tiles, document);
  int64_t block_rows = problem.cluster.tiles.block_rows;
  int64_t blocks = (end - begin) / block_rows;
  int64_t rest = begin + blocks * block_rows;
  sum.Add(begin, block_rows, blocks);
  if (rest < end) sum.Add(rest, end - rest, 1);
  return Scaled(sum.time(), problem.heads);
}

int64_t MergingRows(const Document& document, int64_t begin, int64_t end) {
  const model::Band& band = document.mask.band();
  TokenRange before, behind;
  if (begin > 0) {
    before = {std::max<int64_t>(begin, -int64_t{band.upper}), std::min(end, begin - band.lower)};
  }
  if (end < document.length) {
    behind = {std::max(begin, end - band.upper), std::min(end, document.length - band.lower)};
  }
  const TokenRange both = {std::max(before.begin, behind.begin), std::min(before.end, behind.end)};
  return Size(before) + Size(behind) - Size(both);
}

ComputeTime SegmentTime(const Problem& problem, const Document& document, int64_t begin,
                        int64_t end) {
  ComputeTime time = TileTime(problem, document, begin, end);
  const int64_t block_rows = problem.cluster.tiles.block_rows;
  const double merging = (MergingRows(document, begin, end) + block_rows - 1) / block_rows;
  if (merging == 0) return time;
  const ComputeTime merge = MergeTime(problem);
  time.forward_us += merging * merge.forward_us;
  time.backward_us += merging * merge.backward_us;
  return time;
}

SegmentTimer::SegmentTimer(const Problem& problem) : problem_(problem), merge_(MergeTime(problem)) {
  const TileTable& tiles = problem.cluster.tiles;
  const int block = tiles.block_columns;
  bool power_of_two = (block & (block - 1)) == 0;
  if (!power_of_two || tiles.block_rows != block || tiles.columns.size() != 2) return;
  shift_ = __builtin_ctz(block);
  const double steps = (tiles.columns[1] - tiles.columns[0]) / block;
  ComputeTime first = Scaled({tiles.forward_us[0], tiles.backward_us[0]}, problem.heads);
  ComputeTime second = Scaled({tiles.forward_us[1], tiles.backward_us[1]}, problem.heads);
  key_ = {(second.forward_us - first.forward_us) / steps,
          (second.backward_us - first.backward_us) / steps};
  row_ = {first.forward_us - key_.forward_us, first.backward_us - key_.backward_us};
}

// A row block of any segment has at most block_rows rows, so those that hold rows 0, block_rows,
// 2 block_rows, ... are all different, and each pays at least for the keys that this one row sees.
// For the same reason so many rows that merge are in that part of a block or more.
ComputeTime LeastTime(const Problem& problem, const Document& document, int64_t token_cap) {
  TileSum sum(problem.cluster.tiles, document);
  int64_t block_rows = problem.cluster.tiles.block_rows;
  sum.Add(0, 1, (document.length + block_rows - 1) / block_rows);
  ComputeTime time = Scaled(sum.time(), problem.heads);
  const double merging = static_cast<double>(LeastMergingRows(document, token_cap)) / block_rows;
  if (merging == 0) return time;
  const ComputeTime merge = MergeTime(problem);
  time.forward_us += merging * merge.forward_us;
  time.backward_us += merging * merge.backward_us;
  return time;
}

double ComputeStepUs(const Problem& problem, const Placement& placement) {
  const SegmentTimer timer(problem);
  std::vector<ComputeTime> ranks(problem.ranks);
  for (size_t d = 0; d < placement.documents.size(); ++d) {
    for (const Segment& segment : placement.documents[d]) {
      ComputeTime time = timer.Time(problem.documents[d], segment.begin, segment.end);
      ranks[segment.rank].forward_us += time.forward_us;
      ranks[segment.rank].backward_us += time.backward_us;
    }
  }
  ComputeTime slowest;
  for (const ComputeTime& rank : ranks) {
    slowest.forward_us = std::max(slowest.forward_us, rank.forward_us);
    slowest.backward_us = std::max(slowest.backward_us, rank.backward_us);
  }
  return slowest.forward_us + slowest.backward_us;
}

PlacementCost Evaluate(const Problem& problem, const Placement& placement) {
  PlacementCost cost;
  cost.ranks.resize(problem.ranks);
  const SegmentTimer timer(problem);
  for (size_t d = 0; d < placement.documents.size(); ++d) {
    const Document& document = problem.documents[d];
    for (const Segment& segment : placement.documents[d]) {
      RankCost& rank = cost.ranks[segment.rank];
      ComputeTime time = timer.Time(document, segment.begin, segment.end);
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

}  // namespace flashcp::solver
