// A field at a time, each with its place in the file for errors.

#include "compiler/input/cluster_file.h"

#include <cstdint>
#include <filesystem>
#include <limits>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "compiler/input/json.h"
#include "nlohmann/json.hpp"
#include "support/files.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 20;
constexpr int64_t kMaxInt = std::numeric_limits<int>::max();
constexpr int64_t kMaxMemoryBytes = int64_t{1} << 50;

// Reads the objects of the format; every key of a call has been checked to be there.
class ClusterParser {
 public:
  explicit ClusterParser(absl::string_view name) : reader_(name) {}

  absl::StatusOr<model::Cluster> Cluster(const JsonValue& root) const {
    RETURN_IF_ERROR(reader_.CheckKeys(
        root, "cluster", {"name", "ranks_per_node", "intra_node", "inter_node", "tiles"},
        {"ranks", "memory_bytes"}));
    model::Cluster cluster;
    ASSIGN_OR_RETURN(cluster.name, reader_.String(*JsonReader::Find(root, "name"), "name"));
    if (JsonReader::Find(root, "ranks") != nullptr) {
      ASSIGN_OR_RETURN(cluster.ranks, Integer(root, "ranks"));
    }
    if (const JsonValue* memory = JsonReader::Find(root, "memory_bytes"); memory != nullptr) {
      ASSIGN_OR_RETURN(cluster.memory_bytes,
                       reader_.Integer(*memory, "memory_bytes", 1, kMaxMemoryBytes));
    }
    ASSIGN_OR_RETURN(cluster.ranks_per_node, Integer(root, "ranks_per_node"));
    ASSIGN_OR_RETURN(cluster.intra_node, Link(root, "intra_node"));
    ASSIGN_OR_RETURN(cluster.inter_node, Link(root, "inter_node"));
    ASSIGN_OR_RETURN(cluster.tiles, Tiles(*JsonReader::Find(root, "tiles")));
    return cluster;
  }

 private:
  absl::StatusOr<int> Integer(const JsonValue& object, absl::string_view key) const {
    ASSIGN_OR_RETURN(int64_t value,
                     reader_.Integer(*JsonReader::Find(object, key), key, 1, kMaxInt));
    return static_cast<int>(value);
  }

  absl::StatusOr<model::LinkClass> Link(const JsonValue& root, absl::string_view key) const {
    const JsonValue& link = *JsonReader::Find(root, key);
    RETURN_IF_ERROR(reader_.CheckKeys(link, key, {"bytes_per_us", "latency_us"}));
    model::LinkClass result;
    ASSIGN_OR_RETURN(result.bytes_per_us,
                     reader_.Number(*JsonReader::Find(link, "bytes_per_us"), "bytes_per_us"));
    ASSIGN_OR_RETURN(result.latency_us,
                     reader_.Number(*JsonReader::Find(link, "latency_us"), "latency_us"));
    return result;
  }

  absl::StatusOr<std::vector<double>> Times(const JsonValue& tiles, absl::string_view key) const {
    const JsonValue& list = *JsonReader::Find(tiles, key);
    RETURN_IF_ERROR(reader_.CheckArray(list, key));
    std::vector<double> times;
    for (const JsonValue& item : list.items) {
      ASSIGN_OR_RETURN(double time, reader_.Number(item, key));
      times.push_back(time);
    }
    return times;
  }

  absl::StatusOr<model::TileTable> Tiles(const JsonValue& tiles) const {
    RETURN_IF_ERROR(reader_.CheckKeys(
        tiles, "tiles", {"block_rows", "block_columns", "columns", "forward_us", "backward_us"},
        {"merge_us"}));
    model::TileTable table;
    ASSIGN_OR_RETURN(table.block_rows, Integer(tiles, "block_rows"));
    ASSIGN_OR_RETURN(table.block_columns, Integer(tiles, "block_columns"));
    const JsonValue& columns = *JsonReader::Find(tiles, "columns");
    RETURN_IF_ERROR(reader_.CheckArray(columns, "columns"));
    for (const JsonValue& item : columns.items) {
      ASSIGN_OR_RETURN(int64_t column, reader_.Integer(item, "columns", 1, kMaxInt));
      table.columns.push_back(static_cast<int>(column));
    }
    ASSIGN_OR_RETURN(table.forward_us, Times(tiles, "forward_us"));
    ASSIGN_OR_RETURN(table.backward_us, Times(tiles, "backward_us"));
    if (const JsonValue* merge = JsonReader::Find(tiles, "merge_us"); merge != nullptr) {
      ASSIGN_OR_RETURN(table.merge_us, reader_.Number(*merge, "merge_us"));
    }
    return table;
  }

  JsonReader reader_;
};

// Tells names that can only be those of files.
bool IsPath(absl::string_view name) {
  return absl::StrContains(name, '/') || absl::EndsWith(name, ".json");
}

bool IsFile(const std::string& path) {
  std::error_code ignored;  // a file that cannot be asked about is not there
  return std::filesystem::exists(path, ignored) && !std::filesystem::is_directory(path, ignored);
}

}  // namespace

absl::StatusOr<model::Cluster> ParseCluster(absl::string_view name, absl::string_view text) {
  ASSIGN_OR_RETURN(std::vector<JsonValue> values, ParseJson(name, text));
  if (values.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": expected one JSON object that describes a cluster, ",
        values.empty() ? "but the file is empty" : absl::StrCat("found ", values.size())));
  }
  ASSIGN_OR_RETURN(model::Cluster cluster, ClusterParser(name).Cluster(values[0]));
  absl::Status status = cluster.Check();
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(name, ": ", status.message()));
  return cluster;
}

std::string ClusterJson(const model::Cluster& cluster) {
  auto link = [](const model::LinkClass& link) {
    return nlohmann::ordered_json{{"bytes_per_us", link.bytes_per_us},
                                  {"latency_us", link.latency_us}};
  };
  const model::TileTable& tiles = cluster.tiles;
  nlohmann::ordered_json json = {
      {"name", cluster.name}, {"ranks", cluster.ranks}, {"ranks_per_node", cluster.ranks_per_node}};
  if (cluster.memory_bytes > 0) json["memory_bytes"] = cluster.memory_bytes;
  json["intra_node"] = link(cluster.intra_node);
  json["inter_node"] = link(cluster.inter_node);
  json["tiles"] = {{"block_rows", tiles.block_rows},   {"block_columns", tiles.block_columns},
                   {"columns", tiles.columns},         {"forward_us", tiles.forward_us},
                   {"backward_us", tiles.backward_us}, {"merge_us", tiles.merge_us}};
  return absl::StrCat(json.dump(2), "\n");
}

absl::StatusOr<model::Cluster> FindCluster(const std::string& preset_or_path) {
  if (!IsPath(preset_or_path)) {
    absl::StatusOr<model::Cluster> preset = model::ClusterPreset(preset_or_path);
    if (preset.ok()) return preset;
    if (!IsFile(preset_or_path)) {
      return absl::NotFoundError(
          absl::StrCat(preset.status().message(), ", and no file has this name"));
    }
  }
  ASSIGN_OR_RETURN(std::string text, ReadFile(preset_or_path, kMaxFileBytes));
  return ParseCluster(preset_or_path, text);
}

}  // namespace flashcp
