// What the MPI transport does between two processes: latency, bandwidth of messages in one or many
// runs, packed or not, what is left of a transfer behind other work, and the processor time of a
// rank that waits. With --funneled MPI has MPI_THREAD_FUNNELED: nothing moves behind other work.
//   bazel build //benchmarks:transport_mpi && mpirun -n 2 bazel-bin/benchmarks/transport_mpi

#include <mpi.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/mpi/mpi_transport.h"
#include "support/command_line.h"

namespace flashcp {
namespace {

using Clock = std::chrono::steady_clock;
using Direction = Transfer::Direction;

constexpr size_t kBytes = 16 << 20;

void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::exit(Finish("transport_mpi", status));
}

// Sends from rank 0 to rank 1, or back.
void Move(Transport* transport, const std::vector<Bytes>& runs, bool back = false) {
  const bool sends = (transport->rank() == 0) != back;
  const Transfer transfer = {sends ? Direction::kSend : Direction::kReceive, 1 - transport->rank(),
                             0, runs};
  absl::StatusOr<Transport::Group> group = transport->Start({&transfer, 1});
  Require(group.status());
  Require(transport->Wait(*group, absl::Seconds(60)));
}

// The median of several times, after a first one that is not counted.
double MedianSeconds(Transport* transport, const std::function<void()>& run) {
  std::vector<double> seconds;
  for (int i = 0; i < 16; ++i) {
    Require(transport->AllGather(0, absl::Seconds(60)).status());
    const Clock::time_point start = Clock::now();
    run();
    if (i > 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  return seconds[seconds.size() / 2];
}

void PrintRoundTrip(Transport* transport) {
  constexpr int kTrips = 100;
  std::vector<char> memory(8);
  const std::vector<Bytes> runs = {{memory.data(), memory.size()}};
  const double seconds = MedianSeconds(transport, [&] {
    for (int i = 0; i < kTrips; ++i) {
      Move(transport, runs);
      Move(transport, runs, /*back=*/true);
    }
  });
  if (transport->rank() == 0) {
    std::printf("there and back, 8 bytes: %.2f us\n", seconds / kTrips * 1e6);
  }
}

// 16 MiB in runs of this size, every other one of the memory: as they are, and packed by hand.
void PrintBandwidth(Transport* transport, size_t run_bytes) {
  std::vector<char> memory(2 * kBytes, 1);
  std::vector<char> buffer(kBytes);
  std::vector<Bytes> runs;
  for (size_t i = 0; i < kBytes / run_bytes; ++i) {
    runs.push_back({memory.data() + 2 * i * run_bytes, run_bytes});
  }
  const double direct = MedianSeconds(transport, [&] { Move(transport, runs); });
  const std::vector<Bytes> packed = {{buffer.data(), buffer.size()}};
  const double by_hand = MedianSeconds(transport, [&] {
    const bool sends = transport->rank() == 0;
    for (size_t i = 0; sends && i < runs.size(); ++i) {
      std::memcpy(&buffer[i * run_bytes], runs[i].data, run_bytes);
    }
    Move(transport, packed);
    for (size_t i = 0; !sends && i < runs.size(); ++i) {
      std::memcpy(runs[i].data, &buffer[i * run_bytes], run_bytes);
    }
  });
  if (transport->rank() == 1) {
    std::printf("16 MiB in runs of %8zu bytes: %5.2f GB/s, packed %5.2f GB/s\n", run_bytes,
                kBytes / direct / 1e9, kBytes / by_hand / 1e9);
  }
}

// 16 MiB that travel while both ranks are busy with something else for 50 ms: what is left to wait
// for then.
void PrintOverlap(Transport* transport) {
  std::vector<char> memory(kBytes, 1);
  const std::vector<Bytes> runs = {{memory.data(), memory.size()}};
  const double alone = MedianSeconds(transport, [&] { Move(transport, runs); });
  constexpr std::chrono::milliseconds kBusy{50};
  const double with_work = MedianSeconds(transport, [&] {
    const Direction direction = transport->rank() == 0 ? Direction::kSend : Direction::kReceive;
    const Transfer transfer = {direction, 1 - transport->rank(), 0, runs};
    absl::StatusOr<Transport::Group> group = transport->Start({&transfer, 1});
    Require(group.status());
    std::this_thread::sleep_for(kBusy);
    Require(transport->Wait(*group, absl::Seconds(60)));
  });
  if (transport->rank() == 1) {
    const double left = with_work - std::chrono::duration<double>(kBusy).count();
    std::printf("16 MiB alone: %.2f ms; behind 50 ms of other work: %.2f ms more\n", alone * 1e3,
                left * 1e3);
  }
}

double ProcessorSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

// Rank 1 waits for a second.
void PrintCostOfWaiting(Transport* transport) {
  char byte = 0;
  const std::vector<Bytes> runs = {{&byte, 1}};
  if (transport->rank() == 0) std::this_thread::sleep_for(std::chrono::seconds(1));
  const double before = ProcessorSeconds();
  Move(transport, runs);
  if (transport->rank() == 1) {
    std::printf("a wait of 1 s takes %.1f ms of a core\n", (ProcessorSeconds() - before) * 1e3);
  }
}

void Run() {
  absl::StatusOr<std::unique_ptr<Transport>> transport = MakeMpiTransport(MPI_COMM_WORLD);
  Require(transport.status());
  if ((*transport)->size() != 2) Require(absl::InvalidArgumentError("start it with mpirun -n 2"));
  PrintRoundTrip(transport->get());
  for (size_t run_bytes : {size_t{2048}, size_t{65536}, size_t{1} << 20, kBytes}) {
    PrintBandwidth(transport->get(), run_bytes);
  }
  PrintOverlap(transport->get());
  PrintCostOfWaiting(transport->get());
}

}  // namespace
}  // namespace flashcp

int main(int argc, char** argv) {
  bool funneled = false;
  CLI::App app("What the MPI transport does between two processes; start it with mpirun -n 2.");
  app.add_flag("--funneled", funneled, "MPI_THREAD_FUNNELED: nothing moves behind other work");
  if (std::optional<int> code = flashcp::ParseCommandLine(argc, argv, &app)) return *code;
  int provided;
  const int level = funneled ? MPI_THREAD_FUNNELED : MPI_THREAD_SERIALIZED;
  MPI_Init_thread(&argc, &argv, level, &provided);
  flashcp::Run();
  MPI_Finalize();
}
