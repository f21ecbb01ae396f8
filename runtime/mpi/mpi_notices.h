// How processes learn of the end: each rank sends every other one notice, that it leaves with all
// its messages completed, or why the group of ranks has ended.

#ifndef FLASHCP_RUNTIME_MPI_MPI_NOTICES_H_
#define FLASHCP_RUNTIME_MPI_MPI_NOTICES_H_

#include <mpi.h>

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace flashcp {

class MpiNotices {
 public:
  MpiNotices() = default;
  MpiNotices(const MpiNotices&) = delete;
  ~MpiNotices();

  // Notices have `tag` on `comm`, which is borrowed.
  absl::Status Open(MPI_Comm comm, int tag);

  // Sends this rank's notice: OK if it leaves. Later calls do nothing.
  absl::Status Send(const absl::Status& status);

  // Takes the notices that have come. The error that the first of these carries, if one does.
  absl::Status Poll();

  // Whether this rank's notice is on its way and those of all others have come.
  bool complete() const { return sends_done_ && num_heard_ == size_ - 1; }

 private:
  absl::Status PostReceive();

  MPI_Comm comm_ = MPI_COMM_NULL;
  int tag_ = 0;
  int size_ = 1;
  int num_heard_ = 0;
  bool sent_ = false;
  bool sends_done_ = false;
  std::string out_;
  std::vector<MPI_Request> sends_;
  std::vector<char> in_;
  MPI_Request receive_ = MPI_REQUEST_NULL;
};

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_MPI_MPI_NOTICES_H_
