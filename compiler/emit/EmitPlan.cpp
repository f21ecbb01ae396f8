// A scheduled batch becomes the tables of plan.fbs, rank by rank.

#include "compiler/emit/EmitPlan.h"

#include "compiler/analysis/BatchProblem.h"
#include "compiler/emit/EmitBackward.h"
#include "compiler/emit/EmitMessages.h"
#include "compiler/emit/EmitProgram.h"
#include "compiler/emit/PlanTables.h"
#include "compiler/emit/plan_size.h"
#include "compiler/solver/bounds.h"
#include "compiler/solver/cost_model.h"
#include "runtime/plan/conversion.h"

using namespace mlir;

namespace flashcp {

namespace {

/// Local tiles, then for each stage its exchange, its forward where there are
/// relays, and the tiles; each but the exchange waits for the one before.
/// `messageEnds` are the rank's numbers of messages after each exchange and
/// forward.
void emitInstructions(cp::ProgramOp program, ArrayRef<uint32_t> messageEnds,
                      RankTables &tables) {
  uint32_t tile = 0, message = 0;
  for (Operation &op : program.getBody().front()) {
    uint32_t waits = tables.waits.size();
    auto exchange = dyn_cast<cp::ExchangeOp>(op);
    auto forward = dyn_cast<cp::RelayOp>(op);
    if (exchange || forward) {
      if (forward) // an exchange that has only started brought nothing yet
        tables.waits.push_back(tables.instructions.size() - 1);
      uint32_t end = messageEnds.front();
      messageEnds = messageEnds.drop_front();
      tables.instructions.emplace_back(
          message, end, waits, tables.waits.size(),
          exchange ? exchange.getStage() : forward.getStage(),
          fbs::Opcode::exchange, fbs::Stream::communication);
      message = end;
    } else if (auto compute = dyn_cast<cp::AttendOp>(op)) {
      if (compute.getStage() > 0) // what brings its rows is right before it
        tables.waits.push_back(tables.instructions.size() - 1);
      uint32_t end = tile + compute.getTiles().size() / cp::kStageTileSize;
      tables.instructions.emplace_back(tile, end, waits, tables.waits.size(),
                                       compute.getStage(), fbs::Opcode::attend,
                                       fbs::Stream::compute);
      tile = end;
    }
  }
}

/// All tables of one rank.
RankTables emitRank(cp::BatchOp batch, cp::ProgramOp program,
                    ArrayRef<fbs::Document> documents,
                    const llvm::BitVector &kept, MessageEmitter &messages) {
  RankTables tables;
  tables.slices.reserve(messages.maxSlices(program.getRank()));
  std::vector<StageRows> stages =
      emitProgram(batch, program, documents, kept, tables);
  emitInstructions(program, messages.emit(program, stages, tables), tables);
  emitBackward(program, tables);
  return tables;
}

/// At least the bytes that the plan will take, so that the builder allocates
/// once; memory that it does not touch costs nothing.
size_t maxPlanBytes(cp::BatchOp batch, const MessageEmitter &messages) {
  size_t bytes = 65536;
  bytes += documentsOf(batch).size() * sizeof(fbs::Document);
  for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
    bytes += 1024 + program.getLayout().size() * sizeof(fbs::TokenRange) +
             messages.maxSlices(program.getRank()) * sizeof(fbs::Slice);
    // A message has at least one slice, and up to four parts.
    bytes += messages.maxMessages(program.getRank()) *
             (sizeof(fbs::Message) + 4 * sizeof(fbs::Part));
    for (auto compute : program.getBody().getOps<cp::AttendOp>())
      bytes += 512 + compute.getTiles().size() / cp::kStageTileSize *
                         sizeof(fbs::Tile);
  }
  return bytes;
}

fbs::Modelled modelledTimes(const solver::Problem &problem,
                            const solver::Placement &placement) {
  solver::PlacementCost cost = solver::Evaluate(problem, placement);
  solver::LowerBounds bounds = solver::BoundStep(problem);
  return fbs::Modelled(cost.forward_us, cost.backward_us, bounds.compute_us,
                       bounds.communication_us, bounds.combined_us);
}

} // namespace

FailureOr<Plan> emitPlan(cp::BatchOp batch) {
  FailureOr<CompileRequest> request = requestOf(batch);
  if (failed(request))
    return failure();
  const solver::Problem &problem = request->problem;
  MessageEmitter messages(batch);
  size_t bytes = maxPlanBytes(batch, messages);
  if (bytes > kMaxPlanBytes)
    return batch.emitError() << PlanTooLarge(bytes);
  flatbuffers::FlatBufferBuilder builder(bytes);
  std::vector<fbs::Document> documents;
  for (const model::Document &document : problem.documents)
    documents.push_back(PlanOf(document));
  const llvm::BitVector kept = keptDocuments(batch);
  std::vector<flatbuffers::Offset<fbs::RankPlan>> ranks;
  for (auto program : batch.getBody().getOps<cp::ProgramOp>())
    ranks.push_back(writeRank(
        builder, emitRank(batch, program, documents, kept, messages)));

  auto cluster = Write(problem.cluster, &builder);
  auto name = builder.CreateString(request->strategy);
  auto documentsOffset = builder.CreateVectorOfStructs(documents);
  auto ranksOffset = builder.CreateVector(ranks);
  fbs::HeadShape heads = PlanOf(problem.heads);
  fbs::Modelled modelled = modelledTimes(problem, placementOf(batch));
  auto root = fbs::CreatePlan(
      builder, kPlanVersion, /*content_hash=*/1, name, PlanOf(problem.exchange),
      PlanOf(problem.dtype), &heads, request->Scale(), documentsOffset,
      request->time_budget_ms, request->memory_budget_bytes,
      problem.slack_percent, cluster, &modelled, ranksOffset);
  fbs::FinishPlanBuffer(builder, root);
  return Plan::Seal(builder.Release());
}

} // namespace flashcp
