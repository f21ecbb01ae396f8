// Decides what the planner assumes of a machine: the presets, and which descriptions of a cluster
// are fit to plan with.

#include "model/cluster.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "support/nearest_name.h"
#include "support/status_macros.h"

namespace flashcp::model {
namespace {

constexpr int kMaxBlock = 1 << 16;

// Times of one query head of dimension 128.
struct LinearKernel {
  double row_block_us = 0;  // a block of rows, whatever it sees
  double key_block_us = 0;  // the same against one more block of keys
};

// A table of two points.
TileTable LinearTiles(int block, const LinearKernel& forward, const LinearKernel& backward) {
  TileTable tiles;
  tiles.block_rows = block;
  tiles.block_columns = block;
  for (int blocks : {1, 1024}) {
    tiles.columns.push_back(blocks * block);
    tiles.forward_us.push_back(forward.row_block_us + blocks * forward.key_block_us);
    tiles.backward_us.push_back(backward.row_block_us + blocks * backward.key_block_us);
  }
  return tiles;
}

// H100 SXM with FlashAttention-3: benchmarks/fit_tiles.py on its published TFLOP/s by sequence
// length (655 forward, 592 backward where sequences are long); docs/performance.md has the
// residuals. A merge reads and writes the f32 results of a block, 2 x 128 rows x 128 x 4 B, at the
// memory's 3.35 TB/s. NVLink 4 inside a node, one 400 Gb/s NIC per GPU between nodes.
Cluster H100(absl::string_view name, int ranks, int ranks_per_node) {
  Cluster cluster;
  cluster.name = std::string(name);
  cluster.ranks = ranks;
  cluster.ranks_per_node = ranks_per_node;
  cluster.intra_node = {/*bytes_per_us=*/350e3, /*latency_us=*/2};
  cluster.inter_node = {/*bytes_per_us=*/45e3, /*latency_us=*/5};
  cluster.tiles = LinearTiles(/*block=*/128, /*forward=*/{0.023702, 0.012799},
                              /*backward=*/{0.118300, 0.035449});
  cluster.tiles.merge_us = 0.0391;
  cluster.memory_bytes = 80'000'000'000;
  return cluster;
}

// Ranks are threads or processes of one host. A rough default until `flashcp calibrate` measures
// the machine: a plain scalar kernel at 1 GFLOP/s per core forward (64x64 keys of one head of
// dimension 128 are 2.1 MFLOP), messages copied through shared memory at 8 GB/s. Merges are free
// beside such a kernel. How much memory a rank has depends on the host.
Cluster Cpu() {
  Cluster cluster;
  cluster.name = "cpu";
  cluster.ranks = 8;  // not the cores of this host: plans are the same on every machine
  cluster.ranks_per_node = 4096;
  cluster.intra_node = {/*bytes_per_us=*/8e3, /*latency_us=*/10};
  cluster.inter_node = cluster.intra_node;
  cluster.tiles = LinearTiles(/*block=*/64, /*forward=*/{0.05 * 2097, 2097},
                              /*backward=*/{0.05 * 2.5 * 2097, 2.5 * 2097});
  return cluster;
}

absl::Status CheckLink(absl::string_view field, const LinkClass& link) {
  if (!(link.bytes_per_us > 0) || !std::isfinite(link.bytes_per_us)) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".bytes_per_us is ", link.bytes_per_us,
                                                   ": must be a finite number above 0"));
  }
  if (!(link.latency_us >= 0) || !std::isfinite(link.latency_us)) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".latency_us is ", link.latency_us,
                                                   ": must be a finite number, 0 or above"));
  }
  return absl::OkStatus();
}

absl::Status CheckBlock(absl::string_view field, int block) {
  if (block >= 1 && block <= kMaxBlock) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("tiles.", field, " is ", block, ": must be from 1 to ", kMaxBlock));
}

