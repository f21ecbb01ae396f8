// Whether mpirun, or another launcher, has started this process as one of several: by what it puts
// into the environment, before MPI starts.

#ifndef FLASHCP_TOOLS_CLI_LAUNCHER_H_
#define FLASHCP_TOOLS_CLI_LAUNCHER_H_

#include <cstdint>
#include <string>

namespace flashcp::cli {

// Returns whether a launcher that speaks PMIx or PMI has started this process: mpirun, or srun.
bool IsLaunched();

struct LaunchedProcesses {
  int64_t number = 1;
  std::string variable;  // that says so: "OMPI_COMM_WORLD_SIZE"; empty for a process by itself
};

// Returns how many processes the launcher has started together with this one, and this one.
LaunchedProcesses CountLaunchedProcesses();

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_LAUNCHER_H_
