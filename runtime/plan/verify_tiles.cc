// Decides whether the tiles of one rank read what they claim, in time, and whether their results
// add up in the right rows.

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/plan/verify_bands.h"
#include "runtime/plan/verify_rules.h"
#include "support/status_macros.h"

namespace flashcp::verifier {
namespace {

std::string NameOf(const RankView& rank, size_t tile) {
  return absl::StrCat("rank ", rank.rank, ", tile ", tile);
}

PositionRange QueriesOf(const fbs::Tile& tile) {
  return {tile.query_position(), uint64_t{tile.query_position()} + tile.query_count()};
}

PositionRange KeysOf(const fbs::Tile& tile) {
  return {tile.key_position(), uint64_t{tile.key_position()} + tile.key_count()};
}

// Groups of K/V heads that a tile reads.
std::pair<uint32_t, uint32_t> KeyStrips(const PlanView& view, const HeadStrips& strips,
                                        const fbs::Tile& tile) {
  return strips.Range(tile.head_begin() / view.QueriesPerKey(),
                      (tile.head_end() - 1) / view.QueriesPerKey() + 1);
}

bool HasKind(const RankView& rank, uint32_t buffer, fbs::BufferKind kind) {
  return buffer < rank.buffers.size() && rank.buffers[buffer].kind() == kind;
}

bool UsesAccumulator(const fbs::Tile& tile) { return !(tile.first() && tile.last()); }

// P15, the heads: whole groups that share a K/V head, or some of one group.
bool HeadsAreAllowed(const PlanView& view, const fbs::Tile& tile) {
  if (tile.head_begin() >= tile.head_end() || tile.head_end() > view.group.query()) return false;
  uint32_t group = view.QueriesPerKey();
  bool whole = tile.head_begin() % group == 0 && tile.head_end() % group == 0;
  return whole || tile.head_begin() / group == (tile.head_end() - 1) / group;
}

// P15, the buffers.
bool BuffersAreAllowed(const RankView& rank, const fbs::Tile& tile) {
  using Kind = fbs::BufferKind;
  if (!HasKind(rank, tile.query_buffer(), Kind::query) ||
      !HasKind(rank, tile.output_buffer(), Kind::output) ||
      !HasKind(rank, tile.lse_buffer(), Kind::lse)) {
    return false;
  }
  bool key = HasKind(rank, tile.key_buffer(), Kind::key) ||
             HasKind(rank, tile.key_buffer(), Kind::remote_key) ||
             HasKind(rank, tile.key_buffer(), Kind::saved_key);
  bool value = HasKind(rank, tile.value_buffer(), Kind::value) ||
               HasKind(rank, tile.value_buffer(), Kind::remote_value) ||
               HasKind(rank, tile.value_buffer(), Kind::saved_value);
  if (!key || !value || !UsesAccumulator(tile)) return key && value;
  return HasKind(rank, tile.accumulator_buffer(), Kind::accumulator) &&
         uint64_t{tile.accumulator_row()} + tile.query_count() <=
             rank.buffers[tile.accumulator_buffer()].rows();
}

// P15, the tokens: queries that see keys, or queries without any, whose results are written all the
// same.
bool TokensAreAllowed(const fbs::Document& document, PositionRange queries, PositionRange keys) {
  if (queries.begin >= queries.end || keys.begin >= keys.end) return false;
  if (queries.end > document.length() || keys.end > document.length()) return false;
  return CountPairs(document.band(), queries, keys) > 0 ||
         CountPairs(document.band(), queries, {0, document.length()}) == 0;
}

absl::Status CheckTile(const PlanView& view, const RankView& rank, size_t index) {
  const fbs::Tile& tile = rank.tiles[index];
  if (tile.document() >= view.documents.size()) {
    return Broken("P15", NameOf(rank, index), ": one of ", view.documents.size(),
                  " documents expected, ", tile.document(), " found");
  }
  const fbs::Document& document = view.documents[tile.document()];
  PositionRange queries = QueriesOf(tile);
  PositionRange keys = KeysOf(tile);
  if (!TokensAreAllowed(document, queries, keys)) {
    return Broken("P15", NameOf(rank, index), ": queries that see some of these keys, or no key, ",
                  "of document ", tile.document(), " of ", document.length(),
                  " tokens expected, queries [", queries.begin, ", ", queries.end, ") and keys [",
                  keys.begin, ", ", keys.end, ") found");
  }
  if (!ShowTheSame(document.band(), tile.band(), queries, keys)) {
    return Broken("P33", NameOf(rank, index), ": the pairs of document ", tile.document(),
                  "'s band, ", document.band().lower(), " to ", document.band().upper(),
                  ", expected, band ", tile.band().lower(), " to ", tile.band().upper(), " found");
  }
  if (!HeadsAreAllowed(view, tile)) {
    return Broken("P15", NameOf(rank, index), ": whole groups of ", view.QueriesPerKey(), " of ",
                  view.group.query(), " query heads, or part of one group, expected, [",
                  tile.head_begin(), ", ", tile.head_end(), ") found");
  }
  if (!BuffersAreAllowed(rank, tile)) {
    return Broken("P15", NameOf(rank, index),
                  ": query, key, value, output, lse and accumulator buffers of these kinds, with ",
                  "its accumulator rows, expected, buffers ", tile.query_buffer(), ", ",
                  tile.key_buffer(), ", ", tile.value_buffer(), ", ", tile.output_buffer(), ", ",
                  tile.lse_buffer(), " and ", tile.accumulator_buffer(), " found");
  }
  return absl::OkStatus();
}

// The run of rows that holds all these tokens, or null.
const RowRun* FindTokens(const RowMap& rows, uint32_t row, uint32_t document, PositionRange range) {
  size_t cursor = 0;
  const RowRun* run = rows.Find(row, &cursor);
  if (run == nullptr || run->document != document) return nullptr;
  bool holds = run->position + uint64_t{row - run->row} == range.begin &&
               row + (range.end - range.begin) <= run->end();
  return holds ? run : nullptr;
}

// P17 and P18 for one buffer of keys or values of a tile of instruction `attend`.
absl::Status CheckKeyRows(const PlanView& view, const RankView& rank, const Traffic& traffic,
                          const RemoteRows& remote, uint32_t attend, size_t index,
                          uint32_t buffer) {
  const fbs::Tile& tile = rank.tiles[index];
  bool local = remote[buffer].empty();
  auto [first, last] = KeyStrips(view, traffic.strips, tile);
  for (uint32_t strip = first; strip < last; ++strip) {
    const RowMap& rows = local ? traffic.caller_rows[rank.rank] : remote[buffer][strip];
    const RowRun* run = FindTokens(rows, tile.key_row(), tile.document(), KeysOf(tile));
    if (run == nullptr) {
      return Broken("P17", NameOf(rank, index), ": tokens [", KeysOf(tile).begin, ", ",
                    KeysOf(tile).end, ") of document ", tile.document(), " expected from row ",
                    tile.key_row(), " of buffer ", buffer, " on, from exchanges of one stage ",
                    "that the same attend is the first to wait for");
    }
    if (local) return absl::OkStatus();
    const Arrival& arrival = traffic.arrivals[rank.rank][run->exchange];
    uint32_t stage = rank.instructions[attend].stage();
    uint32_t exchange_stage = rank.instructions[run->exchange].stage();
    if (arrival.first[static_cast<int>(fbs::Stream::compute)] > attend || exchange_stage > stage) {
      return Broken("P18", NameOf(rank, index), ": reads buffer ", buffer, " in stage ", stage,
                    ", without waiting for instruction ", run->exchange, " of stage ",
                    exchange_stage);
    }
  }
  return absl::OkStatus();
}

// The partial results of the query rows of one rank and strip of heads. Tiles run in the order of
// their table; each row sees `first`, any number of tiles between, `last`. Neighbouring rows in
// the same state are one piece, so that a tile costs O(log S) on average.
class Results {
 public:
  explicit Results(uint64_t rows) : rows_(rows) { pieces_[0] = {}; }

