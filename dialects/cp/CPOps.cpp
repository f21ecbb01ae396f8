// Verifiers of the cp ops: what one op can check by itself. Each constraint has
// the number that docs/dialect.md and tests/dialects/cp/invalid.mlir use; what
// holds between ops is checked by the pass cp-verify-phase.

#include "dialects/cp/CP.h"

#include "dialects/cp/CPSyntax.h"

using namespace mlir;
using namespace flashcp::cp;

//===----------------------------------------------------------------------===//
// Shared checks
//===----------------------------------------------------------------------===//

/// The batch that an op belongs to, or null in a malformed module.
static BatchOp getBatch(Operation *op) {
  return op->getParentOfType<BatchOp>();
}

/// C9, C12, C15: [begin, end) is not empty and lies in [0, length).
static LogicalResult verifyRange(Operation *op, StringRef constraint,
                                 StringRef what, ArrayRef<int64_t> range,
                                 int64_t length) {
  if (0 <= range[0] && range[0] < range[1] && range[1] <= length)
    return success();
  return op->emitOpError() << constraint << ": " << what
                           << " range must not be empty and lie in [0, "
                           << length << "), found [" << range[0] << ", "
                           << range[1] << ")";
}

/// C8, C10, C12, C14: a rank of the batch.
static LogicalResult verifyRank(Operation *op, StringRef constraint,
                                int64_t rank, int64_t ranks) {
  if (0 <= rank && rank < ranks)
    return success();
  return op->emitOpError() << constraint << ": rank must lie in [0, " << ranks
                           << "), found " << rank;
}

/// C12, C30: a rank of the batch that forwards rows to another one.
static LogicalResult verifyRelay(Operation *op, StringRef constraint,
                                 int64_t relay, int64_t receiver,
                                 int64_t ranks) {
  if (0 <= relay && relay < ranks && relay != receiver)
    return success();
  return op->emitOpError() << constraint << ": relay must lie in [0, " << ranks
                           << ") and not be the receiver, rank " << receiver
                           << ", found " << relay;
}

/// C11: whole KV groups of query heads, or a range inside one group.
static LogicalResult verifyQueryHeads(Operation *op, HeadsAttr heads,
                                      int64_t begin, int64_t end) {
  if (begin == 0 && end == heads.getQ())
    return success(); // nearly always
  int64_t group = heads.getQ() / heads.getKv();
  bool wholeGroups = begin % group == 0 && end % group == 0;
  bool insideOne = begin / group == (end - 1) / group;
  if (0 <= begin && begin < end && end <= heads.getQ() &&
      (wholeGroups || insideOne))
    return success();
  return op->emitOpError() << "C11: query heads must be whole groups of "
                           << group << " or lie inside one, within [0, "
                           << heads.getQ() << "), found [" << begin << ", "
                           << end << ")";
}

/// C13: a range of the batch's key/value heads.
static LogicalResult verifyKeyValueHeads(Operation *op, int64_t begin,
                                         int64_t end) {
  int64_t kv = getBatch(op).getHeads().getKv();
  if (0 <= begin && begin < end && end <= kv)
    return success();
  return op->emitOpError() << "C13: key/value heads must lie in [0, " << kv
                           << "), found [" << begin << ", " << end << ")";
}

/// C18: a dense attribute holds whole entries.
static LogicalResult verifyEntries(Operation *op, ArrayRef<int64_t> numbers,
                                   size_t size) {
  if (numbers.size() % size == 0)
    return success();
  return op->emitOpError() << "C18: holds " << numbers.size()
                           << " numbers, expected a multiple of " << size;
}

