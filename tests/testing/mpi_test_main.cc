// The main of a test that every process of an mpirun runs: rank 0 prints as usual, the others what
// fails.

#include <mpi.h>

#include <iostream>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace {

class FailurePrinter : public ::testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::ostringstream text;
    text << "rank " << rank_ << ": " << result.file_name() << ":" << result.line_number() << ": "
         << result.message() << '\n';
    std::cerr << text.str();
  }

 private:
  const int rank_;
};

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  int provided;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  int rank;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank != 0) {
    ::testing::TestEventListeners& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter(rank));
  }
  int result = RUN_ALL_TESTS();
  MPI_Finalize();
  return result;
}
