// Reads the variables that launchers of MPI set for the processes that they start.

#include "tools/cli/launcher.h"

#include <cstdlib>

#include "absl/strings/numbers.h"

namespace flashcp::cli {

bool IsLaunched() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

LaunchedProcesses CountLaunchedProcesses() {
  // OpenMPI; MPICH and Intel MPI; a step of Slurm, which a batch script outside of srun is not.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* text = std::getenv(name);
    int64_t number;
    if (text != nullptr && absl::SimpleAtoi(text, &number) && number > 1) return {number, name};
  }
  return {};
}

}  // namespace flashcp::cli
