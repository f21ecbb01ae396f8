// Translates between cp.batch and solver::Problem, in both directions: the only
// place where attributes become types of model/ and back. A mask is one
// already.

#include "compiler/analysis/BatchRequest.h"

#include "model/cluster.h"

using namespace mlir;

namespace flashcp {

// The dialect knows no request, and its limits are those of one.
static_assert(cp::kMaxTimeBudgetMs == kMaxTimeBudgetMs);
static_assert(cp::kMaxMemoryBytes == kMaxMemoryBytes);

namespace {

Type typeOf(OpBuilder &builder, model::DType dtype) {
  switch (dtype) {
  case model::DType::kF32:
    return builder.getF32Type();
  case model::DType::kBF16:
    return builder.getBF16Type();
  case model::DType::kF16:
    return builder.getF16Type();
  }
  llvm_unreachable("a DType of another name");
}

// Enumerators of one meaning have one number, and there are no others.
static_assert(int(cp::Exchange::needed) == int(model::Exchange::kNeeded) &&
              int(cp::Exchange::all_gather) ==
                  int(model::Exchange::kAllGather) &&
              cp::getMaxEnumValForExchange() + 1 ==
                  std::size(model::kExchangeNames));

SmallVector<int64_t> widen(ArrayRef<int> values) {
  return SmallVector<int64_t>(values.begin(), values.end());
}

/// True if the cluster is the preset of its name, so that the name says it
/// all.
bool isPreset(const model::Cluster &cluster) {
  absl::StatusOr<model::Cluster> preset = model::ClusterPreset(cluster.name);
  return preset.ok() && *preset == cluster;
}

cp::ClusterAttr clusterAttr(OpBuilder &builder, const model::Cluster &cluster) {
  StringAttr name = builder.getStringAttr(cluster.name);
  if (isPreset(cluster))
    return cp::ClusterAttr::get(builder.getContext(), name, DictionaryAttr());
  auto link = [&](const model::LinkClass &link) {
    return builder.getDenseF64ArrayAttr({link.bytes_per_us, link.latency_us});
  };
  const model::TileTable &tiles = cluster.tiles;
  SmallVector<NamedAttribute> entries = {
      builder.getNamedAttr("ranks_per_node",
                           builder.getI64IntegerAttr(cluster.ranks_per_node)),
      builder.getNamedAttr("intra_node", link(cluster.intra_node)),
      builder.getNamedAttr("inter_node", link(cluster.inter_node)),
      builder.getNamedAttr("block",
                           builder.getDenseI64ArrayAttr(
                               {tiles.block_rows, tiles.block_columns})),
      builder.getNamedAttr("columns",
                           builder.getDenseI64ArrayAttr(widen(tiles.columns))),
      builder.getNamedAttr("forward_us",
                           builder.getDenseF64ArrayAttr(tiles.forward_us)),
      builder.getNamedAttr("backward_us",
                           builder.getDenseF64ArrayAttr(tiles.backward_us)),
  };
  if (tiles.merge_us != 0)
    entries.push_back(builder.getNamedAttr(
        "merge_us", builder.getF64FloatAttr(tiles.merge_us)));
  if (cluster.memory_bytes != 0)
    entries.push_back(builder.getNamedAttr(
        "memory_bytes", builder.getI64IntegerAttr(cluster.memory_bytes)));
  return cp::ClusterAttr::get(builder.getContext(), name,
                              builder.getDictionaryAttr(entries));
}

/// Reads the description of a cluster; false if a key is missing or has
/// another type.
bool readDescription(DictionaryAttr description, model::Cluster &cluster) {
  auto node = description.getAs<IntegerAttr>("ranks_per_node");
  auto intra = description.getAs<DenseF64ArrayAttr>("intra_node");
  auto inter = description.getAs<DenseF64ArrayAttr>("inter_node");
  auto block = description.getAs<DenseI64ArrayAttr>("block");
  auto columns = description.getAs<DenseI64ArrayAttr>("columns");
  auto forward = description.getAs<DenseF64ArrayAttr>("forward_us");
  auto backward = description.getAs<DenseF64ArrayAttr>("backward_us");
  if (!node || !intra || !inter || !block || !columns || !forward ||
      !backward || intra.size() != 2 || inter.size() != 2 || block.size() != 2)
    return false;
  cluster.ranks_per_node = node.getInt();
  cluster.intra_node = {intra[0], intra[1]};
  cluster.inter_node = {inter[0], inter[1]};
  cluster.tiles.block_rows = block[0];
  cluster.tiles.block_columns = block[1];
  cluster.tiles.columns.assign(columns.asArrayRef().begin(),
                               columns.asArrayRef().end());
  cluster.tiles.forward_us = forward.asArrayRef().vec();
  cluster.tiles.backward_us = backward.asArrayRef().vec();
  if (auto merge = description.getAs<FloatAttr>("merge_us"))
    cluster.tiles.merge_us = merge.getValueAsDouble();
  if (auto memory = description.getAs<IntegerAttr>("memory_bytes"))
    cluster.memory_bytes = memory.getInt();
  return true;
}

/// Returns the scale of the request, or null if it is what the head dimension
/// makes it.
FloatAttr scaleAttr(OpBuilder &builder, const CompileRequest &request) {
  CompileRequest defaults;
  defaults.problem.heads = request.problem.heads;
  if (request.Scale() == defaults.Scale())
    return FloatAttr();
  return builder.getF32FloatAttr(request.Scale());
}

FailureOr<model::Cluster> clusterOf(cp::BatchOp batch) {
  cp::ClusterAttr attr = batch.getCluster();
  std::string name = attr.getName().str();
  if (!attr.getDescription()) {
    absl::StatusOr<model::Cluster> preset = model::ClusterPreset(name);
    if (!preset.ok())
      return batch.emitOpError() << std::string(preset.status().message());
    return *std::move(preset);
  }
  model::Cluster cluster;
  cluster.name = name;
  if (!readDescription(attr.getDescription(), cluster))
    return batch.emitOpError()
           << "C20: cluster description needs ranks_per_node : i64, "
              "intra_node, inter_node : array<f64: bytes/us, us>, block : "
              "array<i64: rows, columns>, columns : array<i64: ...>, "
              "forward_us, backward_us : array<f64: ...>, and may have "
              "merge_us : f64, memory_bytes : i64";
  return cluster;
}

/// Reads what the solver takes.
FailureOr<solver::Problem> problemOf(cp::BatchOp batch) {
  solver::Problem problem;
  problem.ranks = batch.getRanks();
  problem.heads.query = batch.getHeads().getQ();
  problem.heads.key_value = batch.getHeads().getKv();
  problem.heads.dim = batch.getHeads().getDim();
  problem.dtype = dtypeOf(batch.getDtype());
  problem.exchange = static_cast<model::Exchange>(batch.getExchange());
  problem.slack_percent = batch.getSlackPercent().convertToDouble();
  FailureOr<model::Cluster> cluster = clusterOf(batch);
  if (failed(cluster))
    return failure();
  problem.cluster = *std::move(cluster);
  for (cp::DocumentOp document : batch.getBody().getOps<cp::DocumentOp>())
    problem.documents.push_back(
        {int64_t(document.getLength()), document.getMask().getValue()});
  if (absl::Status status = problem.Check(); !status.ok())
    return batch.emitOpError() << std::string(status.message());
  return problem;
}

/// Returns the layout that was asked for. Check() refuses one of some
/// documents.
std::optional<solver::Placement> layoutOf(cp::BatchOp batch) {
  std::optional<solver::Placement> layout;
  for (auto [i, document] :
       llvm::enumerate(batch.getBody().getOps<cp::DocumentOp>())) {
    if (!document.getLayout())
      continue;
    if (!layout)
      layout.emplace();
    layout->documents.resize(i + 1);
    layout->documents[i] = segmentsOf(*document.getLayout());
  }
  return layout;
}

} // namespace

model::DType dtypeOf(Type type) {
  if (type.isF32())
    return model::DType::kF32;
  return type.isBF16() ? model::DType::kBF16 : model::DType::kF16;
}

cp::BatchOp buildBatch(OpBuilder &builder, Location loc, StringRef name,
                       const CompileRequest &request) {
  MLIRContext *context = builder.getContext();
  const solver::Problem &problem = request.problem;
  auto batch = cp::BatchOp::create(
      builder, loc, name, problem.ranks,
      cp::HeadsAttr::get(context, problem.heads.query, problem.heads.key_value,
                         problem.heads.dim),
      scaleAttr(builder, request), typeOf(builder, problem.dtype),
      static_cast<cp::Exchange>(problem.exchange),
      llvm::APFloat(problem.slack_percent),
      clusterAttr(builder, problem.cluster), request.strategy,
      llvm::APFloat(request.time_budget_ms), request.memory_budget_bytes,
      request.workspace_limit_bytes
          ? builder.getI64IntegerAttr(*request.workspace_limit_bytes)
          : IntegerAttr());
  OpBuilder body = OpBuilder::atBlockEnd(&batch.getBody().emplaceBlock());
  for (auto [i, document] : llvm::enumerate(problem.documents)) {
    auto op = cp::DocumentOp::create(body, loc, document.length, document.mask);
    if (request.layout)
      op.setLayoutAttr(
          ownersOf(builder.getContext(), request.layout->documents[i]));
  }
  return batch;
}

DenseI64ArrayAttr ownersOf(MLIRContext *context,
                           ArrayRef<solver::Segment> segments) {
  SmallVector<cp::OwnedRange> owned;
  for (const solver::Segment &segment : segments)
    owned.push_back({segment.begin, segment.end, segment.rank});
  return cp::attributeOf<cp::OwnedRange>(context, owned);
}

std::vector<solver::Segment> segmentsOf(ArrayRef<cp::OwnedRange> owned) {
  std::vector<solver::Segment> segments;
  for (const cp::OwnedRange &range : owned)
    segments.push_back({range.begin, range.end, int(range.owner)});
  return segments;
}

FailureOr<CompileRequest> requestOf(cp::BatchOp batch) {
  FailureOr<solver::Problem> problem = problemOf(batch);
  if (failed(problem))
    return failure();
  CompileRequest request;
  request.problem = *std::move(problem);
  request.strategy = batch.getStrategy().str();
  request.layout = layoutOf(batch);
  request.time_budget_ms = batch.getTimeBudgetMs().convertToDouble();
  request.memory_budget_bytes = batch.getMemoryBudgetBytes();
  if (std::optional<uint64_t> limit = batch.getWorkspaceLimitBytes())
    request.workspace_limit_bytes = *limit;
  if (batch.getScale())
    request.scale = batch.getScale()->convertToFloat();
  if (absl::Status status = request.Check(); !status.ok())
    return batch.emitOpError() << std::string(status.message());
  return request;
}

} // namespace flashcp
