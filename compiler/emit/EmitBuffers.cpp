// Buffers in the order of cp.buffer behind the caller's tensors.

#include "compiler/emit/EmitBuffers.h"

#include "compiler/analysis/BatchRequest.h"
#include "compiler/analysis/RemoteStages.h"
#include "compiler/analysis/SharedQueries.h"
#include "runtime/plan/conversion.h"

using namespace mlir;

namespace flashcp {
namespace {

/// Kinds of the dialect are those of the plan from remote_key on.
constexpr fbs::BufferKind planKind(cp::BufferKind kind) {
  return fbs::BufferKind(int(fbs::BufferKind::remote_key) + int(kind));
}

#define FLASHCP_SAME_KIND(kind)                                                \
  static_assert(planKind(cp::BufferKind::kind) == fbs::BufferKind::kind)
FLASHCP_SAME_KIND(remote_key);
FLASHCP_SAME_KIND(remote_value);
FLASHCP_SAME_KIND(saved_key);
FLASHCP_SAME_KIND(saved_value);
FLASHCP_SAME_KIND(accumulator);
FLASHCP_SAME_KIND(delta);
FLASHCP_SAME_KIND(query_sum);
FLASHCP_SAME_KIND(key_sum);
FLASHCP_SAME_KIND(value_sum);
FLASHCP_SAME_KIND(remote_key_sum);
FLASHCP_SAME_KIND(remote_value_sum);
FLASHCP_SAME_KIND(outgoing_key);
FLASHCP_SAME_KIND(outgoing_value);
FLASHCP_SAME_KIND(incoming);
#undef FLASHCP_SAME_KIND

class BufferEmitter {
public:
  BufferEmitter(cp::BatchOp batch, cp::ProgramOp program, RankTables &tables)
      : program(program), tables(tables), heads(batch.getHeads()),
        groups(program.getHeadGroups()),
        dtype(PlanOf(dtypeOf(batch.getDtype()))) {}

  RankRows emit() {
    for (const cp::TokenRange &range : program.getLayout())
      tables.layout.emplace_back(range.document, range.begin, range.end);
    tables.workspaceBytes = *program.getWorkspaceBytes();
    tables.backwardWorkspaceBytes = *program.getBackwardWorkspaceBytes();
    tables.savedBytes = *program.getSavedBytes();
    emitHome();
    rows.stages.resize(1 + stages.size());
    for (auto buffer : program.getBody().getOps<cp::BufferOp>())
      emitBuffer(buffer);
    for (RemoteStage &stage : stages)
      indexRows(stage);
    rows.accumulator = RowIndex(sharedQueries(program));
    return std::move(rows);
  }

private:
  using Kind = cp::BufferKind;

  void add(uint64_t offset, uint32_t numRows, uint32_t numHeads, uint32_t dim,
           fbs::BufferKind kind, fbs::DType type, uint8_t places = 1) {
    tables.buffers.emplace_back(offset, numRows, numHeads, dim, kind, type,
                                places);
  }

  /// Adds the caller's tensors.
  void emitHome() {
    rows.home = RowIndex(program.getLayout());
    rows.stages.emplace_back();
    rows.stages[0].rows.index = rows.home;
    uint32_t own = rows.home.numRows(), q = heads.getQ(), kv = heads.getKv(),
             dim = heads.getDim();
    add(0, own, q, dim, fbs::BufferKind::query, dtype);
    add(0, own, kv, dim, fbs::BufferKind::key, dtype);
    add(0, own, kv, dim, fbs::BufferKind::value, dtype);
    add(0, own, q, dim, fbs::BufferKind::output, dtype);
    add(0, own, q, 1, fbs::BufferKind::lse, fbs::DType::f32);
    add(0, own, q, dim, fbs::BufferKind::output_gradient, dtype);
    add(0, own, q, dim, fbs::BufferKind::query_gradient, dtype);
    add(0, own, kv, dim, fbs::BufferKind::key_gradient, dtype);
    add(0, own, kv, dim, fbs::BufferKind::value_gradient, dtype);
  }

  void emitBuffer(cp::BufferOp buffer) {
    noteRows(buffer, tables.buffers.size());
    auto [numHeads, dim, type] = shapeOf(buffer.getKind());
    add(buffer.getOffset(), buffer.getRows(), numHeads, dim,
        planKind(buffer.getKind()), type, buffer.getPlaces());
  }

  /// Notes the numbers of buffers that tiles and messages name.
  void noteRows(cp::BufferOp buffer, uint16_t number) {
    auto stage = [&]() -> StageRows & {
      return rows.stages[buffer.getStage()];
    };
    switch (buffer.getKind()) {
    case Kind::remote_key:
      stage().rows.keyBuffer = number;
      return;
    case Kind::remote_value:
      stage().rows.valueBuffer = number;
      return;
    case Kind::saved_key:
      stage().savedRows.keyBuffer = number;
      return;
    case Kind::saved_value:
      stage().savedRows.valueBuffer = number;
      return;
    case Kind::accumulator:
      rows.accumulatorBuffer = number;
      return;
    default:
      return; // sums and gradients are found by their kind
    }
  }

  /// Returns the heads and elements of a row, and their type: in a workspace
  /// heads of one group.
  std::tuple<uint32_t, uint32_t, fbs::DType> shapeOf(Kind kind) {
    uint32_t q = heads.getQ() / groups, kv = heads.getKv() / groups,
             dim = heads.getDim();
    switch (kind) {
    case Kind::saved_key:
    case Kind::saved_value:
      return {heads.getKv(), dim, dtype};
    case Kind::remote_key:
    case Kind::remote_value:
    case Kind::outgoing_key:
    case Kind::outgoing_value:
      return {kv, dim, dtype};
    case Kind::accumulator:
    case Kind::query_sum:
      return {q, dim, fbs::DType::f32};
    case Kind::delta:
      return {q, 1, fbs::DType::f32};
    case Kind::key_sum:
    case Kind::value_sum:
    case Kind::remote_key_sum:
    case Kind::remote_value_sum:
      return {kv, dim, fbs::DType::f32};
    case Kind::incoming:
      return {1, dim, dtype};
    }
    llvm_unreachable("a buffer kind of another name");
  }

  void indexRows(RemoteStage &stage) {
    StageRows &ofStage = rows.stages[stage.number()];
    ofStage.rows.index = RowIndex(heldTokens(stage, /*saved=*/false));
    ofStage.savedRows.index = RowIndex(heldTokens(stage, /*saved=*/true));
  }

  cp::ProgramOp program;
  RankTables &tables;
  cp::HeadsAttr heads;
  int64_t groups;
  fbs::DType dtype;
  SmallVector<RemoteStage> stages = remoteStagesOf(program);
  RankRows rows;
};

} // namespace

RankRows emitBuffers(cp::BatchOp batch, cp::ProgramOp program,
                     RankTables &tables) {
  return BufferEmitter(batch, program, tables).emit();
}

} // namespace flashcp
