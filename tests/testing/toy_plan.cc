// Writes a plan from a placement by the rules of docs/plan.md alone.

#include "tests/testing/toy_plan.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "flatbuffers/flatbuffers.h"
#include "tests/testing/toy_backward.h"
#include "tests/testing/toy_memory.h"
#include "tests/testing/toy_traffic.h"

namespace flashcp::testing {
namespace {

fbs::Band BandOf(const ToyDocument& document) {
  return fbs::Band(document.mask.band().lower, document.mask.band().upper);
}

// Indices of the caller's tensors in the buffer table of every rank.
enum CallerBuffer : uint16_t { kQuery, kKey, kValue, kOutput, kLse };

// Builds the plan of one rank.
class RankBuilder {
 public:
  RankBuilder(const ToyProblem& problem, int rank)
      : problem_(problem), rank_(rank), layout_(LayoutOf(problem, rank)) {
    plan_->forward = std::make_unique<fbs::ProgramT>();
  }

  std::unique_ptr<fbs::RankPlanT> Build() {
    for (const ToyRun& run : layout_) {
      plan_->layout.push_back(fbs::TokenRange(run.document, run.begin, run.end));
    }
    AddCallerBuffers();
    keys_by_stage_.push_back({{kKey, false, layout_}});
    for (int stage = 1; stage <= problem_.remote_stages; ++stage) AddRemoteBuffers(stage);
    for (int stage = 1; stage <= problem_.remote_stages; ++stage) {
      AddMessages(stage, /*forwarded=*/false);
      if (problem_.ranks_per_node > 1) AddMessages(stage, /*forwarded=*/true);
    }
    AddTiles();
    WaitForPlaces();
    WriteToySteps(steps_, &program().instructions, &program().waits);
    AddToyBackwardBuffers(problem_, plan_.get());
    PlaceToyBuffers(problem_, plan_.get());
    plan_->backward = MakeToyBackward(*plan_, problem_);
    return std::move(plan_);
  }

 private:
  // Rows of a K buffer and of the V buffer that follows it.
  struct Keys {
    uint16_t buffer;
    bool saved;
    std::vector<ToyRun> rows;
  };

  fbs::ProgramT& program() { return *plan_->forward; }

  // Heads of one group.
  int QueryHeads() const { return problem_.query_heads / problem_.head_groups; }
  int KeyHeads() const { return problem_.key_value_heads / problem_.head_groups; }

  void AddBuffer(fbs::BufferKind kind, uint32_t rows, int heads) {
    AddToyBuffer(kind, problem_.dtype, rows, heads, problem_.dim, plan_.get());
  }

  void AddCallerBuffers() {
    uint32_t rows = CountRows(layout_);
    AddBuffer(fbs::BufferKind::query, rows, problem_.query_heads);
    AddBuffer(fbs::BufferKind::key, rows, problem_.key_value_heads);
    AddBuffer(fbs::BufferKind::value, rows, problem_.key_value_heads);
    AddBuffer(fbs::BufferKind::output, rows, problem_.query_heads);
    AddToyBuffer(fbs::BufferKind::lse, fbs::DType::f32, rows, problem_.query_heads, 1, plan_.get());
    AddBuffer(fbs::BufferKind::output_gradient, rows, problem_.query_heads);
    AddBuffer(fbs::BufferKind::query_gradient, rows, problem_.query_heads);
    AddBuffer(fbs::BufferKind::key_gradient, rows, problem_.key_value_heads);
    AddBuffer(fbs::BufferKind::value_gradient, rows, problem_.key_value_heads);
  }

  // The buffers of one stage, and those of what it brings to be saved.
  void AddRemoteBuffers(int stage) {
    keys_by_stage_.emplace_back();
    for (bool saved : {false, true}) {
      std::vector<ToyRun> rows = RemoteRowsOf(problem_, rank_, stage, saved);
      if (saved && rows.empty()) continue;
      uint16_t buffer = plan_->buffers.size();
      if (saved) {
        AddBuffer(fbs::BufferKind::saved_key, CountRows(rows), problem_.key_value_heads);
        AddBuffer(fbs::BufferKind::saved_value, CountRows(rows), problem_.key_value_heads);
      } else {
        AddBuffer(fbs::BufferKind::remote_key, CountPlaceRows(rows), KeyHeads());
        AddBuffer(fbs::BufferKind::remote_value, CountPlaceRows(rows), KeyHeads());
      }
      keys_by_stage_.back().push_back({buffer, saved, std::move(rows)});
    }
  }

  // Rows of a remote buffer. If slots have several places, those of all their buffers are as large,
  // so that one place lies where another buffer has one.
  uint32_t CountPlaceRows(const std::vector<ToyRun>& rows) const {
    uint32_t count = CountRows(rows);
    if (!problem_.reuse || problem_.places == 1) return count;
    for (int stage = 1; stage <= problem_.remote_stages; ++stage) {
      count = std::max(count, CountRows(RemoteRowsOf(problem_, rank_, stage, /*saved=*/false)));
    }
    return count;
  }

