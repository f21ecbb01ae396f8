// cp-verify-phase: what must hold between ops at a phase boundary, constraints
// C20 to C33 of docs/dialect.md. Later passes assume it.

#include "compiler/analysis/BackwardOrder.h"
#include "compiler/analysis/BatchProblem.h"
#include "compiler/analysis/Coverage.h"
#include "compiler/analysis/OwnedRanges.h"
#include "compiler/analysis/RemoteStages.h"
#include "compiler/analysis/RowIndex.h"
#include "compiler/analysis/SharedQueries.h"
#include "compiler/passes/Passes.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_VERIFYPHASE
#include "compiler/passes/Passes.h.inc"

namespace {

/// C20: the batch holds only ops of the phases up to now.
LogicalResult verifyOps(cp::BatchOp batch, StringRef phase) {
  for (Operation &op : batch.getBody().front()) {
    bool allowed = isa<cp::DocumentOp>(op) ||
                   (phase != "problem" && isa<cp::ShardOp>(op)) ||
                   ((phase == "placed" || phase == "communicating") &&
                    isa<cp::TilesOp>(op)) ||
                   (phase == "communicating" && isa<cp::TransferOp>(op)) ||
                   (phase == "scheduled" && isa<cp::ProgramOp>(op));
    if (!allowed)
      return op.emitOpError() << "C20: does not belong in phase " << phase;
  }
  return success();
}

/// C22: one shard per document, in the order of the documents. C23: equal
/// tokens.
LogicalResult verifyShards(cp::BatchOp batch, const solver::Problem &problem) {
  SmallVector<cp::DocumentOp> documents = documentsOf(batch);
  size_t next = 0;
  for (auto shard : batch.getBody().getOps<cp::ShardOp>()) {
    if (next >= documents.size() || shard.getDocumentOp() != documents[next])
      return shard.emitOpError()
             << "C22: each document needs one shard, in the order of the "
                "documents; this one is not that of document "
             << next;
    ++next;
  }
  if (next != documents.size())
    return documents[next].emitOpError() << "C22: has no cp.shard";
  if (absl::Status status = placementOf(batch).Verify(problem); !status.ok())
    return batch.emitOpError() << "C23: " << std::string(status.message());
  return success();
}

using TilesByDocument = std::vector<SmallVector<CoverTile>>;

/// C25: every allowed pair is computed exactly once.
LogicalResult verifyCoverage(cp::BatchOp batch, const TilesByDocument &tiles) {
  for (auto [i, op] : llvm::enumerate(documentsOf(batch))) {
    std::string error =
        checkCoverage(documentOf(op), batch.getHeads().getQ(), tiles[i]);
    if (!error.empty())
      return op.emitOpError() << "C25: " << error;
  }
  return success();
}

LogicalResult verifyAttends(cp::BatchOp batch) {
  llvm::DenseMap<Operation *, int64_t> numbers = documentNumbers(batch);
  TilesByDocument tiles(numbers.size());
  for (auto attend : batch.getBody().getOps<cp::TilesOp>()) {
    int64_t document = numbers.lookup(attend.getShardOp().getDocumentOp());
    ArrayRef<int64_t> t = attend.getTiles();
    for (size_t i = 0; i < t.size(); i += cp::kRankTileSize)
      tiles[document].push_back({t[i], t[i + 1], t[i + 2], t[i + 3],
                                 int64_t(attend.getHeadBegin()),
                                 int64_t(attend.getHeadEnd())});
  }
  return verifyCoverage(batch, tiles);
}

/// Positions [begin, end) of a document that a rank receives.
struct Received {
  int64_t rank, begin, end, via;
};

/// What each rank receives of one document, by rank and begin.
SmallVector<Received> receivedOf(Value sharded) {
  SmallVector<Received> received;
  for (Operation *user : sharded.getUsers())
    if (auto transfer = dyn_cast<cp::TransferOp>(user)) {
      ArrayRef<int64_t> r = transfer.getRanges();
      for (size_t i = 0; i < r.size(); i += cp::kReceivedSize)
        received.push_back({r[i + 2], r[i], r[i + 1], r[i + 3]});
    }
  llvm::sort(received, [](const Received &a, const Received &b) {
    return std::tie(a.rank, a.begin) < std::tie(b.rank, b.begin);
  });
  return received;
}

/// First key of the tile that the rank neither owns nor receives; the end of
/// the tile's keys where there is none.
int64_t firstMissingKey(ArrayRef<Received> received, const OwnedRanges &owned,
                        ArrayRef<int64_t> tile) {
  int64_t rank = tile[4], missing = tile[3];
  const Received *from = llvm::lower_bound(
      received, rank, [](const Received &t, int64_t r) { return t.rank < r; });
  owned.forEachMissing(rank, tile[2], tile[3], [&](TokenSpan span) {
    int64_t position = span.begin;
    for (const Received *t = from; t != received.end() && t->rank == rank; ++t)
      if (t->begin <= position)
        position = std::max(position, t->end);
    if (position < span.end)
      missing = std::min(missing, position);
  });
  return missing;
}

/// Whether one of the ranges that `rank` receives from owners holds all of
/// [begin, end).
bool receivesDirectly(ArrayRef<Received> received, int64_t rank, int64_t begin,
                      int64_t end) {
  const Received *next = llvm::upper_bound(
      received, std::pair(rank, begin), [](auto key, const Received &t) {
        return key < std::pair(t.rank, t.begin);
      });
  while (next != received.begin() && (--next)->rank == rank)
    if (next->via == cp::kNoRelay && end <= next->end)
      return true;
  return false;
}

/// C31: a relayed range lies in one that its relay, on the receiver's node,
/// receives from owners.
LogicalResult verifyRelays(cp::ShardOp shard, ArrayRef<Received> received,
                           int64_t ranksPerNode) {
  for (const Received &range : received) {
    if (range.via == cp::kNoRelay ||
        (range.via / ranksPerNode == range.rank / ranksPerNode &&
         receivesDirectly(received, range.via, range.begin, range.end)))
      continue;
    return shard.emitOpError()
           << "C31: rank " << range.via << " must be on the node of rank "
           << range.rank << " and receive [" << range.begin << ", " << range.end
           << ") from its owners to forward it";
  }
  return success();
}

/// C24, C31: the rank of a tile owns or receives every key that it reads, and
/// owns its queries.
LogicalResult verifyTransfers(cp::BatchOp batch, int64_t ranksPerNode) {
  for (auto attend : batch.getBody().getOps<cp::TilesOp>()) {
    OwnedRanges owned(attend.getShardOp());
    SmallVector<Received> received = receivedOf(attend.getSharded());
    if (failed(verifyRelays(attend.getShardOp(), received, ranksPerNode)))
      return failure();
    for (size_t i = 0; i < attend.getTiles().size(); i += cp::kRankTileSize) {
      ArrayRef<int64_t> tile = attend.getTiles().slice(i, cp::kRankTileSize);
      int64_t missing = firstMissingKey(received, owned, tile);
      if (missing < tile[3])
        return attend.emitOpError()
               << "C24: rank " << tile[4] << " reads key " << missing
               << ", which it neither owns nor receives";
      bool foreign = llvm::none_of(owned.of(tile[4]), [&](TokenSpan span) {
        return span.begin <= tile[0] && tile[1] <= span.end;
      });
      if (foreign)
        return attend.emitOpError()
               << "C24: rank " << tile[4] << " computes queries [" << tile[0]
               << ", " << tile[1] << ") but does not own them";
    }
  }
  return success();
}

/// C27: the layouts list what the shards give to each rank.
LogicalResult verifyLayout(cp::ProgramOp program, ArrayRef<int64_t> expected) {
  if (program.getLayout() == expected)
    return success();
  return program.emitOpError()
         << "C27: layout must list the ranges that the shards give to rank "
         << program.getRank() << ", in order";
}

/// C28: an exchange or forward receives tokens of the batch, in order of
/// document and position. An entry has `size` numbers.
LogicalResult verifyReceived(Operation *op, ArrayRef<int64_t> r, size_t size,
                             ArrayRef<int64_t> lengths) {
  for (size_t i = 0; i < r.size(); i += size) {
    bool ordered = i == 0 || std::pair(r[i - size], r[i - size + 1]) <=
                                 std::pair(r[i], r[i + 1]);
    if (!ordered || r[i] >= int64_t(lengths.size()) || r[i + 2] > lengths[r[i]])
      return op->emitOpError()
             << "C28: received ranges must lie in the documents, in order, "
                "found ["
             << r[i + 1] << ", " << r[i + 2] << ") of document " << r[i];
  }
  return success();
}

/// C28: the tiles of a stage read `rows`, their queries are the rank's own;
/// adds them to `tiles`.
LogicalResult verifyTiles(cp::AttendOp compute, const RowIndex &layout,
                          const RowIndex &rows, TilesByDocument &tiles) {
  ArrayRef<int64_t> t = compute.getTiles();
  for (size_t i = 0; i < t.size(); i += cp::kStageTileSize) {
    if (t[i] < 0 || size_t(t[i]) >= tiles.size() ||
        !layout.find(t[i], t[i + 1], t[i + 2]) ||
        !rows.find(t[i], t[i + 3], t[i + 4]))
      return compute.emitOpError()
             << "C28: tile q[" << t[i + 1] << ", " << t[i + 2] << ") kv["
             << t[i + 3] << ", " << t[i + 4] << ") of document " << t[i]
             << " reads rows that stage " << compute.getStage()
             << " does not hold";
    tiles[t[i]].push_back(
        {t[i + 1], t[i + 2], t[i + 3], t[i + 4], t[i + 5], t[i + 6]});
  }
  return success();
}

/// C28: an exchange brings rows from head 0 on, or further heads of the rows
/// that the one before brings.
LogicalResult verifyHeads(cp::ExchangeOp exchange, cp::ExchangeOp previous) {
  if (exchange.getHeadBegin() == 0 ||
      (previous && previous.getHeadEnd() == exchange.getHeadBegin() &&
       previous.getReceived() == exchange.getReceived()))
    return success();
  return exchange.emitOpError()
         << "C28: expected head 0, or the heads after those of the exchange "
            "before and its rows, found head "
         << exchange.getHeadBegin();
}

/// C28: stages come in order: exchange, forward if there are relays, compute.
LogicalResult verifyStages(cp::ProgramOp program, ArrayRef<int64_t> lengths,
                           TilesByDocument &tiles) {
  RowIndex layout(program.getLayout());
  RowIndex rows = layout;
  int64_t computed = -1, exchanged = 0;
  cp::ExchangeOp previous;
  for (Operation &op : program.getBody().front()) {
    if (auto exchange = dyn_cast<cp::ExchangeOp>(op)) {
      if (int64_t(exchange.getStage()) != ++exchanged)
        return op.emitOpError()
               << "C28: expected exchange of stage " << exchanged;
      if (failed(verifyHeads(exchange, previous)))
        return failure();
      previous = exchange;
      if (failed(verifyReceived(exchange, exchange.getReceived(),
                                cp::kTokenRangeSize, lengths)))
        return failure();
      rows = RowIndex(exchange.getReceived());
    } else if (auto forward = dyn_cast<cp::RelayOp>(op)) {
      auto before = dyn_cast_or_null<cp::ExchangeOp>(op.getPrevNode());
      if (!before || forward.getStage() != before.getStage())
        return op.emitOpError()
               << "C28: expected right after the exchange of its stage";
      if (failed(verifyReceived(forward, forward.getReceived(),
                                cp::kForwardedSize, lengths)))
        return failure();
      rows = RowIndex(heldTokens({before, forward}));
    } else if (auto compute = dyn_cast<cp::AttendOp>(op)) {
      if (int64_t(compute.getStage()) != ++computed || computed != exchanged)
        return op.emitOpError() << "C28: expected compute of stage " << computed
                                << " right after its exchange";
      if (failed(verifyTiles(compute, layout, rows, tiles)))
        return failure();
    }
  }
  return success();
}

/// C29: each remote stage has its key and value buffers, shared queries have
/// their accumulator, and buffers of one memory follow one another.
LogicalResult verifyBuffers(cp::ProgramOp program,
                            const llvm::BitVector &kept) {
  using Expected = std::pair<cp::BufferKind, SmallVector<int64_t>>;
  SmallVector<Expected> expected;
  auto expect = [&](ArrayRef<int64_t> holds, ArrayRef<cp::BufferKind> kinds) {
    for (cp::BufferKind kind : kinds)
      if (!holds.empty())
        expected.push_back({kind, SmallVector<int64_t>(holds)});
  };
  for (RemoteStage &stage : remoteStagesOf(program)) {
    if (!stage.hasOwnRows())
      continue;
    SmallVector<int64_t> held = heldTokens(stage);
    expect(tokensOf(held, kept, /*wanted=*/false),
           {cp::BufferKind::remote_key, cp::BufferKind::remote_value});
    expect(tokensOf(held, kept, /*wanted=*/true),
           {cp::BufferKind::saved_key, cp::BufferKind::saved_value});
  }
  expect(sharedQueries(program), {cp::BufferKind::accumulator});
  int64_t ends[] = {0, 0}; // of the workspace, of what is kept
  size_t next = 0;
  for (auto buffer : program.getBody().getOps<cp::BufferOp>()) {
    bool isSaved = buffer.getKind() == cp::BufferKind::saved_key ||
                   buffer.getKind() == cp::BufferKind::saved_value;
    int64_t &end = ends[isSaved];
    if (int64_t(buffer.getOffset()) < end)
      return buffer.emitOpError() << "C29: must begin at " << end
                                  << " or later, found " << buffer.getOffset();
    end = buffer.getOffset() + 1;
    if (next >= expected.size() || buffer.getKind() != expected[next].first ||
        buffer.getHolds() != ArrayRef(expected[next].second))
      return buffer.emitOpError()
             << "C29: must hold what its stage receives, or, "
                "the accumulator, the queries of more "
                "than one tile";
    ++next;
  }
  if (!program.getWorkspaceBytes() || !program.getBackwardWorkspaceBytes() ||
      !program.getSavedBytes() || next != expected.size())
    return program.emitOpError()
           << "C29: needs buffers: run cp-allocate-buffers";
  return success();
}

/// C32: what a rank is forwarded, its relay receives in the exchange of the
/// stage; exchanges and forwards are the same on all ranks.
LogicalResult verifyGroups(cp::BatchOp batch) {
  std::vector<SmallVector<RemoteStage>> stages;
  for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
    stages.push_back(remoteStagesOf(program));
    bool same =
        llvm::equal(stages.front(), stages.back(), [](auto &a, auto &b) {
          return bool(a.forward) == bool(b.forward);
        });
    if (!same)
      return program.emitOpError()
             << "C32: must have the exchanges and forwards of rank 0";
  }
  for (size_t s = 0; !stages.empty() && s < stages.front().size(); ++s) {
    if (!stages.front()[s].forward)
      continue;
    std::vector<RowIndex> direct; // of this stage, by rank
    for (SmallVector<RemoteStage> &ofRank : stages)
      direct.emplace_back(ofRank[s].exchange.getReceived());
    for (SmallVector<RemoteStage> &ofRank : stages) {
      ArrayRef<int64_t> r = ofRank[s].forward.getReceived();
      for (size_t i = 0; i < r.size(); i += cp::kForwardedSize)
        if (!direct[r[i + 3]].find(r[i], r[i + 1], r[i + 2]))
          return ofRank[s].forward.emitOpError()
                 << "C32: rank " << r[i + 3] << " does not receive ["
                 << r[i + 1] << ", " << r[i + 2] << ") of document " << r[i]
                 << " in the exchange of stage " << s + 1;
    }
  }
  return success();
}

