// Work in pairs of queries and keys, rows in rows received: shares of what the
// cost model says for a whole rank.

#include "compiler/analysis/LocalSplit.h"

#include "compiler/analysis/RemoteStages.h"
#include "compiler/solver/stages.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace flashcp {
namespace {

/// Splits are tried at about this part of the local work from each other.
constexpr int kParts = 16;

/// Splits that differ by less are equal: the model is no better.
constexpr double kEqual = 0.005;

/// About how many pairs of queries and keys of a tile its mask allows.
double pairsOf(ArrayRef<int64_t> tile, ArrayRef<cp::DocumentOp> documents) {
  double area = double(tile[2] - tile[1]) * (tile[4] - tile[3]);
  cp::DocumentOp document = documents[tile[0]];
  if (documentOf(document).mask.IsFull())
    return area;
  double above = std::max<int64_t>(0, tile[4] - tile[1]);
  return std::max(1.0, area - above * above / 2);
}

double pairsOf(cp::AttendOp compute, ArrayRef<cp::DocumentOp> documents) {
  double pairs = 0;
  ArrayRef<int64_t> tiles = compute.getTiles();
  for (size_t i = 0; i < tiles.size(); i += cp::kStageTileSize)
    pairs += pairsOf(tiles.slice(i, cp::kStageTileSize), documents);
  return pairs;
}

/// The first local tiles: how many, and how much work.
struct LocalPart {
  int64_t numTiles;
  double pairs;
};

/// Parts of the local tiles at about equal distances, from none to all.
SmallVector<LocalPart> partsOf(cp::AttendOp local, double localPairs,
                               ArrayRef<cp::DocumentOp> documents) {
  SmallVector<LocalPart> parts = {{0, 0}};
  double pairs = 0;
  ArrayRef<int64_t> tiles = local.getTiles();
  for (size_t i = 0; i < tiles.size(); i += cp::kStageTileSize) {
    pairs += pairsOf(tiles.slice(i, cp::kStageTileSize), documents);
    if (pairs - parts.back().pairs >= localPairs / kParts ||
        i + cp::kStageTileSize == tiles.size())
      parts.push_back({int64_t(i / cp::kStageTileSize + 1), pairs});
  }
  return parts;
}

/// K/V rows that a stage receives, by heads, and those of saved documents.
struct StageRows {
  double all = 0, kept = 0;
};

StageRows rowsOf(RemoteStage stage, ArrayRef<cp::DocumentOp> documents) {
  StageRows rows;
  SmallVector<int64_t> held = heldTokens(stage);
  for (size_t i = 0; i < held.size(); i += cp::kTokenRangeSize) {
    double count = double(held[i + 2] - held[i + 1]) * stage.numHeads();
    rows.all += count;
    if (cp::DocumentOp(documents[held[i]]).getKept())
      rows.kept += count;
  }
  return rows;
}

/// The remote stages of a program: shares of the rank's work, `usPerPair`, and
/// of its transfers, as many as it receives rows.
std::vector<solver::BackwardStage> stagesOf(cp::ProgramOp program,
                                            ArrayRef<cp::AttendOp> computes,
                                            ArrayRef<cp::DocumentOp> documents,
                                            double usPerPair,
                                            double transferUs) {
  SmallVector<RemoteStage> remote = remoteStagesOf(program);
  SmallVector<StageRows> rows;
  double total = 0;
  for (RemoteStage &stage : remote)
    total += rows.emplace_back(rowsOf(stage, documents)).all;
  std::vector<solver::BackwardStage> stages;
  for (auto [i, of] : llvm::enumerate(rows)) {
    double share = total > 0 ? of.all / total : 1.0 / remote.size();
    double sent = of.all > 0 ? 1 - of.kept / of.all : 1;
    stages.push_back({transferUs * share * sent,
                      usPerPair * pairsOf(computes[i + 1], documents),
                      transferUs * share});
  }
  return stages;
}

} // namespace

FailureOr<LocalSplit> LocalSplit::create(cp::BatchOp batch) {
  FailureOr<solver::Problem> problem = problemOf(batch);
  if (failed(problem))
    return failure();
  solver::Placement placement = placementOf(batch);
  if (absl::Status status = placement.Verify(*problem); !status.ok())
    return batch.emitOpError() << "C23: " << std::string(status.message());
  return LocalSplit(solver::Evaluate(*problem, placement), documentsOf(batch));
}

int64_t LocalSplit::tilesBefore(cp::ProgramOp program) const {
  auto computes = llvm::to_vector(program.getBody().getOps<cp::AttendOp>());
  if (computes.size() == 1)
    return computes.front().getTiles().size() / cp::kStageTileSize;
  double pairs = 0;
  for (cp::AttendOp compute : computes)
    pairs += pairsOf(compute, documents);
  const solver::RankCost &rank = cost.ranks[program.getRank()];
  double usPerPair = rank.compute_backward_us / std::max(1.0, pairs);
  std::vector<solver::BackwardStage> stages = stagesOf(
      program, computes, documents, usPerPair, rank.transfer_backward_us / 2);
  double localPairs = pairsOf(computes.front(), documents);
  SmallVector<LocalPart> parts =
      partsOf(computes.front(), localPairs, documents);
  auto us = [&](const LocalPart &part) {
    return solver::BackwardUs(stages, usPerPair * part.pairs,
                              usPerPair * (localPairs - part.pairs));
  };
  double least = us(parts.front());
  for (const LocalPart &part : parts)
    least = std::min(least, us(part));
  bool resends = llvm::any_of(stages, [](const solver::BackwardStage &stage) {
    return stage.resend_us > 0;
  });
  const double wanted = resends ? localPairs / 2 : 0;
  auto off = [&](const LocalPart &part) {
    return std::abs(part.pairs - wanted);
  };
  const LocalPart *best = nullptr;
  for (const LocalPart &part : parts)
    if (us(part) <= least * (1 + kEqual) && (!best || off(part) <= off(*best)))
      best = &part;
  return best->numTiles;
}

} // namespace flashcp
