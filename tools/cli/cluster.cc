// flashcp cluster: prints a cluster as JSON, to be changed for a what-if.

#include "compiler/input/cluster_file.h"
#include "support/status_macros.h"
#include "tools/cli/commands.h"

namespace flashcp::cli {

absl::Status RunCommand(const ClusterFlags& flags, const Console& console) {
  ASSIGN_OR_RETURN(model::Cluster cluster, FindCluster(flags.cluster));
  return console.Print(ClusterJson(cluster));
}

}  // namespace flashcp::cli
