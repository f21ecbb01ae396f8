// cp-keep-documents: whose received rows stay from forward to backward, instead
// of being sent again: as many rows as a budget of memory allows.

#include "compiler/analysis/Phase.h"
#include "compiler/passes/Passes.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_KEEPDOCUMENTS
#include "compiler/passes/Passes.h.inc"

namespace {

/// The rows that ranks receive of one document; few ranks receive any.
struct ReceivedRows {
  cp::DocumentOp document;
  llvm::SmallDenseMap<int64_t, int64_t> byRank;
  int64_t total = 0;
};

/// Rows that several ranges bring are counted each time: transfers are
/// coalesced where memory matters.
SmallVector<ReceivedRows> receivedRows(cp::BatchOp batch) {
  llvm::MapVector<Operation *, ReceivedRows> documents;
  for (auto transfer : batch.getBody().getOps<cp::TransferOp>()) {
    cp::DocumentOp document = transfer.getShardOp().getDocumentOp();
    ReceivedRows &rows = documents[document];
    rows.document = document;
    ArrayRef<int64_t> r = transfer.getRanges();
    for (size_t i = 0; i < r.size(); i += cp::kReceivedSize) {
      rows.byRank[r[i + 2]] += r[i + 1] - r[i];
      rows.total += r[i + 1] - r[i];
    }
  }
  SmallVector<ReceivedRows> list;
  for (auto &[op, rows] : documents)
    list.push_back(std::move(rows));
  return list;
}

struct KeepDocumentsPass : impl::KeepDocumentsBase<KeepDocumentsPass> {
  using KeepDocumentsBase::KeepDocumentsBase;

  void runOnOperation() override {
    cp::BatchOp batch = getOperation();
    if (failed(requirePhase(batch, Phase::communicating, getArgument())))
      return signalPassFailure();
    if (batch.getMemoryBudgetBytes() == 0)
      return;
    SmallVector<ReceivedRows> documents = receivedRows(batch);
    llvm::stable_sort(documents,
                      [](const ReceivedRows &a, const ReceivedRows &b) {
                        return a.total > b.total;
                      });
    int64_t rowBytes = 2 * batch.getHeads().getKv() *
                       batch.getHeads().getDim() *
                       batch.getDtype().getIntOrFloatBitWidth() / 8;
    SmallVector<int64_t> left(batch.getRanks(),
                              batch.getMemoryBudgetBytes() / rowBytes);
    for (ReceivedRows &rows : documents) {
      bool fits = llvm::all_of(rows.byRank, [&](auto &entry) {
        return entry.second <= left[entry.first];
      });
      if (!fits)
        continue;
      for (auto [rank, count] : rows.byRank)
        left[rank] -= count;
      rows.document.setKept(true);
      ++numKept;
    }
  }
};

} // namespace
} // namespace flashcp
