// A scheduled batch becomes the tables of plan.fbs, rank by rank.

#include "compiler/emit/EmitPlan.h"

#include "compiler/analysis/BatchAnalysis.h"
#include "compiler/analysis/RemoteStages.h"
#include "compiler/emit/EmitBuffers.h"
#include "compiler/emit/EmitInstructions.h"
#include "compiler/emit/EmitMessages.h"
#include "compiler/emit/EmitTiles.h"
#include "compiler/emit/PlanTables.h"
#include "compiler/emit/plan_size.h"
#include "compiler/solver/bounds.h"
#include "compiler/solver/schedule.h"
#include "runtime/plan/conversion.h"

using namespace mlir;

namespace flashcp {

namespace {

/// Returns all tables of one rank, each from the ones before it.
RankTables emitRank(cp::BatchOp batch, cp::ProgramOp program,
                    ArrayRef<fbs::Document> documents,
                    MessageEmitter &messages) {
  RankTables tables;
  tables.slices.reserve(messages.maxSlices(program.getRank()));
  RankRows rows = emitBuffers(batch, program, tables);
  emitTiles(program, documents, rows, tables);
  SmallVector<uint32_t> messageEnds =
      messages.emit(program, rows.stages, tables);
  emitInstructions(program, messageEnds, tables);
  return tables;
}

/// Returns a bound of the bytes that the plan will take, so that the builder
/// allocates once; memory that it does not touch costs nothing.
size_t maxPlanBytes(cp::BatchOp batch, size_t documents,
                    const MessageEmitter &messages) {
  size_t bytes = 65536 + documents * sizeof(fbs::Document);
  for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
    bytes += 1024 + program.getLayout().size() * sizeof(fbs::TokenRange) +
             messages.maxSlices(program.getRank()) * sizeof(fbs::Slice);
    // A message has at least one slice, and up to four parts.
    bytes += messages.maxMessages(program.getRank()) *
             (sizeof(fbs::Message) + 4 * sizeof(fbs::Part));
    for (auto attend : program.getBody().getOps<cp::AttendOp>())
      bytes += 1024 + attend.getTiles().size() * sizeof(fbs::Tile);
  }
  return bytes;
}

/// Returns the head groups of the programs, and the modelled times of the
/// schedule that they follow.
std::pair<int64_t, fbs::Modelled> scheduleOf(cp::BatchOp batch,
                                             const BatchAnalysis &analysis) {
  solver::Schedule schedule;
  for (auto program : batch.getBody().getOps<cp::ProgramOp>()) {
    schedule.head_groups = program.getHeadGroups();
    schedule.row_stages = remoteStagesOf(program).size();
    break;
  }
  schedule = solver::ModelSchedule(analysis.loads(), schedule.head_groups,
                                   schedule.row_stages);
  solver::LowerBounds bounds = solver::BoundStep(analysis.problem());
  return {schedule.head_groups,
          fbs::Modelled(schedule.forward_us, schedule.backward_us,
                        bounds.compute_us, bounds.communication_us,
                        bounds.combined_us)};
}

} // namespace

FailureOr<Plan> emitPlan(cp::BatchOp batch) {
  BatchAnalysis analysis(batch);
  if (failed(analysis.status()))
    return failure();
  const CompileRequest &request = analysis.request();
  const solver::Problem &problem = request.problem;
  MessageEmitter messages(batch, analysis);
  size_t bytes = maxPlanBytes(batch, analysis.documents().size(), messages);
  if (bytes > kMaxPlanBytes)
    return batch.emitError() << PlanTooLarge(bytes);
  flatbuffers::FlatBufferBuilder builder(bytes);
  std::vector<fbs::Document> documents;
  for (const model::Document &document : problem.documents)
    documents.push_back(PlanOf(document));
  std::vector<flatbuffers::Offset<fbs::RankPlan>> ranks;
  for (auto program : batch.getBody().getOps<cp::ProgramOp>())
    ranks.push_back(
        writeRank(builder, emitRank(batch, program, documents, messages)));

  auto cluster = Write(problem.cluster, &builder);
  auto name = builder.CreateString(request.strategy);
  auto documentsOffset = builder.CreateVectorOfStructs(documents);
  auto ranksOffset = builder.CreateVector(ranks);
  fbs::HeadShape heads = PlanOf(problem.heads);
  auto [headGroups, modelled] = scheduleOf(batch, analysis);
  auto root = fbs::CreatePlan(
      builder, kPlanVersion, /*content_hash=*/1, name, PlanOf(problem.exchange),
      PlanOf(problem.dtype), &heads, request.Scale(), documentsOffset,
      request.time_budget_ms, request.memory_budget_bytes,
      problem.slack_percent, cluster, &modelled, ranksOffset,
      request.WorkspaceLimitBytes(), headGroups);
  fbs::FinishPlanBuffer(builder, root);
  return Plan::Seal(builder.Release());
}

} // namespace flashcp
