#include "tests/testing/toy_plan.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "flatbuffers/flatbuffers.h"

namespace flashcp::testing {
namespace {

// Indices of the caller's tensors in the buffer table of every rank.
enum CallerBuffer : uint16_t { kQuery, kKey, kValue, kOutput, kLse, kFirstRemote };

// Tokens [begin, end) of a document that lie in rows [row, row + end - begin) of a buffer.
struct Run {
  uint32_t document;
  uint32_t begin;
  uint32_t end;
  uint32_t row;

  uint32_t count() const { return end - begin; }
};

// Keys that queries [begin, end) of a document see: [first, second).
std::pair<uint32_t, uint32_t> KeysSeen(const ToyDocument& document, uint32_t begin, uint32_t end) {
  if (document.mask == fbs::MaskKind::full) return {0, document.length};
  if (document.mask == fbs::MaskKind::causal || begin + 1 < document.window) return {0, end};
  return {begin + 1 - document.window, end};
}

std::vector<ToySegment> SegmentsOf(const ToyDocument& document, int rank) {
  std::vector<ToySegment> segments;
  for (const ToySegment& segment : document.segments) {
    if (segment.rank == rank && segment.begin < segment.end) segments.push_back(segment);
  }
  return segments;
}

// The rows that a rank owns, in document order.
std::vector<Run> LayoutOf(const ToyProblem& problem, int rank) {
  std::vector<Run> layout;
  uint32_t row = 0;
  for (uint32_t d = 0; d < problem.documents.size(); ++d) {
    for (const ToySegment& segment : SegmentsOf(problem.documents[d], rank)) {
      layout.push_back({d, segment.begin, segment.end, row});
      row += segment.end - segment.begin;
    }
  }
  return layout;
}

// Whether a query of these segments, all of one document, sees the key at `position`.
bool IsSeen(const ToyDocument& document, const std::vector<ToySegment>& queries,
            uint32_t position) {
  for (const ToySegment& segment : queries) {
    auto [first, last] = KeysSeen(document, segment.begin, segment.end);
    if (first <= position && position < last) return true;
  }
  return false;
}

// Appends one token, to the run before it where it continues that one.
void AddToken(uint32_t document, uint32_t position, uint32_t row, std::vector<Run>* runs) {
  bool continues = !runs->empty() && runs->back().document == document &&
                   runs->back().end == position && runs->back().row + runs->back().count() == row;
  if (continues) {
    ++runs->back().end;
  } else {
    runs->push_back({document, position, position + 1, row});
  }
}

// Whether `rank` receives a token that it does not own.
bool IsReceived(const ToyProblem& problem, uint32_t document, uint32_t position, int rank) {
  const ToyDocument& d = problem.documents[document];
  return problem.exchange == fbs::Exchange::all_gather || IsSeen(d, SegmentsOf(d, rank), position);
}

// The rank that sends a token of `owner` to `rank`: a relay takes turns every two positions.
int SenderOf(const ToyProblem& problem, uint32_t document, uint32_t position, int owner, int rank) {
  const int node = rank / problem.ranks_per_node;
  if (problem.ranks_per_node == 1 || owner / problem.ranks_per_node == node) return owner;
  std::vector<int> receivers;
  for (int r = node * problem.ranks_per_node; r < problem.ranks; ++r) {
    if (r / problem.ranks_per_node != node) break;
    if (IsReceived(problem, document, position, r)) receivers.push_back(r);
  }
  int relay = receivers[position / 2 % receivers.size()];
  return relay == rank ? owner : relay;
}

// The tokens that `rank` receives from their owner, or forwarded by another rank, in the given
// stage, by document, owner and position. Rows are those of the owner.
struct Arrived {
  int sender;
  int owner;
  uint32_t document;
  uint32_t position;
  uint32_t owner_row;
};
std::vector<Arrived> TokensReceived(const ToyProblem& problem, int rank, int stage) {
  std::vector<Arrived> tokens;
  for (int owner = 0; owner < problem.ranks; ++owner) {
    if (owner == rank) continue;
    for (const Run& keys : LayoutOf(problem, owner)) {
      if (1 + (keys.document + owner) % problem.remote_stages != stage) continue;
      for (uint32_t position = keys.begin; position < keys.end; ++position) {
        if (!IsReceived(problem, keys.document, position, rank)) continue;
        int sender = SenderOf(problem, keys.document, position, owner, rank);
        tokens.push_back(
            {sender, owner, keys.document, position, keys.row + (position - keys.begin)});
      }
    }
  }
  return tokens;
}

// The rows of the remote buffers of a rank and stage: all that it receives, in document order.
std::vector<Run> RemoteRowsOf(const ToyProblem& problem, int rank, int stage) {
  std::vector<Arrived> tokens = TokensReceived(problem, rank, stage);
  std::sort(tokens.begin(), tokens.end(), [](const Arrived& a, const Arrived& b) {
    return std::pair(a.document, a.position) < std::pair(b.document, b.position);
  });
  std::vector<Run> runs;
  for (uint32_t row = 0; row < tokens.size(); ++row) {
    AddToken(tokens[row].document, tokens[row].position, row, &runs);
  }
  return runs;
}

// The row of a token among `rows`, which hold it.
uint32_t FindRow(const std::vector<Run>& rows, uint32_t document, uint32_t position) {
  for (const Run& run : rows) {
    if (run.document == document && run.begin <= position && position < run.end) {
      return run.row + (position - run.begin);
    }
  }
  return 0;
}

// Builds the plan of one rank.
class RankBuilder {
 public:
  RankBuilder(const ToyProblem& problem, int rank)
      : problem_(problem), rank_(rank), layout_(LayoutOf(problem, rank)) {
    plan_->forward = std::make_unique<fbs::ProgramT>();
  }

