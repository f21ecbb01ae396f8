// Verifiers of the cp ops: what one op can check by itself. Each constraint has
// the number that docs/dialect.md and tests/dialects/cp/invalid.mlir use; what
// holds between ops is checked by the pass cp-verify-phase.

#include "dialects/cp/CP.h"

using namespace mlir;
using namespace flashcp;
using namespace flashcp::cp;

//===----------------------------------------------------------------------===//
// Shared checks
//===----------------------------------------------------------------------===//

/// Returns what the entries of an op are checked against.
static EntryScope scopeOf(Operation *op, DocumentOp document = {}) {
  auto batch = op->getParentOfType<BatchOp>();
  EntryScope scope{op, int64_t(batch.getRanks()), batch.getHeads().getQ(),
                   batch.getHeads().getKv()};
  if (document)
    scope.length = document.getLength();
  return scope;
}

/// Notes where the document is that an error is about.
static InFlightDiagnostic noteDocument(InFlightDiagnostic error,
                                       DocumentOp document) {
  error.attachNote(document.getLoc()) << "the document is here";
  return error;
}

/// C7, C8: ranges of owners partition the document in order. Errors are those
/// of `op`, the document itself or its shard.
static LogicalResult verifyOwners(Operation *op, ArrayRef<OwnedRange> owned,
                                  DocumentOp document) {
  EntryScope scope = scopeOf(op, document);
  if (failed(verifyEntries(owned, scope)))
    return failure();
  int64_t position = 0, previous = -1;
  for (const OwnedRange &range : owned) {
    if (range.begin != position)
      return op->emitOpError() << "C7: ranges must partition the document in "
                                  "order: expected one from "
                               << position << " on, found [" << range.begin
                               << ", " << range.end << ")";
    if (range.owner == previous)
      return op->emitOpError() << "C8: neighbours must have different owners, "
                                  "found two ranges on "
                               << previous << " that meet at " << position;
    position = range.end;
    previous = range.owner;
  }
  if (position == scope.length)
    return success();
  return noteDocument(op->emitOpError()
                          << "C7: ranges must cover [0, " << scope.length
                          << "), found [0, " << position << ")",
                      document);
}

/// C13: a range of the batch's key/value heads.
static LogicalResult verifyKeyValueHeads(const EntryScope &scope, int64_t begin,
                                         int64_t end) {
  if (0 <= begin && begin < end && end <= scope.keyValueHeads)
    return success();
  return scope.op->emitOpError()
         << "C13: key/value heads must lie in [0, " << scope.keyValueHeads
         << "), found [" << begin << ", " << end << ")";
}

/// C16: local work has stage 0; what follows an exchange counts from 1.
static LogicalResult verifyStage(Operation *op, int64_t stage,
                                 int64_t smallest) {
  if (stage >= smallest)
    return success();
  return op->emitOpError() << "C16: stage must be at least " << smallest
                           << ", found " << stage;
}

//===----------------------------------------------------------------------===//
// BatchOp
//===----------------------------------------------------------------------===//

LogicalResult BatchOp::verify() {
  if (getRanks() < 1 || getRanks() > 4096)
    return emitOpError() << "C1: ranks must lie in [1, 4096], found "
                         << getRanks();
  HeadsAttr heads = getHeads();
  if (heads.getKv() < 1 || heads.getQ() < 1 ||
      heads.getQ() % heads.getKv() != 0)
    return emitOpError() << "C2: query heads must be a multiple of key/value "
                            "heads, found "
                         << heads.getQ() << " and " << heads.getKv();
  if (heads.getDim() < 8 || heads.getDim() > 256 || heads.getDim() % 8 != 0)
    return emitOpError() << "C2: head dim must be a multiple of 8 from 8 to "
                            "256, found "
                         << heads.getDim();
  if (!isa<Float32Type, BFloat16Type, Float16Type>(getDtype()))
    return emitOpError() << "C3: dtype must be f32, bf16 or f16, found "
                         << getDtype();
  double slack = getSlackPercent().convertToDouble();
  if (!(slack >= 0 && slack <= 100))
    return emitOpError() << "C4: slack must lie in [0, 100] percent, found "
                         << slack;
  double timeBudget = getTimeBudgetMs().convertToDouble();
  if (!(timeBudget >= 0 && timeBudget <= kMaxTimeBudgetMs))
    return emitOpError() << "C34: time budget must lie in [0, "
                         << kMaxTimeBudgetMs << "] ms, found " << timeBudget;
  int64_t memoryBudget = getMemoryBudgetBytes();
  if (memoryBudget < 0 || memoryBudget > kMaxMemoryBytes)
    return emitOpError() << "C35: memory budget must lie in [0, "
                         << kMaxMemoryBytes << "] bytes, found "
                         << memoryBudget;
  if (std::optional<uint64_t> limit = getWorkspaceLimitBytes();
      limit && *limit > uint64_t(kMaxMemoryBytes))
    return emitOpError() << "C37: workspace limit must lie in [0, "
                         << kMaxMemoryBytes << "] bytes, found "
                         << int64_t(*limit);
  std::optional<llvm::APFloat> scale = getScale();
  if (scale && (!scale->isFinite() || scale->isNegative() || scale->isZero()))
    return emitOpError() << "C36: scale must be finite and above 0, found "
                         << scale->convertToFloat();
  return success();
}

//===----------------------------------------------------------------------===//
// DocumentOp
//===----------------------------------------------------------------------===//