  // P20 for one tile: null, or what is wrong.
  const char* Apply(const fbs::Tile& tile) {
    auto begin = Split(tile.query_row());
    auto end = Split(uint64_t{tile.query_row()} + tile.query_count());
    Piece expected = {tile.first() ? State::kNone : State::kPartial, 0, 0};
    if (!tile.first()) expected.accumulator = tile.accumulator_buffer();
    for (auto piece = begin; piece != end; ++piece) {
      if (!tile.first()) {
        expected.row = tile.accumulator_row() + (piece->first - tile.query_row());
      }
      if (piece->second.state != expected.state) return Explain(piece->second.state, tile.first());
      if (!(piece->second == expected)) return "does not continue where the partial result is";
    }
    begin->second = After(tile);
    pieces_.erase(std::next(begin), end);
    return nullptr;
  }

  // The first row without a final result; the number of rows where all have one.
  uint64_t FirstUnfinished() const {
    for (const auto& [row, piece] : pieces_) {
      if (piece.state != State::kDone) return std::min(row, rows_);
    }
    return rows_;
  }

 private:
  enum class State { kNone, kPartial, kDone };
  struct Piece {
    State state = State::kNone;
    uint32_t accumulator = 0;  // buffer and row of the first query row, while partial
    uint64_t row = 0;

