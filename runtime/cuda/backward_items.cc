// Tiles that add to the same keys form a chain, whose blocks of keys are the items. Items that add
// to the same block of dQ take turns, in the order of chains and of their key blocks.
//
// Chains that share queries and a K/V head are one thread of items, whose order the turns fix.
// Threads do not wait for each other, so they are merged: next comes an item of the thread with the
// most work left. Long documents then start first, and items at work at one time are of many
// threads.

#include <algorithm>
#include <map>
#include <queue>
#include <tuple>
#include <utility>

#include "runtime/cuda/launch_items.h"
#include "runtime/cuda/tile_cuts.h"
#include "runtime/cuda/tile_fields.h"

namespace flashcp::gpu {
namespace {

// Rows of a buffer that begin here, for heads from this one on.
using RowsAndHead = std::tuple<uint32_t, uint32_t, int>;

RowsAndHead QueriesOf(const BackwardEntry& entry) {
  return {entry.query_gradient.buffer, entry.query_gradient.row, entry.head_begin};
}

bool SeesKeys(const BackwardEntry& entry) {
  return model::CountPairs(entry.band,
                           {entry.query_position, entry.query_position + entry.query_count},
                           {entry.key_position, entry.key_position + entry.key_count}) > 0;
}

// Returns the pieces of all entries that have a pair, in the order of the table.
std::vector<BackwardEntry> CutBackward(absl::Span<const BackwardEntry> entries) {
  const std::set<int> heads = HeadEnds(entries);
  RowCuts queries, keys;
  for (const BackwardEntry& entry : entries) {
    queries.Add(entry.query_gradient, entry.query_count);
    keys.Add(entry.key_gradient, entry.key_count);
  }
  std::vector<BackwardEntry> pieces;
  for (const BackwardEntry& entry : entries) {
    ForEachHeadPiece(entry, heads, [&](const BackwardEntry& of_heads) {
      queries.ForEachPiece(entry.query_gradient, entry.query_count, [&](int64_t b, int64_t e) {
        BackwardEntry of_queries = of_heads;
        CutQueries(b, e, &of_queries);
        keys.ForEachPiece(entry.key_gradient, entry.key_count, [&](int64_t begin, int64_t end) {
          BackwardEntry piece = of_queries;
          CutKeys(begin, end, &piece);
          if (SeesKeys(piece)) pieces.push_back(piece);
        });
      });
    });
  }
  return pieces;
}

// Tiles with the same keys and heads, but other queries.
using Chain = std::vector<BackwardEntry>;

// The chains of one launch. An item adds to its keys alone, and once to a block of dQ: tiles that
// would break this are for the next launch.
class ChainSet {
 public:
  explicit ChainSet(int group) : group_(group) {}

  // Returns whether the tile has been added.
  bool Add(const BackwardEntry& entry) {
    std::vector<size_t>& same_keys = by_keys_[{entry.key_gradient.buffer, entry.key_gradient.row}];
    for (size_t c : same_keys) {
      const BackwardEntry& other = chains_[c].front();
      if (other.head_begin == entry.head_begin) return Append(entry, &chains_[c]);
      if (SharesGroup(entry, other)) return false;
    }
    same_keys.push_back(chains_.size());
    chains_.push_back({entry});
    return true;
  }

  const std::vector<Chain>& chains() const { return chains_; }

 private:
  static bool Append(const BackwardEntry& entry, Chain* chain) {
    for (const BackwardEntry& other : *chain) {
      if (QueriesOf(other) == QueriesOf(entry)) return false;
    }
    chain->push_back(entry);
    return true;
  }

  bool SharesGroup(const BackwardEntry& a, const BackwardEntry& b) const {
    return a.head_begin / group_ <= (b.head_end - 1) / group_ &&
           b.head_begin / group_ <= (a.head_end - 1) / group_;
  }

