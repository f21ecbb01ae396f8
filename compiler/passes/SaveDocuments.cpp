// cp-save-documents: chooses which documents' received K/V to save for backward
// instead of re-sending, within a memory budget.

#include "compiler/analysis/Phase.h"
#include "compiler/passes/Passes.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {

#define GEN_PASS_DEF_SAVEDOCUMENTS
#include "compiler/passes/Passes.h.inc"

namespace {

/// The rows that ranks receive of one document; few ranks receive any.
struct ReceivedRows {
  SmallVector<cp::TransferOp, 1> transfers;
  llvm::SmallDenseMap<int64_t, int64_t> byRank;
  int64_t total = 0;
};

/// Returns the received rows of each document. Rows that several ranges bring
/// are counted each time: transfers are coalesced if memory matters.
SmallVector<ReceivedRows> receivedRows(cp::BatchOp batch) {
  llvm::MapVector<Operation *, ReceivedRows> documents;
  for (auto transfer : batch.getBody().getOps<cp::TransferOp>()) {
    ReceivedRows &rows = documents[transfer.getShardOp()];
    rows.transfers.push_back(transfer);
    for (const cp::MovedRange &range : transfer.getRanges()) {
      rows.byRank[range.receiver] += range.end - range.begin;
      rows.total += range.end - range.begin;
    }
  }
  SmallVector<ReceivedRows> list;
  for (auto &[op, rows] : documents)
    list.push_back(std::move(rows));
  return list;
}

struct SaveDocumentsPass : impl::SaveDocumentsBase<SaveDocumentsPass> {
  using SaveDocumentsBase::SaveDocumentsBase;

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
      for (cp::TransferOp transfer : rows.transfers)
        transfer.setSaved(true);
      ++numSaved;
    }
  }
};

} // namespace
} // namespace flashcp
