// Clusters by preset name or from a JSON description. docs/cli.md has the format.

#ifndef FLASHCP_COMPILER_INPUT_CLUSTER_FILE_H_
#define FLASHCP_COMPILER_INPUT_CLUSTER_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/cluster.h"

namespace flashcp {

// A cluster that passes Check(). InvalidArgument, "name:line: ...", for malformed JSON, unknown,
// missing or ill-typed keys, and values that make no cluster.
absl::StatusOr<model::Cluster> ParseCluster(absl::string_view name, absl::string_view text);

// The text that ParseCluster makes the same cluster of.
std::string ClusterJson(const model::Cluster& cluster);

// Returns a preset by name, or ParseCluster of a file. Presets win over files of the same name; a
// '/' or the ending ".json" makes a name that of a file. NotFound if there is no such preset or
// file.
absl::StatusOr<model::Cluster> FindCluster(const std::string& preset_or_path);

}  // namespace flashcp

#endif  // FLASHCP_COMPILER_INPUT_CLUSTER_FILE_H_