void DocumentOp::build(OpBuilder &builder, OperationState &state,
                       int64_t length, const model::Mask &mask) {
  MLIRContext *context = builder.getContext();
  build(builder, state, DocumentType::get(context), length,
        MaskAttr::get(context, mask), /*layout=*/DenseI64ArrayAttr());
}

LogicalResult DocumentOp::verify() {
  if (int64_t(getLength()) < 0 || int64_t(getLength()) > model::kMaxTokens)
    return emitOpError() << "C5: length must lie in [0, " << model::kMaxTokens
                         << "], found " << int64_t(getLength());
  return getLayout() ? verifyOwners(*this, *getLayout(), *this) : success();
}

//===----------------------------------------------------------------------===//
// ShardOp
//===----------------------------------------------------------------------===//

DocumentOp ShardOp::getDocumentOp() {
  return getDocument().getDefiningOp<DocumentOp>();
}

LogicalResult ShardOp::verify() {
  DocumentOp document = getDocumentOp();
  if (!document)
    return emitOpError() << "C19: must name a cp.document";
  return verifyOwners(*this, getOwned(), document);
}

//===----------------------------------------------------------------------===//
// TilesOp and TransferOp
//===----------------------------------------------------------------------===//

/// C19: an operand is a shard of a document; returns this document.
static FailureOr<DocumentOp> verifySharded(Operation *op, ShardOp shard) {
  if (shard && shard.getDocumentOp())
    return shard.getDocumentOp();
  return op->emitOpError() << "C19: must name a cp.shard";
}

ShardOp TilesOp::getShardOp() { return getSharded().getDefiningOp<ShardOp>(); }

LogicalResult TilesOp::verify() {
  FailureOr<DocumentOp> document = verifySharded(*this, getShardOp());
  if (failed(document))
    return failure();
  EntryScope scope = scopeOf(*this, *document);
  return failure(
      failed(verifyQueryHeads(scope, getHeadBegin(), getHeadEnd())) ||
      failed(verifyEntries(getTiles(), scope)));
}

ShardOp TransferOp::getShardOp() {
  return getSharded().getDefiningOp<ShardOp>();
}

LogicalResult TransferOp::verify() {
  FailureOr<DocumentOp> document = verifySharded(*this, getShardOp());
  if (failed(document))
    return failure();
  EntryScope scope = scopeOf(*this, *document);
  return failure(
      failed(verifyKeyValueHeads(scope, getHeadBegin(), getHeadEnd())) ||
      failed(verifyEntries(getRanges(), scope)));
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

LogicalResult ProgramOp::verify() {
  EntryScope scope = scopeOf(*this);
  if (getRank() >= uint64_t(scope.ranks))
    return emitOpError() << "C14: rank must lie in [0, " << scope.ranks
                         << "), found " << int64_t(getRank());
  int64_t groups = getHeadGroups();
  if (groups < 1 || scope.keyValueHeads % groups != 0)
    return emitOpError() << "C38: head groups must divide the "
                         << scope.keyValueHeads << " key/value heads, found "
                         << groups;
  return verifyEntries(getLayout(), scope);
}

LogicalResult AttendOp::verify() {
  return failure(failed(verifyStage(*this, getStage(), 0)) ||
                 failed(verifyEntries(getTiles(), scopeOf(*this))));
}

LogicalResult ExchangeOp::verify() {
  EntryScope scope = scopeOf(*this);
  scope.receiver = cast<ProgramOp>((*this)->getParentOp()).getRank();
  if (failed(verifyStage(*this, getStage(), 1)) ||
      failed(verifyKeyValueHeads(scope, getHeadBegin(), getHeadEnd())) ||
      failed(verifyEntries(getReceived(), scope)))
    return failure();
  for (const ReceivedRange &range : getReceived())
    if ((range.relay != kNoRelay) != getRelayed())
      return emitOpError() << "C30: ranges of "
                           << (getRelayed() ? "a relayed exchange come from "
                                              "relays"
                                            : "an exchange come from owners")
                           << ", found [" << range.begin << ", " << range.end
                           << ") of document " << range.document
                           << (getRelayed() ? " without one" : " from a relay");
  return success();
}

LogicalResult BufferOp::verify() {
  bool ofStage =
      getKind() < BufferKind::accumulator || getKind() > BufferKind::value_sum;
  if (failed(verifyStage(*this, getStage(), ofStage ? 1 : 0)))
    return failure();
  if (int64_t(getOffset()) < 0 || getOffset() % 64 != 0)
    return emitOpError() << "C17: offset must be a multiple of 64, found "
                         << int64_t(getOffset());
  if (getPlaces() < 1 || getPlaces() > kMaxPlaces)
    return emitOpError() << "C17: places must lie in [1, " << kMaxPlaces
                         << "], found " << int64_t(getPlaces());
  return success();
}

//===----------------------------------------------------------------------===//
// Backward
//===----------------------------------------------------------------------===//

LogicalResult ClearGradientsOp::verify() {
  return verifyStage(*this, getStage(), 0);
}
LogicalResult ResendOp::verify() { return verifyStage(*this, getStage(), 1); }
LogicalResult PackGradientsOp::verify() {
  return verifyStage(*this, getStage(), 1);
}
LogicalResult ExchangeGradientsOp::verify() {
  return verifyStage(*this, getStage(), 1);
}
LogicalResult AddGradientsOp::verify() {
  return verifyStage(*this, getStage(), 1);
}
LogicalResult AttendBackwardOp::verify() {
  return verifyStage(*this, getStage(), 0);
}

#define GET_OP_CLASSES
#include "dialects/cp/CPOps.cpp.inc"