/// C15: token ranges of documents of the batch, each not empty. Lengths are
/// checked against the documents by cp-verify-phase. Entries of `size` numbers
/// begin with document, begin, end.
static LogicalResult verifyTokenRanges(Operation *op, ArrayRef<int64_t> ranges,
                                       size_t size = kTokenRangeSize) {
  if (failed(verifyEntries(op, ranges, size)))
    return failure();
  for (size_t i = 0; i < ranges.size(); i += size) {
    if (ranges[i] < 0)
      return op->emitOpError()
             << "C15: document number must not be negative, found "
             << ranges[i];
    if (failed(verifyRange(op, "C15", "token", ranges.slice(i + 1, 2),
                           kMaxDocumentLength)))
      return failure();
  }
  return success();
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
  if (memoryBudget < 0 || memoryBudget > kMaxMemoryBudgetBytes)
    return emitOpError() << "C35: memory budget must lie in [0, "
                         << kMaxMemoryBudgetBytes << "] bytes, found "
                         << memoryBudget;
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
                       int64_t length, MaskAttr mask) {
  build(builder, state, DocumentType::get(builder.getContext()), length, mask,
        /*kept=*/false);
}

LogicalResult DocumentOp::verify() {
  if (int64_t(getLength()) < 0 || int64_t(getLength()) > kMaxDocumentLength)
    return emitOpError() << "C5: length must lie in [0, " << kMaxDocumentLength
                         << "], found " << int64_t(getLength());
  bool isWindow = getMask().getKind() == MaskKind::window;
  int64_t window = getMask().getWindow();
  if (isWindow ? window < 1 || window > kMaxDocumentLength : window != 0)
    return emitOpError() << "C6: window must lie in [1, " << kMaxDocumentLength
                         << "] for mask window and be 0 for the others, found "
                         << window;
  return success();
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
  int64_t length = document.getLength();
  ArrayRef<int64_t> bounds = getBounds();
  if (bounds.size() != getOwners().size() + 1)
    return emitOpError() << "C7: " << getOwners().size()
                         << " owners need one bound more, found "
                         << bounds.size();
  if (bounds.front() != 0 || bounds.back() != length) {
    InFlightDiagnostic error =
        emitOpError() << "C7: ranges must cover [0, " << length << "), found ["
                      << bounds.front() << ", " << bounds.back() << ")";
    error.attachNote(document.getLoc()) << "the document is here";
    return error;
  }
  int64_t ranks = getBatch(*this).getRanks();
  for (auto [i, owner] : llvm::enumerate(getOwners())) {
    if (failed(verifyRange(*this, "C7", "owned", bounds.slice(i, 2), length)) ||
        failed(verifyRank(*this, "C8", owner, ranks)))
      return failure();
    if (i && getOwners()[i - 1] == owner)
      return emitOpError() << "C8: neighbours must have different owners, "
                              "found two ranges on "
                           << owner << " that meet at " << bounds[i];
  }
  return success();
}

//===----------------------------------------------------------------------===//
// TilesOp
//===----------------------------------------------------------------------===//

ShardOp TilesOp::getShardOp() { return getSharded().getDefiningOp<ShardOp>(); }