  std::unique_ptr<fbs::RankPlanT> Build() {
    for (const Run& run : layout_) {
      plan_->layout.push_back(fbs::TokenRange(run.document, run.begin, run.end));
    }
    AddCallerBuffers();
    keys_by_stage_.push_back(layout_);
    for (int stage = 1; stage <= problem_.remote_stages; ++stage) AddExchange(stage);
    AddTiles();
    return std::move(plan_);
  }

 private:
  fbs::ProgramT& program() { return *plan_->forward; }

  void AddBuffer(fbs::BufferKind kind, fbs::DType dtype, uint32_t rows, int heads, int dim,
                 bool in_workspace) {
    uint64_t offset = 0;
    if (in_workspace) {
      offset = (plan_->workspace_bytes + 63) / 64 * 64;
      plan_->workspace_bytes = offset + uint64_t{rows} * heads * dim * DTypeBytes(dtype);
    }
    plan_->buffers.push_back(fbs::Buffer(offset, rows, heads, dim, kind, dtype));
  }

  void AddCallerBuffers() {
    uint32_t rows = layout_.empty() ? 0 : layout_.back().row + layout_.back().count();
    const auto& p = problem_;
    AddBuffer(fbs::BufferKind::query, p.dtype, rows, p.query_heads, p.dim, false);
    AddBuffer(fbs::BufferKind::key, p.dtype, rows, p.key_value_heads, p.dim, false);
    AddBuffer(fbs::BufferKind::value, p.dtype, rows, p.key_value_heads, p.dim, false);
    AddBuffer(fbs::BufferKind::output, p.dtype, rows, p.query_heads, p.dim, false);
    AddBuffer(fbs::BufferKind::lse, fbs::DType::f32, rows, p.query_heads, 1, false);
  }

  // The buffers of one stage, and the messages that fill them: from owners, then from relays.
  void AddExchange(int stage) {
    std::vector<Run> received = RemoteRowsOf(problem_, rank_, stage);
    uint32_t rows = received.empty() ? 0 : received.back().row + received.back().count();
    for (fbs::BufferKind kind : {fbs::BufferKind::remote_key, fbs::BufferKind::remote_value}) {
      AddBuffer(kind, problem_.dtype, rows, problem_.key_value_heads, problem_.dim, true);
    }
    keys_by_stage_.push_back(std::move(received));
    AddMessages(stage, /*forwarded=*/false);
    if (problem_.ranks_per_node > 1) AddMessages(stage, /*forwarded=*/true);
  }

  // What owners send, or what relays forward.
  void AddMessages(int stage, bool forwarded) {
    const uint32_t remote = kFirstRemote + 2 * (stage - 1);
    uint32_t begin = program().messages.size();
    std::vector<Arrived> mine = TokensReceived(problem_, rank_, stage);
    for (int peer = 0; peer < problem_.ranks; ++peer) {
      if (peer == rank_) continue;
      std::vector<Run> sent;
      for (const Arrived& token : TokensReceived(problem_, peer, stage)) {
        if (token.sender != rank_ || forwarded == (token.owner == rank_)) continue;
        uint32_t row = forwarded ? FindRow(keys_by_stage_[stage], token.document, token.position)
                                 : token.owner_row;
        AddToken(token.document, token.position, row, &sent);
      }
      AddMessage(fbs::Direction::send, peer, forwarded ? remote : kKey, sent);
      std::vector<Run> received;
      for (const Arrived& token : mine) {
        if (token.sender != peer || forwarded == (token.owner == peer)) continue;
        AddToken(token.document, token.position,
                 FindRow(keys_by_stage_[stage], token.document, token.position), &received);
      }
      AddMessage(fbs::Direction::receive, peer, remote, received);
    }
    exchanges_.push_back({begin, static_cast<uint32_t>(program().messages.size()), stage});
  }