absl::Status CheckColumns(const TileTable& tiles) {
  if (tiles.columns.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("tiles.columns has ", tiles.columns.size(), " entries: must have at least 2"));
  }
  if (tiles.columns[0] != tiles.block_columns) {
    return absl::InvalidArgumentError(absl::StrCat("tiles.columns[0] is ", tiles.columns[0],
                                                   ": must be block_columns, ",
                                                   tiles.block_columns));
  }
  for (size_t i = 1; i < tiles.columns.size(); ++i) {
    if (tiles.columns[i] <= tiles.columns[i - 1] || tiles.columns[i] % tiles.block_columns != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tiles.columns[", i, "] is ", tiles.columns[i], ": must be a multiple of block_columns, ",
          tiles.block_columns, ", above the entry before it, ", tiles.columns[i - 1]));
    }
  }
  return absl::OkStatus();
}

// Times that fell with more keys would make the lower bound false.
absl::Status CheckTimes(absl::string_view field, const std::vector<double>& times,
                        size_t num_columns) {
  if (times.size() != num_columns) {
    return absl::InvalidArgumentError(absl::StrCat("tiles.", field, " has ", times.size(),
                                                   " entries: must have one for each of the ",
                                                   num_columns, " columns"));
  }
  double least = 0;
  for (size_t i = 0; i < times.size(); ++i) {
    if (!(times[i] > 0) || !(times[i] >= least) || !std::isfinite(times[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("tiles.", field, "[", i, "] is ", times[i],
                       ": must be finite, above 0 and not below the entry before it"));
    }
    least = times[i];
  }
  return absl::OkStatus();
}

absl::Status CheckFields(const Cluster& cluster) {
  const TileTable& tiles = cluster.tiles;
  if (cluster.ranks < 1 || cluster.ranks > kMaxRanks) {
    return absl::InvalidArgumentError(
        absl::StrCat("ranks is ", cluster.ranks, ": must be from 1 to ", kMaxRanks));
  }
  if (cluster.ranks_per_node < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("ranks_per_node is ", cluster.ranks_per_node, ": must be at least 1"));
  }
  RETURN_IF_ERROR(CheckLink("intra_node", cluster.intra_node));
  RETURN_IF_ERROR(CheckLink("inter_node", cluster.inter_node));
  RETURN_IF_ERROR(CheckBlock("block_rows", tiles.block_rows));
  RETURN_IF_ERROR(CheckBlock("block_columns", tiles.block_columns));
  RETURN_IF_ERROR(CheckColumns(tiles));
  RETURN_IF_ERROR(CheckTimes("forward_us", tiles.forward_us, tiles.columns.size()));
  RETURN_IF_ERROR(CheckTimes("backward_us", tiles.backward_us, tiles.columns.size()));
  if (!(tiles.merge_us >= 0) || !std::isfinite(tiles.merge_us)) {
    return absl::InvalidArgumentError(absl::StrCat("tiles.merge_us is ", tiles.merge_us,
                                                   ": must be a finite number, 0 or above"));
  }
  if (cluster.memory_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("memory_bytes is ", cluster.memory_bytes, ": must be 0, not known, or above"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Cluster::Check() const {
  absl::Status status = CheckFields(*this);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat("cluster '", name, "': ", status.message()));
}

std::vector<std::string> ClusterPresetNames() { return {"h100x8", "h100x64", "h100-ib8", "cpu"}; }

absl::StatusOr<Cluster> ClusterPreset(absl::string_view name) {
  // Eight GPUs on one node and 64 on eight differ by the number of ranks alone.
  if (name == "h100x8") return H100(name, /*ranks=*/8, /*ranks_per_node=*/8);
  if (name == "h100x64") return H100(name, /*ranks=*/64, /*ranks_per_node=*/8);
  if (name == "h100-ib8") return H100(name, /*ranks=*/8, /*ranks_per_node=*/1);
  if (name == "cpu") return Cpu();
  return absl::NotFoundError(UnknownNameMessage("cluster", name, ClusterPresetNames()));
}

}  // namespace flashcp::model
