// Any bytes as a cluster file: a cluster that passes its own check, or an error that begins with
// the name.

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "compiler/input/cluster_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace flashcp;
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  auto cluster = ParseCluster("cluster", text);
  if (cluster.ok()) {
    assert(cluster->Check().ok());
  } else {
    assert(absl::IsInvalidArgument(cluster.status()));
    assert(absl::StartsWith(cluster.status().message(), "cluster:"));
  }
  return 0;
}
