// The commands, one file each. A command reports errors by its status: bad usage or bad
// input as InvalidArgument or NotFound, failed work or a failed check as any other code.

#ifndef FLASHCP_TOOLS_CLI_COMMANDS_H_
#define FLASHCP_TOOLS_CLI_COMMANDS_H_

#include "absl/status/status.h"
#include "tools/cli/arguments.h"
#include "tools/cli/console.h"

namespace flashcp::cli {

absl::Status RunCommand(const CalibrateFlags& flags, const Console& console);
absl::Status RunCommand(const ClusterFlags& flags, const Console& console);
absl::Status RunCommand(const CompileFlags& flags, const Console& console);
absl::Status RunCommand(const InspectFlags& flags, const Console& console);
absl::Status RunCommand(const VerifyFlags& flags, const Console& console);
absl::Status RunCommand(const CompareFlags& flags, const Console& console);
absl::Status RunCommand(const RunFlags& flags, const Console& console);

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_COMMANDS_H_
