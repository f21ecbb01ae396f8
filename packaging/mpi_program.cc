// Lets the packaged flashcp start where MPI is not installed: ranks as processes of MPI are the work
// of flashcp-mpi, the same program linked with MPI, which lies beside it and takes its place.

#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "session/mpi_ranks.h"

namespace flashcp::session {
namespace {

// Returns the path of flashcp-mpi; empty if that of this program is not known.
std::string MpiProgram() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  if (size <= 0 || size == sizeof(path)) return "";
  const std::string program(path, size);
  return program.substr(0, program.rfind('/') + 1) + "flashcp-mpi";
}

// Returns the arguments of this process, ended by zeros: "flashcp\0run\0".
std::string Arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Replaces this process by flashcp-mpi with equal arguments; returns only if that fails.
absl::Status Replace() {
  const std::string program = MpiProgram();
  std::string arguments = Arguments();
  std::vector<char*> argv;
  for (size_t begin = 0; begin < arguments.size(); begin += std::strlen(&arguments[begin]) + 1) {
    argv.push_back(&arguments[begin]);
  }
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  return absl::UnimplementedError(absl::StrCat("--transport mpi: cannot start '", program,
                                          "', which belongs beside flashcp: ",
                                          std::strerror(errno)));
}

}  // namespace

// Looks for MPI first: the loader's own error would not say what to do.
absl::StatusOr<std::unique_ptr<Ranks>> MakeMpiRanks(const MpiRanksOptions&) {
  if (dlopen(FLASHCP_MPI_LIBRARY, RTLD_LAZY) == nullptr) {
    return absl::UnimplementedError(absl::StrCat(
        "--transport mpi: OpenMPI is not found (", dlerror(),
        "): install it (Debian and Ubuntu: openmpi-bin), name its folder in LD_LIBRARY_PATH, or "
        "run all ranks in one process with --transport threads"));
  }
  return Replace();
}

}  // namespace flashcp::session