  // The K/V rows of a stage that are saved, or the others; those of stage 0 never are.
  const Keys& KeysOf(int stage, bool saved) const { return keys_by_stage_[stage][saved]; }

  // The rows that this rank sends a peer in one exchange of a stage: saved ones apart.
  std::vector<Keys> KeysSent(int stage, bool forwarded, int peer) const {
    std::vector<Keys> sent;
    for (bool saved : {false, true}) {
      Keys keys = {kKey, saved, {}};
      for (const Arrived& token : TokensReceived(problem_, peer, stage, saved)) {
        if (token.sender != rank_ || forwarded == (token.owner == rank_)) continue;
        uint32_t row = token.owner_row;
        if (forwarded) {
          keys.buffer = KeysOf(stage, saved).buffer;
          row = FindRow(KeysOf(stage, saved).rows, token.document, token.position);
        }
        AddToken(token.document, token.position, row, &keys.rows);
      }
      if (!keys.rows.empty()) sent.push_back(std::move(keys));
    }
    return sent;
  }

  // The rows that it receives from a peer.
  std::vector<Keys> KeysReceived(int stage, bool forwarded, int peer) const {
    std::vector<Keys> received;
    for (bool saved : {false, true}) {
      Keys keys = {0, saved, {}};
      for (const Arrived& token : TokensReceived(problem_, rank_, stage, saved)) {
        if (token.sender != peer || forwarded == (token.owner == peer)) continue;
        keys.buffer = KeysOf(stage, saved).buffer;
        AddToken(token.document, token.position,
                 FindRow(KeysOf(stage, saved).rows, token.document, token.position), &keys.rows);
      }
      if (!keys.rows.empty()) received.push_back(std::move(keys));
    }
    return received;
  }

  // What owners send, or what relays forward.
  void AddMessages(int stage, bool forwarded) {
    uint32_t begin = program().messages.size();
    for (int peer = 0; peer < problem_.ranks; ++peer) {
      if (peer == rank_) continue;
      AddMessage(fbs::Direction::send, peer, KeysSent(stage, forwarded, peer));
      AddMessage(fbs::Direction::receive, peer, KeysReceived(stage, forwarded, peer));
    }
    exchanges_.push_back({begin, static_cast<uint32_t>(program().messages.size()), stage});
  }

  // K rows, then V rows, of the same slices; those that are not saved first.
  void AddMessage(fbs::Direction direction, int peer, const std::vector<Keys>& carried) {
    if (carried.empty()) return;
    uint32_t part_begin = program().parts.size();
    uint64_t rows = 0;
    for (const Keys& keys : carried) {
      uint32_t slice_begin = program().slices.size();
      for (const ToyRun& run : keys.rows) {
        program().slices.push_back(fbs::Slice(run.row, run.count()));
        rows += run.count();
      }
      uint32_t slice_end = program().slices.size();
      for (uint32_t buffer : {keys.buffer + 0u, keys.buffer + 1u}) {
        program().parts.push_back(
            fbs::Part(buffer, 0, KeyHeads(), slice_begin, slice_end, keys.saved));
      }
    }
    uint64_t bytes = 2 * rows * KeyHeads() * problem_.dim * DTypeBytes(problem_.dtype);
    uint32_t tag = tags_[{direction, peer}]++;
    program().messages.push_back(
        fbs::Message(bytes, peer, tag, part_begin, program().parts.size(), direction));
  }

  // For each stage and each own segment of queries, one tile for each run of keys it sees.
  void AddTiles() {
    std::map<std::pair<int, uint32_t>, std::vector<fbs::Tile>> tiles;  // by stage and query row
    for (int stage = 0; stage <= problem_.remote_stages; ++stage) {
      for (const ToyRun& query : layout_) {
        for (const Keys& keys : keys_by_stage_[stage]) {
          for (const ToyRun& run : keys.rows) AddTile(stage, query, keys.buffer, run, &tiles);
        }
      }
    }
    MarkFirstAndLast(&tiles);
    if (tiles.empty() && program().messages.empty()) return;
    for (int stage = 0; stage <= problem_.remote_stages; ++stage) {
      std::vector<fbs::Wait> waits = AddExchangeInstructions(stage);
      uint32_t begin = program().tiles.size();
      for (const ToyRun& query : layout_) {
        for (const fbs::Tile& tile : tiles[{stage, query.row}]) program().tiles.push_back(tile);
      }
      AddStep(begin, program().tiles.size(), stage, fbs::Opcode::attend, std::move(waits));
    }
  }