  // K rows, then V rows, of the same slices; `buffer` is that of K, V is the next one.
  void AddMessage(fbs::Direction direction, int peer, uint32_t buffer,
                  const std::vector<Run>& runs) {
    if (runs.empty()) return;
    uint32_t slice_begin = program().slices.size();
    uint64_t rows = 0;
    for (const Run& run : runs) {
      program().slices.push_back(fbs::Slice(run.row, run.count()));
      rows += run.count();
    }
    uint32_t slice_end = program().slices.size();
    uint32_t part = program().parts.size();
    for (uint32_t b : {buffer, buffer + 1}) {
      program().parts.push_back(fbs::Part(b, 0, problem_.key_value_heads, slice_begin, slice_end));
    }
    uint64_t bytes =
        2 * rows * problem_.key_value_heads * problem_.dim * DTypeBytes(problem_.dtype);
    uint32_t tag = tags_[{direction, peer}]++;
    program().messages.push_back(fbs::Message(bytes, peer, tag, part, part + 2, direction));
  }

  // For each stage and each own segment of queries, one tile for each run of keys it sees.
  void AddTiles() {
    std::map<std::pair<int, uint32_t>, std::vector<fbs::Tile>> tiles;  // by stage and query row
    for (int stage = 0; stage <= problem_.remote_stages; ++stage) {
      for (const Run& query : layout_) {
        for (const Run& keys : keys_by_stage_[stage]) AddTile(stage, query, keys, &tiles);
      }
    }
    MarkFirstAndLast(&tiles);
    if (tiles.empty() && program().messages.empty()) return;
    for (int stage = 0; stage <= problem_.remote_stages; ++stage) {
      uint32_t wait = AddExchangeInstructions(stage);
      uint32_t begin = program().tiles.size();
      for (const Run& query : layout_) {
        for (const fbs::Tile& tile : tiles[{stage, query.row}]) program().tiles.push_back(tile);
      }
      program().instructions.push_back(fbs::Instruction(begin, program().tiles.size(), wait,
                                                        program().waits.size(), stage,
                                                        fbs::Opcode::attend, fbs::Stream::compute));
    }
  }

  // Each exchange of a stage waits for the one before; returns the first wait of its attend, which
  // waits for the last one.
  uint32_t AddExchangeInstructions(int stage) {
    uint32_t wait = program().waits.size();
    for (const Exchange& exchange : exchanges_) {
      if (exchange.stage != stage) continue;
      uint32_t first_wait = wait;
      wait = program().waits.size();
      program().instructions.push_back(fbs::Instruction(exchange.begin, exchange.end, first_wait,
                                                        wait, stage, fbs::Opcode::exchange,
                                                        fbs::Stream::communication));
      program().waits.push_back(program().instructions.size() - 1);
    }
    return wait;
  }

  // Adds the tile of `query` against the keys of a run that it sees, if it sees any; a run that
  // continues the one before it, in position and row, extends that one's tile.
  void AddTile(int stage, const Run& query, const Run& keys,
               std::map<std::pair<int, uint32_t>, std::vector<fbs::Tile>>* tiles) {
    if (query.document != keys.document) return;
    auto [first, last] = KeysSeen(problem_.documents[query.document], query.begin, query.end);
    uint32_t begin = std::max(first, keys.begin);
    uint32_t end = std::min(last, keys.end);
    if (begin >= end) return;
    uint32_t row = keys.row + (begin - keys.begin);
    std::vector<fbs::Tile>& mine = (*tiles)[{stage, query.row}];
    if (!mine.empty() && mine.back().key_position() + mine.back().key_count() == begin &&
        mine.back().key_row() + mine.back().key_count() == row) {
      mine.back().mutate_key_count(mine.back().key_count() + (end - begin));
      return;
    }
    uint16_t key_buffer = stage == 0 ? kKey : kFirstRemote + 2 * (stage - 1);
    mine.push_back(fbs::Tile(query.document, query.begin, query.count(), begin, end - begin,
                             query.row, row, 0, 0, problem_.query_heads, kQuery, key_buffer,
                             key_buffer + 1, kOutput, kLse, 0, false, false));
  }