    bool operator==(const Piece& other) const {
      return std::tie(state, accumulator, row) ==
             std::tie(other.state, other.accumulator, other.row);
    }
  };

  static const char* Explain(State state, bool first) {
    if (state == State::kDone) return "comes after the last tile of a row";
    return first ? "is marked first, but a row has a partial result"
                 : "is not marked first, but a row has no partial result";
  }

  static Piece After(const fbs::Tile& tile) {
    if (tile.last()) return {State::kDone, 0, 0};
    return {State::kPartial, tile.accumulator_buffer(), tile.accumulator_row()};
  }

  // The piece that begins at `row`, cut off the one before it if need be.
  std::map<uint64_t, Piece>::iterator Split(uint64_t row) {
    if (row >= rows_) return pieces_.end();
    auto piece = std::prev(pieces_.upper_bound(row));
    if (piece->first == row) return piece;
    Piece tail = piece->second;
    if (tail.state == State::kPartial) tail.row += row - piece->first;
    return pieces_.emplace_hint(std::next(piece), row, tail);
  }

  const uint64_t rows_;
  std::map<uint64_t, Piece> pieces_;  // by first row
};

// P21: rows of accumulators that chains of tiles begin to use; each row once for each strip of
// heads.
absl::Status CheckAccumulators(const RankView& rank, const HeadStrips& strips) {
  // Buffer, strip, row, number of rows.
  std::vector<std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>> claims;
  for (const fbs::Tile& tile : rank.tiles) {
    if (!tile.first() || tile.last()) continue;
    auto [first, last] = strips.Range(tile.head_begin(), tile.head_end());
    for (uint32_t strip = first; strip < last; ++strip) {
      claims.emplace_back(tile.accumulator_buffer(), strip, tile.accumulator_row(),
                          tile.query_count());
    }
  }
  std::sort(claims.begin(), claims.end());
  for (size_t i = 1; i < claims.size(); ++i) {
    auto [buffer_before, strip_before, begin, count] = claims[i - 1];
    auto [buffer, strip, row, unused] = claims[i];
    if (buffer == buffer_before && strip == strip_before && row < uint64_t{begin} + count) {
      return Broken("P21", "rank ", rank.rank, ": row ", row, " of buffer ", buffer,
                    " accumulates more than one query row");
    }
  }
  return absl::OkStatus();
}

// Rows of a remote buffer that tiles use, of one strip of heads: [first, second).
using RowRanges = std::vector<std::pair<uint64_t, uint64_t>>;

// The first row of `rows` that is in none of `used`, or -1. Sorts `used`.
int64_t FirstUnused(const RowMap& rows, RowRanges* used) {
  std::sort(used->begin(), used->end());
  size_t next = 0;
  uint64_t used_end = 0;  // all rows of this run below it are used
  for (const RowRun& run : rows.runs()) {
    used_end = std::max<uint64_t>(used_end, run.row);
    while (next < used->size() && (*used)[next].first <= used_end) {
      used_end = std::max(used_end, (*used)[next++].second);
    }
    if (used_end < run.end()) return used_end;
  }
  return -1;
}

}  // namespace

absl::Status CheckReads(const PlanView& view, const Traffic& traffic, const RemoteRows& remote,
                        uint32_t rank_index) {
  const RankView& rank = view.ranks[rank_index];
  const RowMap& caller_rows = traffic.caller_rows[rank_index];
  for (uint32_t i = 0; i < rank.instructions.size(); ++i) {
    const fbs::Instruction& instruction = rank.instructions[i];
    if (instruction.opcode() != fbs::Opcode::attend) continue;
    for (uint32_t t = instruction.begin(); t < instruction.end(); ++t) {
      const fbs::Tile& tile = rank.tiles[t];
      RETURN_IF_ERROR(CheckTile(view, rank, t));
      if (FindTokens(caller_rows, tile.query_row(), tile.document(), QueriesOf(tile)) == nullptr) {
        return Broken("P16", NameOf(rank, t), ": queries [", QueriesOf(tile).begin, ", ",
                      QueriesOf(tile).end, ") of document ", tile.document(), " expected from row ",
                      tile.query_row(), " on");
      }
      for (uint32_t buffer : {tile.key_buffer(), tile.value_buffer()}) {
        RETURN_IF_ERROR(CheckKeyRows(view, rank, traffic, remote, i, t, buffer));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNeeded(const PlanView& view, const HeadStrips& strips, const RemoteRows& remote,
                         uint32_t rank_index) {
  if (view.plan.exchange() == fbs::Exchange::all_gather) return absl::OkStatus();
  const RankView& rank = view.ranks[rank_index];
  std::vector<std::vector<RowRanges>> used(rank.buffers.size());
  for (size_t b = 0; b < used.size(); ++b) used[b].resize(remote[b].size());
  for (const fbs::Tile& tile : rank.tiles) {
    PositionRange keys = KeysOf(tile);
    PositionRange seen = KeysSeen(tile.band(), QueriesOf(tile), keys);
    uint64_t begin = tile.key_row() + (seen.begin - keys.begin);
    uint64_t end = tile.key_row() + (seen.end - keys.begin);
    auto [first, last] = KeyStrips(view, strips, tile);
    for (uint32_t buffer : {tile.key_buffer(), tile.value_buffer()}) {
      if (remote[buffer].empty()) continue;
      for (uint32_t strip = first; strip < last; ++strip)
        used[buffer][strip].push_back({begin, end});
    }
  }
  for (size_t b = 0; b < used.size(); ++b) {
    for (uint32_t strip = 0; strip < used[b].size(); ++strip) {
      int64_t row = FirstUnused(remote[b][strip], &used[b][strip]);
      if (row >= 0) {
        return Broken("P19", "rank ", rank.rank, ": row ", row, " of buffer ", b,
                      " is received, but no query sees it");
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckResults(const PlanView& view, uint32_t rank_index) {
  const RankView& rank = view.ranks[rank_index];
  HeadStrips strips(view.group.query());
  for (const fbs::Tile& tile : rank.tiles) strips.Add(tile.head_begin(), tile.head_end());
  strips.Finish();
  uint64_t rows = 0;
  for (const fbs::TokenRange& range : rank.layout) rows += range.end() - range.begin();
  std::vector<Results> results(strips.size(), Results(rows));
  for (size_t i = 0; i < rank.tiles.size(); ++i) {
    auto [first, last] = strips.Range(rank.tiles[i].head_begin(), rank.tiles[i].head_end());
    for (uint32_t strip = first; strip < last; ++strip) {
      const char* problem = results[strip].Apply(rank.tiles[i]);
      if (problem != nullptr) return Broken("P20", NameOf(rank, i), " ", problem);
    }
  }
  for (const Results& result : results) {
    uint64_t row = result.FirstUnfinished();
    if (row < rows) {
      return Broken("P20", "rank ", rank.rank, ": no last tile for query row ", row);
    }
  }
  return CheckAccumulators(rank, strips);
}

}  // namespace flashcp::verifier
