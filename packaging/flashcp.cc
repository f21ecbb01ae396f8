// The packaged flashcp starts without MPI: its symbols may stay undefined. For ranks as
// processes of MPI it starts itself once more, with the MPI of the system loaded before it.

#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "api/mpi_library.h"
#include "tools/cli/main.h"

namespace {

using flashcp::kMpiLibrary;

// Returns whether the arguments hold "--transport mpi" or "--transport=mpi".
bool AsksForMpi(char** argv) {
  for (; *argv != nullptr; ++argv) {
    if (std::strcmp(*argv, "--transport=mpi") == 0) return true;
    if (std::strcmp(*argv, "--transport") == 0 && argv[1] != nullptr &&
        std::strcmp(argv[1], "mpi") == 0) {
      return true;
    }
  }
  return false;
}

// Replaces this process by one with MPI; returns only if that fails.
void StartWithMpi(char** argv) {
  const char* loaded = std::getenv("LD_PRELOAD");
  const std::string preload =
      loaded == nullptr ? kMpiLibrary : std::string(kMpiLibrary) + ":" + loaded;
  setenv("LD_PRELOAD", preload.c_str(), /*overwrite=*/1);
  execv("/proc/self/exe", argv);
  std::fprintf(stderr, "flashcp: --transport mpi: cannot start /proc/self/exe again: %s\n",
               std::strerror(errno));
}

}  // namespace

int main(int argc, char** argv) {
  if (AsksForMpi(argv) && dlsym(RTLD_DEFAULT, "MPI_Init_thread") == nullptr) {
    // The loader would note the lack of a library to be loaded first, and go on without it.
    if (dlopen(kMpiLibrary, RTLD_LAZY) != nullptr) {
      StartWithMpi(argv);
    } else {
      std::fprintf(stderr,
                   "flashcp: --transport mpi: OpenMPI is not found (%s): install it (Debian and "
                   "Ubuntu: openmpi-bin), name its folder in LD_LIBRARY_PATH, or run all ranks in "
                   "one process with --transport threads\n",
                   dlerror());
    }
    return 1;
  }
  return flashcp::cli::Main(argc, argv);
}
