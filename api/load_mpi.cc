// Opens MPI, with its symbols for all, since OpenMPI's own plug-ins look for them there, and then
// libflashcp_mpi.so: packages leave to this file which MPI it uses.

#include "api/load_mpi.h"

#include <dlfcn.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "api/mpi_library.h"

// Null unless the program is linked with the library.
#pragma weak flashcp_internal_join_mpi

namespace flashcp::capi {
namespace {

using Join = void (*)(JoinMpi*);

// Returns the path of a library beside the one that holds this function.
std::string Beside(absl::string_view name) {
  Dl_info self = {};
  if (dladdr(reinterpret_cast<void*>(&LoadMpi), &self) == 0) return std::string(name);
  const std::unique_ptr<char, void (*)(void*)> real(realpath(self.dli_fname, nullptr), &std::free);
  const absl::string_view path = real != nullptr ? real.get() : self.dli_fname;
  return absl::StrCat(path.substr(0, path.rfind('/') + 1), name);
}

absl::StatusOr<Join> Open() {
  const std::string path = Beside("libflashcp_mpi.so");
  void* const mpi = dlopen(kMpiLibrary, RTLD_NOW | RTLD_GLOBAL);
  void* const library = mpi != nullptr ? dlopen(path.c_str(), RTLD_NOW) : nullptr;
  void* const join = library != nullptr ? dlsym(library, "flashcp_internal_join_mpi") : nullptr;
  if (join != nullptr) return reinterpret_cast<Join>(join);
  return absl::UnimplementedError(
      absl::StrCat("MPI cannot be loaded: ", dlerror(),
                   "; install OpenMPI (Debian: apt-get install libopenmpi3) ",
                   "and leave libflashcp_mpi.so in the folder of libflashcp.so, or use threads"));
}

}  // namespace

absl::StatusOr<Join> LoadMpi() {
  if (&flashcp_internal_join_mpi != nullptr) return &flashcp_internal_join_mpi;
  static const auto& join = *new absl::StatusOr<Join>(Open());
  return join;
}

}  // namespace flashcp::capi