  // A segment with more than one tile keeps its partial result in rows of the accumulator.
  void MarkFirstAndLast(std::map<std::pair<int, uint32_t>, std::vector<fbs::Tile>>* tiles) {
    uint32_t accumulator_rows = 0;
    uint16_t accumulator = plan_->buffers.size();
    for (const Run& query : layout_) {
      std::vector<fbs::Tile*> mine;
      for (int stage = 0; stage <= problem_.remote_stages; ++stage) {
        for (fbs::Tile& tile : (*tiles)[{stage, query.row}]) mine.push_back(&tile);
      }
      mine.front()->mutate_first(true);
      mine.back()->mutate_last(true);
      if (mine.size() == 1) continue;
      for (fbs::Tile* tile : mine) {
        tile->mutate_accumulator_buffer(accumulator);
        tile->mutate_accumulator_row(accumulator_rows);
      }
      accumulator_rows += query.count();
    }
    if (accumulator_rows == 0) return;
    AddBuffer(fbs::BufferKind::accumulator, fbs::DType::f32, accumulator_rows, problem_.query_heads,
              problem_.dim, true);
  }

  // Messages [begin, end).
  struct Exchange {
    uint32_t begin;
    uint32_t end;
    int stage;
  };

  const ToyProblem& problem_;
  const int rank_;
  const std::vector<Run> layout_;
  std::map<std::pair<fbs::Direction, int>, uint32_t> tags_;  // messages so far
  std::vector<std::vector<Run>> keys_by_stage_;              // rows of the stage's K buffer
  std::vector<Exchange> exchanges_;
  std::unique_ptr<fbs::RankPlanT> plan_ = std::make_unique<fbs::RankPlanT>();
};

std::unique_ptr<fbs::ClusterT> ToyCluster(int ranks_per_node) {
  auto cluster = std::make_unique<fbs::ClusterT>();
  cluster->name = "toy";
  cluster->ranks_per_node = ranks_per_node;
  cluster->intra_node = std::make_unique<fbs::LinkClass>(1000.0, 1.0);
  cluster->inter_node = std::make_unique<fbs::LinkClass>(1000.0, 1.0);
  cluster->tiles = std::make_unique<fbs::TileTableT>();
  cluster->tiles->block_rows = 128;
  cluster->tiles->block_columns = 128;
  cluster->tiles->columns = {128, 256};
  cluster->tiles->forward_us = {1.0, 2.0};
  cluster->tiles->backward_us = {2.5, 5.0};
  return cluster;
}

}  // namespace

std::vector<ToySegment> DealZigzag(uint32_t length, int chunks, int ranks) {
  std::vector<ToySegment> segments;
  for (int i = 0; i < chunks; ++i) {
    int turn = i % (2 * ranks);
    int rank = turn < ranks ? turn : 2 * ranks - 1 - turn;
    uint32_t begin = uint64_t{length} * i / chunks;
    uint32_t end = uint64_t{length} * (i + 1) / chunks;
    if (begin < end) segments.push_back({begin, end, rank});
  }
  return segments;
}

ToyProblem SmallToyProblem() {
  ToyProblem problem;
  problem.ranks = 2;
  problem.documents = {{12, {{0, 3, 0}, {3, 9, 1}, {9, 12, 0}}}, {10, {{0, 6, 0}, {6, 10, 1}}}};
  return problem;
}

ToyProblem RelayedToyProblem() {
  ToyProblem problem;
  problem.ranks = 4;
  problem.ranks_per_node = 2;
  problem.documents = {{8, {{0, 2, 0}, {2, 4, 1}, {4, 6, 2}, {6, 8, 3}}}};
  return problem;
}

fbs::PlanT MakeToyPlanT(const ToyProblem& problem) {
  fbs::PlanT plan;
  plan.version = kPlanVersion;
  plan.content_hash = 1;
  plan.strategy = "toy";
  plan.exchange = problem.exchange;
  plan.dtype = problem.dtype;
  plan.heads =
      std::make_unique<fbs::HeadShape>(problem.query_heads, problem.key_value_heads, problem.dim);
  for (const ToyDocument& document : problem.documents) {
    plan.documents.push_back(fbs::Document(document.length, document.window, document.mask));
  }
  plan.slack_percent = problem.slack_percent;
  plan.cluster = ToyCluster(problem.ranks_per_node);
  plan.modelled = std::make_unique<fbs::Modelled>(1.0, 2.0, 3.0, 1.0, 2.0);
  for (int rank = 0; rank < problem.ranks; ++rank) {
    plan.ranks.push_back(RankBuilder(problem, rank).Build());
  }
  return plan;
}

Plan SealPlanT(const fbs::PlanT& plan) {
  flatbuffers::FlatBufferBuilder builder;
  fbs::FinishPlanBuffer(builder, fbs::Plan::Pack(builder, &plan));
  return Plan::Seal(builder.Release());
}

Plan MakeToyPlan(const ToyProblem& problem) { return SealPlanT(MakeToyPlanT(problem)); }

}  // namespace flashcp::testing