/// C26: one program per rank, in order; then what each program must keep.
LogicalResult verifyPrograms(cp::BatchOp batch) {
  std::vector<SmallVector<int64_t>> layouts(batch.getRanks());
  for (auto [number, shard] :
       llvm::enumerate(batch.getBody().getOps<cp::ShardOp>()))
    for (auto [i, owner] : llvm::enumerate(shard.getOwners()))
      layouts[owner].append(
          {int64_t(number), shard.getBounds()[i], shard.getBounds()[i + 1]});
  SmallVector<int64_t> lengths;
  for (cp::DocumentOp document : documentsOf(batch))
    lengths.push_back(document.getLength());
  TilesByDocument tiles(lengths.size());
  llvm::BitVector kept = keptDocuments(batch);
  size_t next = 0;
  for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
    if (program.getRank() != next++)
      return program.emitOpError()
             << "C26: expected the program of rank " << next - 1;
    if (failed(verifyLayout(program, layouts[program.getRank()])) ||
        failed(verifyStages(program, lengths, tiles)) ||
        failed(verifyBuffers(program, kept)))
      return failure();
    if (std::string error = checkBackward(program, kept); !error.empty())
      return program.emitOpError() << "C33: " << error;
  }
  if (next != batch.getRanks())
    return batch.emitOpError() << "C26: rank " << next << " has no program";
  if (failed(verifyGroups(batch)))
    return failure();
  return verifyCoverage(batch, tiles);
}

