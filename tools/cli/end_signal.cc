// Prepares all words before the signal comes, since its handler may neither allocate nor format.

#include "tools/cli/end_signal.h"

#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace flashcp::cli {
namespace {

// State of the signal handlers, which take no argument.
std::atomic<bool> told_to_end{false};
std::atomic<int> in_call_for{-1};
std::string& in_compute = *new std::string;
std::vector<std::string>& in_mpi = *new std::vector<std::string>;  // by in_call_for

// Waits a moment before this process ends after SIGTERM: mpirun kills all processes as soon as the
// first one has ended, and the others must have said where they were.
void Linger() {
  timespec moment = {0, 300000000};
  while (told_to_end && nanosleep(&moment, &moment) != 0) {
  }
}

extern "C" void OnAlarm(int) {
  const int peer = in_call_for;
  const std::string& words = peer < 0 ? in_compute : in_mpi[peer];
  // Nothing can be done about a failure.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, words.data(), words.size());
  Linger();
  _exit(1);
}

extern "C" void OnSigterm(int) {
  told_to_end = true;
  itimerval moment = {};
  moment.it_value.tv_usec = 200000;
  setitimer(ITIMER_REAL, &moment, nullptr);
}

}  // namespace

const std::atomic<bool>* ToldToEnd() { return &told_to_end; }
std::atomic<int>* InCallFor() { return &in_call_for; }

void HandleEndSignal(int rank, int size) {
  const std::string words =
      absl::StrCat("flashcp: rank ", rank,
                   " was told to end (another rank has failed, or mpirun was stopped) while it ");
  in_compute = absl::StrCat(words, "computed\n");
  for (int peer = 0; peer < size; ++peer) {
    in_mpi.push_back(absl::StrCat(words, "was in MPI, for rank ", peer, "\n"));
  }
  in_mpi.push_back(absl::StrCat(words, "was in MPI, for several ranks\n"));
  struct sigaction action = {};
  action.sa_handler = OnAlarm;
  sigaction(SIGALRM, &action, nullptr);
  action.sa_handler = OnSigterm;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  std::atexit([] {
    signal(SIGALRM, SIG_IGN);  // this process has said it
    Linger();
  });
}

void IgnoreEndSignal() { signal(SIGTERM, SIG_IGN); }

}  // namespace flashcp::cli
