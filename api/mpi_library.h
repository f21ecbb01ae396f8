// The name by which the dynamic loader finds MPI, for programs that open it only when it is asked
// for.

#ifndef FLASHCP_API_MPI_LIBRARY_H_
#define FLASHCP_API_MPI_LIBRARY_H_

namespace flashcp {

// The library of OpenMPI 4 and 5.
inline constexpr char kMpiLibrary[] = "libmpi.so.40";

}  // namespace flashcp

#endif  // FLASHCP_API_MPI_LIBRARY_H_
