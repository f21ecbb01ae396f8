// cp-verify-phase: what must hold between ops at a phase boundary, constraints
// C20 to C29 of docs/dialect.md. Later passes assume it.

#include "compiler/BatchProblem.h"
#include "compiler/Coverage.h"
#include "compiler/OwnedRanges.h"
#include "compiler/Passes.h"
#include "compiler/RowIndex.h"
#include "compiler/SharedQueries.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_VERIFYPHASE
#include "compiler/Passes.h.inc"

namespace {

/// C20: the batch is a problem, and holds only ops of the phases up to now.
LogicalResult verifyProblem(cp::BatchOp batch, StringRef phase) {
  if (failed(problemOf(batch)))
    return failure();
  for (Operation &op : batch.getBody().front()) {
    bool allowed = isa<cp::DocumentOp>(op) ||
                   (phase != "problem" && isa<cp::ShardOp>(op)) ||
                   ((phase == "placed" || phase == "communicating") &&
                    isa<cp::AttendOp>(op)) ||
                   (phase == "communicating" && isa<cp::TransferOp>(op)) ||
                   (phase == "scheduled" && isa<cp::ProgramOp>(op));
    if (!allowed)
      return op.emitOpError() << "C20: does not belong in phase " << phase;
  }
  return success();
}

/// C22: one shard per document, in the order of the documents. C23: equal
/// tokens.
LogicalResult verifyShards(cp::BatchOp batch) {
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
  if (absl::Status status = placementOf(batch).Verify(*problemOf(batch));
      !status.ok())
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
  for (auto attend : batch.getBody().getOps<cp::AttendOp>()) {
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
  int64_t rank, begin, end;
};

/// What each rank receives of one document, by rank and begin.
SmallVector<Received> receivedOf(Value sharded) {
  SmallVector<Received> received;
  for (Operation *user : sharded.getUsers())
    if (auto transfer = dyn_cast<cp::TransferOp>(user)) {
      ArrayRef<int64_t> r = transfer.getRanges();
      for (size_t i = 0; i < r.size(); i += cp::kReceivedSize)
        received.push_back({r[i + 2], r[i], r[i + 1]});
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

/// C24: the rank of a tile owns or receives every key that it reads, and owns
/// its queries.
LogicalResult verifyTransfers(cp::BatchOp batch) {
  for (auto attend : batch.getBody().getOps<cp::AttendOp>()) {
    OwnedRanges owned(attend.getShardOp());
    SmallVector<Received> received = receivedOf(attend.getSharded());
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

/// C28: an exchange receives tokens of the batch, in order of document and
/// position.
LogicalResult verifyReceived(cp::ExchangeOp exchange,
                             ArrayRef<int64_t> lengths) {
  ArrayRef<int64_t> r = exchange.getReceived();
  for (size_t i = 0; i < r.size(); i += cp::kTokenRangeSize) {
    bool ordered =
        i == 0 || std::pair(r[i - 3], r[i - 2]) <= std::pair(r[i], r[i + 1]);
    if (!ordered || r[i] >= int64_t(lengths.size()) || r[i + 2] > lengths[r[i]])
      return exchange.emitOpError()
             << "C28: received ranges must lie in the documents, in order, "
                "found ["
             << r[i + 1] << ", " << r[i + 2] << ") of document " << r[i];
  }
  return success();
}

/// C28: stages come in order, tiles of a stage read its rows, queries are the
/// rank's own.
LogicalResult verifyStages(cp::ProgramOp program, ArrayRef<int64_t> lengths,
                           TilesByDocument &tiles) {
  RowIndex layout(program.getLayout());
  RowIndex rows = layout;
  int64_t computed = -1, exchanged = 0;
  for (Operation &op : program.getBody().front()) {
    if (auto exchange = dyn_cast<cp::ExchangeOp>(op)) {
      if (int64_t(exchange.getStage()) != ++exchanged)
        return op.emitOpError()
               << "C28: expected exchange of stage " << exchanged;
      if (failed(verifyReceived(exchange, lengths)))
        return failure();
      rows = RowIndex(exchange.getReceived());
    }
    auto compute = dyn_cast<cp::ComputeOp>(op);
    if (!compute)
      continue;
    if (int64_t(compute.getStage()) != ++computed || computed != exchanged)
      return op.emitOpError() << "C28: expected compute of stage " << computed
                              << " right after its exchange";
    ArrayRef<int64_t> t = compute.getTiles();
    for (size_t i = 0; i < t.size(); i += cp::kStageTileSize) {
      if (t[i] < 0 || size_t(t[i]) >= tiles.size() ||
          !layout.find(t[i], t[i + 1], t[i + 2]) ||
          !rows.find(t[i], t[i + 3], t[i + 4]))
        return op.emitOpError()
               << "C28: tile q[" << t[i + 1] << ", " << t[i + 2] << ") kv["
               << t[i + 3] << ", " << t[i + 4] << ") of document " << t[i]
               << " reads rows that stage " << computed << " does not hold";
      tiles[t[i]].push_back(
          {t[i + 1], t[i + 2], t[i + 3], t[i + 4], t[i + 5], t[i + 6]});
    }
  }
  return success();
}

/// C29: each exchange has its key and value buffer, shared queries have their
/// accumulator, and buffers follow one another.
LogicalResult verifyBuffers(cp::ProgramOp program) {
  SmallVector<ArrayRef<int64_t>> expected;
  for (auto exchange : program.getBody().getOps<cp::ExchangeOp>())
    if (!exchange.getReceived().empty())
      expected.append(2, exchange.getReceived());
  SmallVector<int64_t> shared = sharedQueries(program);
  if (!shared.empty())
    expected.push_back(shared);
  int64_t end = 0;
  size_t next = 0;
  for (auto buffer : program.getBody().getOps<cp::BufferOp>()) {
    if (int64_t(buffer.getOffset()) < end)
      return buffer.emitOpError() << "C29: must begin at " << end
                                  << " or later, found " << buffer.getOffset();
    end = buffer.getOffset() + 1;
    if (next >= expected.size() || buffer.getHolds() != expected[next++])
      return buffer.emitOpError() << "C29: must hold what the exchange of its "
                                     "stage receives, or, the accumulator, "
                                     "the queries of more than one tile";
  }
  if (!program.getWorkspaceBytes() || next != expected.size())
    return program.emitOpError()
           << "C29: needs buffers: run cp-allocate-buffers";
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
  size_t next = 0;
  for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
    if (program.getRank() != next++)
      return program.emitOpError()
             << "C26: expected the program of rank " << next - 1;
    if (failed(verifyLayout(program, layouts[program.getRank()])) ||
        failed(verifyStages(program, lengths, tiles)) ||
        failed(verifyBuffers(program)))
      return failure();
  }
  if (next != batch.getRanks())
    return batch.emitOpError() << "C26: rank " << next << " has no program";
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
    if (failed(mlir::verify(batch)) || failed(verifyProblem(batch, phase)))
      return failure();
    if (phase == "problem")
      return success();
    if (failed(verifyShards(batch)))
      return failure();
    if (phase == "placed")
      return verifyAttends(batch);
    return phase == "communicating" ? verifyTransfers(batch)
                                    : verifyPrograms(batch);
  }
};

} // namespace
} // namespace flashcp
