// A look at the environment, before MPI starts: mpirun, or another launcher, may have started this
// process as one of several.

#ifndef FLASHCP_TOOLS_CLI_LAUNCHER_H_
#define FLASHCP_TOOLS_CLI_LAUNCHER_H_

#include <cstdint>
#include <string>

namespace flashcp::cli {

// Returns whether a launcher that speaks PMIx or PMI has started this process: mpirun, or srun.
bool IsLaunched();

struct LaunchedProcesses {
  int64_t number = 1;
  std::string variable;  // holds the number: "OMPI_COMM_WORLD_SIZE"; empty for a process by itself
};

// Returns the number of processes that the launcher has started, this one included.
LaunchedProcesses CountLaunchedProcesses();

}  // namespace flashcp::cli

#endif  // FLASHCP_TOOLS_CLI_LAUNCHER_H_
