// A cluster as the planner sees it: how long kernels and messages take. The presets, and nothing
// that depends on a batch.

#ifndef FLASHCP_MODEL_CLUSTER_H_
#define FLASHCP_MODEL_CLUSTER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flashcp::model {

inline constexpr int kMaxRanks = 4096;

// Time of a message = latency_us + bytes / bytes_per_us.
struct LinkClass {
  double bytes_per_us = 0;  // payload of one rank in one direction; 1 GB/s = 1000 bytes/us
  double latency_us = 0;

  friend bool operator==(const LinkClass& a, const LinkClass& b) {
    return a.bytes_per_us == b.bytes_per_us && a.latency_us == b.latency_us;
  }
};

// Attention kernels work in blocks of `block_rows` queries x `block_columns` keys, partial blocks
// at full price; key blocks begin at multiples of block_columns. forward_us[i] is the time of one
// block of rows against columns[i] keys, for ONE query head of dimension 128: linear in between and
// beyond the end, and scaled by query heads * dim / 128.
struct TileTable {
  int block_rows = 128;
  int block_columns = 128;
  std::vector<int> columns;  // at least two increasing multiples of block_columns, that one first
  std::vector<double> forward_us;   // as many, never falling
  std::vector<double> backward_us;  // the same
  double merge_us = 0;  // added forward to a block of rows that merges into an earlier result

  friend bool operator==(const TileTable& a, const TileTable& b) {
    return a.block_rows == b.block_rows && a.block_columns == b.block_columns &&
           a.columns == b.columns && a.forward_us == b.forward_us &&
           a.backward_us == b.backward_us && a.merge_us == b.merge_us;
  }
};

struct Cluster {
  std::string name;
  int ranks = 8;           // how many a batch is planned for unless it says so itself
  int ranks_per_node = 8;  // consecutive ranks share a node
  LinkClass intra_node;
  LinkClass inter_node;
  TileTable tiles;
  int64_t memory_bytes = 0;  // of the device of one rank; 0: not known

  // Bytes per microsecond that a rank copies inside its own memory, modelled: four times what it
  // sends inside its node, as on an H100 (1.5 TB/s of copies, 350 GB/s of links). A rule, not a
  // field: what takes it (packing the heads of a group before they are sent) needs no better.
  double memory_bytes_per_us() const { return 4 * intra_node.bytes_per_us; }

  // True if all that costs depend on is equal: `ranks` is a default, and no plan holds it.
  friend bool operator==(const Cluster& a, const Cluster& b) {
    return a.name == b.name && a.ranks_per_node == b.ranks_per_node &&
           a.intra_node == b.intra_node && a.inter_node == b.inter_node && a.tiles == b.tiles &&
           a.memory_bytes == b.memory_bytes;
  }

  // InvalidArgument naming the field, what was found and what is allowed.
  absl::Status Check() const;
};

// Names of the presets, in the order that help text shows them.
std::vector<std::string> ClusterPresetNames();
// A preset by name: h100x8, h100x64, h100-ib8, cpu. NotFound names the nearest one.
absl::StatusOr<Cluster> ClusterPreset(absl::string_view name);

}  // namespace flashcp::model

#endif  // FLASHCP_MODEL_CLUSTER_H_
