// Rules of programs: phase scheduled.

#include "compiler/analysis/BackwardOrder.h"
#include "compiler/analysis/PhaseRules.h"
#include "compiler/analysis/RemoteStages.h"
#include "compiler/analysis/RowIndex.h"
#include "compiler/analysis/SharedQueries.h"

#include <map>

using namespace mlir;

namespace flashcp {
namespace {

/// C28: an exchange receives tokens of the batch, in order of document and
/// position.
LogicalResult verifyReceived(cp::ExchangeOp op, const BatchAnalysis &analysis) {
  const auto &documents = analysis.problem().documents;
  std::pair<int64_t, int64_t> last = {0, 0};
  for (const cp::ReceivedRange &range : op.getReceived()) {
    std::pair<int64_t, int64_t> begin = {range.document, range.begin};
    if (begin < last || range.document >= int64_t(documents.size()) ||
        range.end > documents[range.document].length)
      return op.emitOpError()
             << "C28: received ranges must lie in the documents, in order, "
                "found ["
             << range.begin << ", " << range.end << ") of document "
             << range.document;
    last = begin;
  }
  return success();
}

/// C28: an exchange brings the key/value heads of one group.
LogicalResult verifyHeads(cp::ExchangeOp exchange, uint64_t groupHeads) {
  if (exchange.getHeadBegin() == 0 && exchange.getHeadEnd() == groupHeads)
    return success();
  return exchange.emitOpError()
         << "C28: expected heads [0, " << groupHeads << ") of a group, found ["
         << exchange.getHeadBegin() << ", " << exchange.getHeadEnd() << ")";
}

/// The stages of one program, walked in order.
class StageWalk {
public:
  StageWalk(cp::ProgramOp program, const BatchAnalysis &analysis,
            TilesByDocument &tiles)
      : program(program), analysis(analysis), tiles(tiles),
        groupHeads(
            cast<cp::BatchOp>(program->getParentOp()).getHeads().getKv() /
            program.getHeadGroups()),
        layout(program.getLayout()) {}

  /// C28: stages come in order: exchange, relayed exchange if there are relays,
  /// attend. The first one is stage 0, which may also come between stages.
  LogicalResult run() {
    for (Operation &op : program.getBody().front()) {
      LogicalResult result = success();
      if (auto exchange = dyn_cast<cp::ExchangeOp>(op))
        result = exchange.getRelayed() ? stepRelayed(exchange)
                                       : stepExchange(exchange);
      else if (auto attend = dyn_cast<cp::AttendOp>(op))
        result = stepAttend(attend);
      if (failed(result))
        return failure();
    }
    return success();
  }

private:
  LogicalResult stepExchange(cp::ExchangeOp exchange) {
    if (int64_t(exchange.getStage()) != ++exchanged)
      return exchange.emitOpError()
             << "C28: expected exchange of stage " << exchanged;
    if (failed(verifyHeads(exchange, groupHeads)) ||
        failed(verifyReceived(exchange, analysis)))
      return failure();
    rows = RowIndex(exchange.getReceived());
    savedRows = RowIndex();
    return success();
  }

  LogicalResult stepRelayed(cp::ExchangeOp relayed) {
    auto direct = dyn_cast_or_null<cp::ExchangeOp>(relayed->getPrevNode());
    if (!direct || direct.getRelayed() ||
        relayed.getStage() != direct.getStage())
      return relayed.emitOpError()
             << "C28: expected right after the exchange of its stage";
    if (failed(verifyHeads(relayed, groupHeads)) ||
        failed(verifyReceived(relayed, analysis)))
      return failure();
    RemoteStage stage{direct, relayed};
    rows = RowIndex(heldTokens(stage, /*saved=*/false));
    savedRows = RowIndex(heldTokens(stage, /*saved=*/true));
    return success();
  }

  LogicalResult stepAttend(cp::AttendOp attend) {
    int64_t stage = attend.getStage();
    bool again = stage == 0 && attended == exchanged;
    if (!again && (stage != attended + 1 || stage != exchanged))
      return attend.emitOpError()
             << "C28: expected attend of stage " << attended + 1
             << " right after its exchange";
    attended = std::max(attended, stage);
    for (const cp::StageTile &tile : attend.getTiles()) {
      if (size_t(tile.document) >= tiles.size() || !holdsRowsOf(tile, stage))
        return attend.emitOpError()
               << "C28: tile q[" << tile.queryBegin << ", " << tile.queryEnd
               << ") kv[" << tile.keyBegin << ", " << tile.keyEnd
               << ") of document " << tile.document << " reads rows that stage "
               << stage << " does not hold";
      tiles[tile.document].push_back(tile);
    }
    return success();
  }

