// Divides the modelled time of tiles between local and remote keys, and prices merges and packing.

#include "compiler/solver/stage_load.h"

#include <algorithm>

#include "model/document.h"

namespace flashcp::solver {
namespace {

// Returns the time of one block of queries before its first key, all heads: the cost of one stage
// more.
double BlockPrologueUs(const Problem& problem) {
  const model::TileTable& table = problem.cluster.tiles;
  const double slope =
      (table.forward_us[1] - table.forward_us[0]) / (table.columns[1] - table.columns[0]);
  return std::max(0.0, table.forward_us[0] - slope * table.columns[0]) * problem.heads.query *
         problem.heads.dim / 128;
}

// Returns the time to gather and scatter rows that are cut by heads: twice through memory.
double PackUs(const Problem& problem, const RankCost& cost) {
  const double bytes = cost.receive_bytes_forward + cost.send_bytes_forward;
  return 2 * bytes / problem.cluster.memory_bytes_per_us();
}

}  // namespace

StageLoad LoadOfStages(const Problem& problem, const std::vector<LoadTile>& tiles,
                       const RankCost& cost) {
  StageLoad load;
  const int64_t block_rows = problem.cluster.tiles.block_rows;
  for (const LoadTile& tile : tiles) {
    const model::Document& document = problem.documents[tile.document];
    const int64_t queries = tile.query_end - tile.query_begin;
    const double pairs = model::CountPairs(document, tile.query_begin, tile.query_end);
    const double remote = std::min(1.0, static_cast<double>(queries) * tile.remote_keys / pairs);
    const double us = SegmentTime(problem, document, tile.query_begin, tile.query_end).forward_us;
    load.remote_us += remote * us;
    load.local_us += (1 - remote) * us;
    if (tile.remote_keys > 0) {
      load.merge_us += BlockPrologueUs(problem) * ((queries + block_rows - 1) / block_rows);
    }
  }
  const model::Cluster& cluster = problem.cluster;
  const bool one_node = problem.ranks <= cluster.ranks_per_node;
  load.latency_us =
      (one_node ? cluster.intra_node.latency_us : cluster.inter_node.latency_us) * cost.peers / 2;
  load.transfer_us = std::max(0.0, cost.transfer_forward_us - load.latency_us);
  load.pack_us = PackUs(problem, cost);
  return load;
}

}  // namespace flashcp::solver