  uint32_t AddStep(uint32_t begin, uint32_t end, int stage, fbs::Opcode opcode,
                   std::vector<fbs::Wait> waits) {
    fbs::Stream stream =
        opcode == fbs::Opcode::attend ? fbs::Stream::compute : fbs::Stream::communication;
    steps_.push_back({fbs::Instruction(begin, end, 0, 0, stage, opcode, stream), std::move(waits)});
    return steps_.size() - 1;
  }

  // An exchange that sends rows on waits for the one before, which brings them. Returns the waits
  // of the stage's attend: for those that bring rows, directly or through others.
  std::vector<fbs::Wait> AddExchangeInstructions(int stage) {
    std::vector<fbs::Wait> waits;
    for (const Exchange& exchange : exchanges_) {
      if (exchange.stage != stage) continue;
      const fbs::Instruction range(exchange.begin, exchange.end, 0, 0, stage, fbs::Opcode::exchange,
                                   fbs::Stream::communication);
      const bool sends_on = SendsRowsOn(*plan_, range, /*unsaved=*/false);
      const bool receives = ReceivesRows(*plan_, range, /*unsaved=*/false);
      const uint32_t index = AddStep(exchange.begin, exchange.end, stage, fbs::Opcode::exchange,
                                     sends_on ? waits : std::vector<fbs::Wait>());
      if (sends_on && receives) waits.clear();
      if (receives) waits.emplace_back(index, 0);
    }
    return waits;
  }

  // The first exchange that brings rows of a stage waits until those that were in their place
  // before are read and sent on.
  void WaitForPlaces() {
    fbs::RankPlanT& rank = *plan_;
    for (const ToyStep& step : steps_) program().instructions.push_back(step.instruction);
    const std::vector<bool> has_rows = StagesWithRows(rank, problem_.remote_stages);
    program().instructions.clear();
    std::vector<bool> placed(has_rows.size());
    for (ToyStep& step : steps_) {
      const uint32_t stage = step.instruction.stage();
      if (step.instruction.opcode() != fbs::Opcode::exchange || placed[stage]) continue;
      if (!ReceivesRows(rank, step.instruction, /*unsaved=*/true)) continue;
      placed[stage] = true;
      const ToyUse before = UseBefore(problem_, has_rows, stage);
      if (before.rounds < problem_.head_groups) WaitForStage(before, &step);
    }
  }

  // Waits for the attend of a stage, and for its exchanges that the attend does not wait for.
  void WaitForStage(const ToyUse& before, ToyStep* step) {
    for (uint32_t i = 0; i < steps_.size(); ++i) {
      const fbs::Instruction& other = steps_[i].instruction;
      if (other.stage() != before.stage) continue;
      if (other.opcode() == fbs::Opcode::attend ||
          (SendsRowsOn(*plan_, other, /*unsaved=*/true) &&
           !ReceivesRows(*plan_, other, /*unsaved=*/false))) {
        step->waits.emplace_back(i, before.rounds);
      }
    }
  }

  // Adds the tile of `query` against the keys of a run that it sees, if it sees any; a run that
  // continues the one before it, in position and row, extends that one's tile.
  void AddTile(int stage, const ToyRun& query, uint16_t key_buffer, const ToyRun& keys,
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
    mine.push_back(fbs::Tile(query.document, query.begin, query.count(), begin, end - begin,
                             BandOf(problem_.documents[query.document]), query.row, row, 0, 0,
                             QueryHeads(), kQuery, key_buffer, key_buffer + 1, kOutput, kLse, 0,
                             false, false));
  }

  // A segment with more than one tile keeps its partial result in rows of the accumulator.
  void MarkFirstAndLast(std::map<std::pair<int, uint32_t>, std::vector<fbs::Tile>>* tiles) {
    uint32_t accumulator_rows = 0;
    uint16_t accumulator = plan_->buffers.size();
    for (const ToyRun& query : layout_) {
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
    AddToyBuffer(fbs::BufferKind::accumulator, fbs::DType::f32, accumulator_rows, QueryHeads(),
                 problem_.dim, plan_.get());
  }

  // Messages [begin, end).
  struct Exchange {
    uint32_t begin;
    uint32_t end;
    int stage;
  };

  const ToyProblem& problem_;
  const int rank_;
  const std::vector<ToyRun> layout_;
  std::map<std::pair<fbs::Direction, int>, uint32_t> tags_;  // messages so far
  std::vector<std::vector<Keys>> keys_by_stage_;             // not saved; saved, if any
  std::vector<Exchange> exchanges_;
  std::vector<ToyStep> steps_;  // of the forward program
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

ToyProblem SavedToyProblem() {
  ToyProblem problem = SmallToyProblem();
  problem.documents[1].saved = true;
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
  plan.head_groups = problem.head_groups;
  plan.scale = problem.scale;
  for (const ToyDocument& document : problem.documents) {
    plan.documents.push_back(fbs::Document(document.length, BandOf(document)));
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