  const int group_;
  std::vector<Chain> chains_;
  std::map<std::pair<uint32_t, uint32_t>, std::vector<size_t>> by_keys_;
};

// Numbers that are joined into sets; a set is known by its least.
class Sets {
 public:
  explicit Sets(size_t count) : parent_(count) {
    for (size_t i = 0; i < count; ++i) parent_[i] = i;
  }
  size_t Find(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void Join(size_t a, size_t b) {
    a = Find(a), b = Find(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> parent_;
};

// Items in the order in which they wait for each other.
struct Thread {
  std::vector<std::pair<int64_t, BackwardItem>> items;  // with their blocks of queries
  size_t next = 0;
  int64_t left = 0;  // blocks of the items from `next` on
};

// Merges threads; of those with the most work left the first one goes first.
std::vector<BackwardItem> MergeThreads(std::vector<Thread> threads) {
  std::priority_queue<std::pair<int64_t, int64_t>> waiting;  // work left, minus the number
  for (size_t i = 0; i < threads.size(); ++i) {
    for (const auto& item : threads[i].items) threads[i].left += item.first;
    if (!threads[i].items.empty()) waiting.push({threads[i].left, -static_cast<int64_t>(i)});
  }
  std::vector<BackwardItem> items;
  while (!waiting.empty()) {
    const int64_t number = waiting.top().second;
    waiting.pop();
    Thread& thread = threads[-number];
    items.push_back(thread.items[thread.next].second);
    thread.left -= thread.items[thread.next++].first;
    if (thread.next < thread.items.size()) waiting.push({thread.left, number});
  }
  return items;
}

class BackwardBuilder {
 public:
  BackwardBuilder(const KernelSpec& spec, const KernelInfo& kernel, TensorMaps* maps)
      : spec_(spec), blocks_(spec, kernel), maps_(maps) {}

  BackwardWork Build(const std::vector<Chain>& chains) {
    Sets sets(chains.size());
    std::map<RowsAndHead, size_t> first_chain;  // by queries
    for (size_t c = 0; c < chains.size(); ++c) {
      for (const BackwardEntry& entry : chains[c]) {
        sets.Join(first_chain.insert({QueriesOf(entry), c}).first->second, c);
      }
    }
    std::map<std::pair<size_t, int>, size_t> numbers;  // of threads, by set and K/V head
    std::vector<Thread> threads;
    for (size_t c = 0; c < chains.size(); ++c) {
      const uint32_t begin = work_.tiles.size();
      for (const BackwardEntry& entry : chains[c]) AddTile(entry);
      ForEachGroup(chains[c].front(), blocks_.group, [&](int head_begin, int head_end) {
        const auto key = std::pair(sets.Find(c), head_begin / blocks_.group);
        const size_t number = numbers.insert({key, threads.size()}).first->second;
        if (number == threads.size()) threads.emplace_back();
        AddItems(begin, head_begin, head_end, &threads[number]);
      });
    }
    CountTurns();
    work_.items = MergeThreads(std::move(threads));
    return std::move(work_);
  }

 private:
  // How often items add to each block of some queries.
  struct QueryTurns {
    uint32_t first_counter;
    std::vector<uint32_t> counts;
  };

  void AddTile(const BackwardEntry& entry) {
    BackwardTile tile = {};
    SetTile(spec_, blocks_, entry, maps_, &tile);
    if (maps_ != nullptr) {
      tile.output_gradient_map = QueryMap(spec_, blocks_, entry.output_gradient, entry.query_count,
                                          spec_.value_dim, maps_);
    }
    tile.output_gradient = DeviceRow(entry.output_gradient);
    tile.lse = DeviceRow(entry.lse);
    tile.delta = DeviceRow(entry.delta);
    tile.query_gradient = DeviceRow(entry.query_gradient);
    tile.key_gradient = DeviceRow(entry.key_gradient);
    tile.value_gradient = DeviceRow(entry.value_gradient);
    TakeTurns(entry, &tile);
    work_.tiles.push_back(tile);
    queries_.push_back(QueriesOf(entry));
  }

  void TakeTurns(const BackwardEntry& entry, BackwardTile* tile) {
    const int64_t num_blocks = blocks_.QueryBlocks(entry.query_count);
    auto [found, is_new] = turns_.try_emplace(QueriesOf(entry));
    QueryTurns& turns = found->second;
    if (is_new) {
      turns = {work_.counters, std::vector<uint32_t>(num_blocks)};
      work_.counters += num_blocks * spec_.key_value_heads;
    }
    tile->first_counter = turns.first_counter;
    tile->first_turn = work_.turns.size();
    blocks_.ForEachQueryBlock(entry.query_count, [&](int64_t block, int64_t first, int64_t last) {
      work_.turns.push_back({turns.counts[block], 0});
      turns.counts[block] += KeyBlocksSeen(*tile, first, last, blocks_.keys).size();
    });
  }

  // Writes how many items add to each block, once all tiles are known.
  void CountTurns() {
    for (size_t t = 0; t < work_.tiles.size(); ++t) {
      const std::vector<uint32_t>& counts = turns_.at(queries_[t]).counts;
      for (size_t block = 0; block < counts.size(); ++block) {
        work_.turns[work_.tiles[t].first_turn + block].count = counts[block];
      }
    }
  }

  // Adds the items of the chain that begins at a tile and ends with the last one, but for blocks of
  // keys that nobody sees.
  void AddItems(uint32_t begin, int head_begin, int head_end, Thread* thread) const {
    const uint32_t end = work_.tiles.size();
    std::vector<int64_t> query_blocks(blocks_.KeyBlocks(work_.tiles[begin].key_count));
    for (uint32_t t = begin; t < end; ++t) {
      const BackwardTile& tile = work_.tiles[t];
      blocks_.ForEachQueryBlock(tile.query_count, [&](int64_t, int64_t first, int64_t last) {
        const BlockRange seen = KeyBlocksSeen(tile, first, last, blocks_.keys);
        for (int64_t key = seen.begin; key < seen.end; ++key) ++query_blocks[key];
      });
    }
    for (size_t key = 0; key < query_blocks.size(); ++key) {
      if (query_blocks[key] == 0) continue;
      thread->items.push_back(
          {query_blocks[key],
           {begin, end, static_cast<uint32_t>(key * blocks_.keys),
            static_cast<uint16_t>(head_begin), static_cast<uint16_t>(head_end)}});
    }
  }

  const KernelSpec spec_;
  const BlockShape blocks_;
  TensorMaps* const maps_;
  BackwardWork work_ = {};
  std::map<RowsAndHead, QueryTurns> turns_;
  std::vector<RowsAndHead> queries_;  // of each tile
};

}  // namespace

std::vector<BackwardWork> BuildBackward(const KernelSpec& spec, const KernelInfo& kernel,
                                        absl::Span<const BackwardEntry> entries, TensorMaps* maps) {
  const int group = spec.query_heads / spec.key_value_heads;
  std::vector<ChainSet> launches;
  for (const BackwardEntry& piece : CutBackward(entries)) {
    size_t launch = 0;
    while (launch < launches.size() && !launches[launch].Add(piece)) ++launch;
    if (launch < launches.size()) continue;
    launches.emplace_back(group);
    launches.back().Add(piece);
  }
  std::vector<BackwardWork> works;
  for (const ChainSet& launch : launches) {
    works.push_back(BackwardBuilder(spec, kernel, maps).Build(launch.chains()));
  }
  return works;
}

}  // namespace flashcp::gpu