  /// Returns whether the rank owns the queries and the stage holds the keys.
  bool holdsRowsOf(const cp::StageTile &tile, int64_t stage) const {
    auto holds = [&](const RowIndex &rows) -> bool {
      return rows.find(tile.document, tile.keyBegin, tile.keyEnd).has_value();
    };
    return layout.find(tile.document, tile.queryBegin, tile.queryEnd) &&
           (stage == 0 ? holds(layout) : holds(rows) || holds(savedRows));
  }

  cp::ProgramOp program;
  const BatchAnalysis &analysis;
  TilesByDocument &tiles;
  uint64_t groupHeads;              // key/value heads
  RowIndex layout, rows, savedRows; // of the rank, of the last stage
  int64_t attended = -1, exchanged = 0;
};

/// The buffers of a program that hold received rows and partial results, as C29
/// expects them.
class BufferWalk {
  using Kind = cp::BufferKind;

public:
  explicit BufferWalk(cp::ProgramOp program) : program(program) {
    SmallVector<RemoteStage> stages = remoteStagesOf(program);
    for (bool saved : {false, true})
      for (RemoteStage &stage : stages)
        expect(stage.number(), countRows(heldTokens(stage, saved)),
               {saved ? Kind::saved_key : Kind::remote_key,
                saved ? Kind::saved_value : Kind::remote_value});
    expect(/*stage=*/0, countRows(sharedQueries(program)), {Kind::accumulator});
  }

  /// C29: each remote stage has its key and value buffers, shared queries have
  /// their accumulator; what the stages do not take turns in follows one
  /// another.
  LogicalResult run() {
    size_t next = 0;
    for (auto buffer : program.getBody().getOps<cp::BufferOp>()) {
      if (failed(verifyPlace(buffer)))
        return failure();
      if (buffer.getKind() > Kind::accumulator)
        continue; // of backward
      std::tuple<Kind, int64_t, int64_t> found = {
          buffer.getKind(), buffer.getStage(), buffer.getRows()};
      if (next >= expected.size() || found != expected[next])
        return buffer.emitOpError() << "C29: must hold the rows that its stage "
                                       "receives or, as the accumulator, the "
                                       "queries of more than one tile";
      ++next;
    }
    if (!program.getWorkspaceBytes() || !program.getBackwardWorkspaceBytes() ||
        !program.getSavedBytes() || next != expected.size())
      return program.emitOpError()
             << "C29: needs buffers: run cp-allocate-buffers";
    return success();
  }

private:
  /// The accumulator lies where forward has no sums of backward.
  enum class Memory { workspace, forward, saved };

  /// Returns the kind of the rows that share places with those of a kind.
  static Kind rowsOf(Kind kind) {
    if (kind == Kind::outgoing_key)
      return Kind::remote_key;
    return kind == Kind::outgoing_value ? Kind::remote_value : kind;
  }

  void expect(int64_t stage, int64_t rows, ArrayRef<Kind> kinds) {
    for (Kind kind : kinds)
      if (rows > 0)
        expected.push_back({kind, stage, rows});
  }

  /// Two buffers of one kind, or of rows and gradients of rows, may begin at
  /// one place, if stages take turns in it: what that needs of waits, the
  /// plan's verifier proves. Saved rows keep theirs.
  LogicalResult verifyPlace(cp::BufferOp buffer) {
    Kind kind = buffer.getKind();
    bool saved = kind == Kind::saved_key || kind == Kind::saved_value;
    Memory memory = saved                       ? Memory::saved
                    : kind == Kind::accumulator ? Memory::forward
                                                : Memory::workspace;
    if (buffer.getRows() == 0)
      return success();
    auto [first, isNew] =
        firstAt.try_emplace({memory, buffer.getOffset()}, buffer);
    bool takesTurns = buffer.getStage() > 0 && !saved &&
                      rowsOf(first->second.getKind()) == rowsOf(kind);
    if (isNew || takesTurns)
      return success();
    InFlightDiagnostic error =
        buffer.emitOpError() << "C29: must not begin where another buffer does";
    error.attachNote(first->second.getLoc()) << "the other buffer is here";
    return error;
  }