LogicalResult TilesOp::verify() {
  if (!getShardOp() || !getShardOp().getDocumentOp())
    return emitOpError() << "C19: must name a cp.shard";
  if (failed(verifyQueryHeads(*this, getBatch(*this).getHeads(), getHeadBegin(),
                              getHeadEnd())) ||
      failed(verifyEntries(*this, getTiles(), kRankTileSize)))
    return failure();
  int64_t length = getShardOp().getDocumentOp().getLength();
  int64_t ranks = getBatch(*this).getRanks();
  ArrayRef<int64_t> tiles = getTiles();
  for (size_t i = 0; i < tiles.size(); i += kRankTileSize) {
    ArrayRef<int64_t> tile = tiles.slice(i, kRankTileSize);
    if (failed(verifyRange(*this, "C9", "query", tile, length)) ||
        failed(verifyRange(*this, "C9", "key", tile.slice(2), length)) ||
        failed(verifyRank(*this, "C10", tile[4], ranks)))
      return failure();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// TransferOp
//===----------------------------------------------------------------------===//

ShardOp TransferOp::getShardOp() {
  return getSharded().getDefiningOp<ShardOp>();
}

LogicalResult TransferOp::verify() {
  if (!getShardOp() || !getShardOp().getDocumentOp())
    return emitOpError() << "C19: must name a cp.shard";
  if (failed(verifyKeyValueHeads(*this, getHeadBegin(), getHeadEnd())) ||
      failed(verifyEntries(*this, getRanges(), kReceivedSize)))
    return failure();
  int64_t length = getShardOp().getDocumentOp().getLength();
  int64_t ranks = getBatch(*this).getRanks();
  ArrayRef<int64_t> ranges = getRanges();
  for (size_t i = 0; i < ranges.size(); i += kReceivedSize) {
    ArrayRef<int64_t> range = ranges.slice(i, kReceivedSize);
    if (failed(verifyRange(*this, "C12", "token", range, length)) ||
        failed(verifyRank(*this, "C12", range[2], ranks)))
      return failure();
    if (range[3] != kNoRelay &&
        failed(verifyRelay(*this, "C12", range[3], range[2], ranks)))
      return failure();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// ProgramOp
//===----------------------------------------------------------------------===//

LogicalResult ProgramOp::verify() {
  if (failed(verifyRank(*this, "C14", getRank(), getBatch(*this).getRanks())))
    return failure();
  return verifyTokenRanges(*this, getLayout());
}

//===----------------------------------------------------------------------===//
// AttendOp
//===----------------------------------------------------------------------===//

LogicalResult AttendOp::verify() {
  if (failed(verifyStage(*this, getStage(), 0)) ||
      failed(verifyEntries(*this, getTiles(), kStageTileSize)))
    return failure();
  HeadsAttr heads = getBatch(*this).getHeads();
  ArrayRef<int64_t> tiles = getTiles();
  for (size_t i = 0; i < tiles.size(); i += kStageTileSize) {
    ArrayRef<int64_t> tile = tiles.slice(i, kStageTileSize);
    if (failed(verifyRange(*this, "C9", "query", tile.slice(1),
                           kMaxDocumentLength)) ||
        failed(verifyRange(*this, "C9", "key", tile.slice(3),
                           kMaxDocumentLength)) ||
        failed(verifyQueryHeads(*this, heads, tile[5], tile[6])))
      return failure();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// ExchangeOp
//===----------------------------------------------------------------------===//

LogicalResult ExchangeOp::verify() {
  if (failed(verifyStage(*this, getStage(), 1)) ||
      failed(verifyKeyValueHeads(*this, getHeadBegin(), getHeadEnd())))
    return failure();
  return verifyTokenRanges(*this, getReceived());
}

//===----------------------------------------------------------------------===//
// RelayOp
//===----------------------------------------------------------------------===//

LogicalResult RelayOp::verify() {
  if (failed(verifyStage(*this, getStage(), 1)) ||
      failed(verifyKeyValueHeads(*this, getHeadBegin(), getHeadEnd())) ||
      failed(verifyTokenRanges(*this, getReceived(), kForwardedSize)))
    return failure();
  int64_t rank = cast<ProgramOp>((*this)->getParentOp()).getRank();
  int64_t ranks = getBatch(*this).getRanks();
  for (size_t i = 0; i < getReceived().size(); i += kForwardedSize)
    if (failed(verifyRelay(*this, "C30", getReceived()[i + 3], rank, ranks)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// BufferOp
//===----------------------------------------------------------------------===//

/// C17: the place of a buffer.
static LogicalResult verifyOffset(Operation *op, int64_t offset) {
  if (offset >= 0 && offset % 64 == 0)
    return success();
  return op->emitOpError() << "C17: offset must be a multiple of 64, found "
                           << offset;
}

LogicalResult BufferOp::verify() {
  bool isAccumulator = getKind() == BufferKind::accumulator;
  if (failed(verifyStage(*this, getStage(), isAccumulator ? 0 : 1)) ||
      failed(verifyOffset(*this, getOffset())))
    return failure();
  return verifyTokenRanges(*this, getHolds());
}

//===----------------------------------------------------------------------===//
// Backward
//===----------------------------------------------------------------------===//

LogicalResult GradientBufferOp::verify() {
  bool isRemote = getKind() == GradientKind::remote_key_sum ||
                  getKind() == GradientKind::remote_value_sum;
  if (failed(verifyStage(*this, getStage(), isRemote ? 1 : 0)))
    return failure();
  return verifyOffset(*this, getOffset());
}

LogicalResult ResendOp::verify() { return verifyStage(*this, getStage(), 1); }
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