struct VerifyPhasePass : impl::VerifyPhaseBase<VerifyPhasePass> {
  using VerifyPhaseBase::VerifyPhaseBase;

  void runOnOperation() override {
    if (failed(verify(getOperation())))
      signalPassFailure();
    markAllAnalysesPreserved();
  }

  LogicalResult verify(cp::BatchOp batch) {
    static constexpr StringRef kPhases[] = {"problem", "placed",
                                            "communicating", "scheduled"};
    if (!llvm::is_contained(kPhases, phase))
      return batch.emitOpError()
             << "phase must be problem, placed, communicating or scheduled, "
                "found '"
             << phase << "'";
    // Ops first: what holds between them is only defined for valid ones.
    if (failed(mlir::verify(batch)))
      return failure();
    FailureOr<CompileRequest> request = requestOf(batch);
    if (failed(request) || failed(verifyOps(batch, phase)))
      return failure();
    const solver::Problem &problem = request->problem;
    if (phase == "problem")
      return success();
    if (failed(verifyShards(batch, problem)))
      return failure();
    if (phase == "placed")
      return verifyAttends(batch);
    return phase == "communicating"
               ? verifyTransfers(batch, problem.cluster.ranks_per_node)
               : verifyPrograms(batch);
  }
};

} // namespace
} // namespace flashcp