  cp::ProgramOp program;
  SmallVector<std::tuple<Kind, int64_t, int64_t>> expected; // stage, rows
  std::map<std::pair<Memory, uint64_t>, cp::BufferOp> firstAt;
};

/// C32: all ranks have the exchanges of rank 0.
LogicalResult verifySameExchanges(ArrayRef<SmallVector<RemoteStage>> stages,
                                  cp::ProgramOp first, cp::ProgramOp program) {
  bool equal = llvm::equal(stages.front(), stages.back(),
                           [](auto &a, auto &b) {
                             return bool(a.relayed) == bool(b.relayed);
                           }) &&
               first.getHeadGroups() == program.getHeadGroups();
  if (equal)
    return success();
  InFlightDiagnostic error =
      program.emitOpError()
      << "C32: must have the exchanges and head groups of rank 0";
  error.attachNote(first.getLoc()) << "the program of rank 0 is here";
  return error;
}

/// C32: exchanges are alike on all ranks, and a relay receives what it sends on
/// in the exchange of the stage.
LogicalResult verifyExchanges(cp::BatchOp batch) {
  std::vector<SmallVector<RemoteStage>> stages;
  auto programs = llvm::to_vector(batch.getBody().getOps<cp::ProgramOp>());
  for (cp::ProgramOp program : programs) {
    stages.push_back(remoteStagesOf(program));
    if (failed(verifySameExchanges(stages, programs.front(), program)))
      return failure();
  }
  for (size_t s = 0; !stages.empty() && s < stages.front().size(); ++s) {
    if (!stages.front()[s].relayed)
      continue;
    std::vector<std::array<RowIndex, 2>> direct; // by rank, saved or not
    for (SmallVector<RemoteStage> &ofRank : stages) {
      RemoteStage stage = ofRank[s];
      stage.relayed = {};
      direct.push_back({RowIndex(heldTokens(stage, /*saved=*/false)),
                        RowIndex(heldTokens(stage, /*saved=*/true))});
    }
    for (SmallVector<RemoteStage> &ofRank : stages)
      for (const cp::ReceivedRange &range : ofRank[s].relayed.getReceived()) {
        const RowIndex &rows = direct[range.relay][range.saved];
        if (rows.find(range.document, range.begin, range.end))
          continue;
        InFlightDiagnostic error =
            ofRank[s].relayed.emitOpError()
            << "C32: rank " << range.relay << " does not receive ["
            << range.begin << ", " << range.end << ") of document "
            << range.document << (range.saved ? ", saved," : "")
            << " in the exchange of stage " << s + 1;
        error.attachNote(stages[range.relay][s].exchange.getLoc())
            << "the exchange of rank " << range.relay << " is here";
        return error;
      }
  }
  return success();
}

/// Returns the token ranges that the shards give to each rank.
std::vector<SmallVector<cp::TokenRange>>
layoutsOf(cp::BatchOp batch, const BatchAnalysis &analysis) {
  std::vector<SmallVector<cp::TokenRange>> layouts(batch.getRanks());
  for (auto [document, shard] : llvm::enumerate(analysis.shards()))
    for (const cp::OwnedRange &range : cp::ShardOp(shard).getOwned())
      layouts[range.owner].push_back(
          {int64_t(document), range.begin, range.end});
  return layouts;
}

} // namespace

LogicalResult verifyPrograms(cp::BatchOp batch, const BatchAnalysis &analysis) {
  std::vector<SmallVector<cp::TokenRange>> layouts = layoutsOf(batch, analysis);
  TilesByDocument tiles(analysis.documents().size());
  const bool resends = resendsRows(batch);
  size_t next = 0;
  for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
    if (program.getRank() != next++)
      return program.emitOpError()
             << "C26: expected the program of rank " << next - 1;
    if (program.getLayout() != ArrayRef(layouts[program.getRank()]))
      return program.emitOpError()
             << "C27: layout must list the ranges that the shards give to rank "
             << program.getRank() << ", in order";
    if (failed(StageWalk(program, analysis, tiles).run()) ||
        failed(BufferWalk(program).run()) ||
        failed(verifyBackward(program, resends)))
      return failure();
  }
  if (next != batch.getRanks())
    return batch.emitOpError() << "C26: rank " << next << " has no program";
  if (failed(verifyExchanges(batch)))
    return failure();
  auto programs = batch.getBody().getOps<cp::ProgramOp>();
  int64_t groups = programs.empty() ? 1 : (*programs.begin()).getHeadGroups();
  return verifyCoverage(analysis, batch.getHeads().getQ() / groups,
                        std::move(tiles));
}

} // namespace flashcp
