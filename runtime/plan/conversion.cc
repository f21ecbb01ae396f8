// Translates clusters, field by field.

#include "runtime/plan/conversion.h"

#include "runtime/plan/plan.h"

namespace flashcp {
namespace {

model::LinkClass LinkOf(const fbs::LinkClass* link) {
  if (link == nullptr) return {};
  return {link->bytes_per_us(), link->latency_us()};
}

fbs::LinkClass LinkOf(const model::LinkClass& link) {
  return fbs::LinkClass(link.bytes_per_us, link.latency_us);
}

template <typename To, typename From>
std::vector<To> VectorOf(absl::Span<const From> items) {
  return std::vector<To>(items.begin(), items.end());
}

}  // namespace

std::vector<model::Document> DocumentsOf(const fbs::Plan& plan) {
  std::vector<model::Document> documents;
  for (const fbs::Document& document : Items(plan.documents())) {
    documents.push_back(ModelOf(document));
  }
  return documents;
}

model::Cluster ModelOf(const fbs::Cluster& cluster) {
  model::Cluster result;
  result.name = cluster.name()->str();
  result.ranks_per_node = cluster.ranks_per_node();
  result.intra_node = LinkOf(cluster.intra_node());
  result.inter_node = LinkOf(cluster.inter_node());
  const fbs::TileTable& tiles = *cluster.tiles();
  result.tiles.block_rows = tiles.block_rows();
  result.tiles.block_columns = tiles.block_columns();
  result.tiles.columns = VectorOf<int>(Items(tiles.columns()));
  result.tiles.forward_us = VectorOf<double>(Items(tiles.forward_us()));
  result.tiles.backward_us = VectorOf<double>(Items(tiles.backward_us()));
  result.tiles.merge_us = tiles.merge_us();
  result.memory_bytes = cluster.memory_bytes();
  return result;
}

flatbuffers::Offset<fbs::Cluster> Write(const model::Cluster& cluster,
                                        flatbuffers::FlatBufferBuilder* builder) {
  const model::TileTable& table = cluster.tiles;
  const std::vector<uint32_t> columns(table.columns.begin(), table.columns.end());
  auto tiles = fbs::CreateTileTableDirect(*builder, table.block_rows, table.block_columns, &columns,
                                          &table.forward_us, &table.backward_us, table.merge_us);
  const fbs::LinkClass intra = LinkOf(cluster.intra_node);
  const fbs::LinkClass inter = LinkOf(cluster.inter_node);
  return fbs::CreateCluster(*builder, builder->CreateString(cluster.name), cluster.ranks_per_node,
                            &intra, &inter, tiles, cluster.memory_bytes);
}

}  // namespace flashcp
