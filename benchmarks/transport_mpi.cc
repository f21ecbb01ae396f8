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
using Direction = Message::Direction;

constexpr size_t kBytes = 16 << 20;

void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::exit(Finish("transport_mpi", status));
}

// A message from rank 0 to rank 1, or back.
class Way {
 public:
  Way(Transport* transport, char* memory, std::vector<MessageRun> runs, bool back = false)
      : memory_(memory) {
    const bool sends = (transport->rank() == 0) != back;
    auto exchange = transport->Prepare({{sends ? Direction::kSend : Direction::kReceive,
                                         1 - transport->rank(), 0, std::move(runs)}});
    Require(exchange.status());
    exchange_ = *std::move(exchange);
  }
  void Start() { Require(exchange_->Start({&memory_, 1}, nullptr)); }
  void Wait() { Require(exchange_->Wait(absl::Seconds(60))); }
  void Move() {
    Start();
    Wait();
  }

 private:
  char* const memory_;
  std::unique_ptr<Exchange> exchange_;
};

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
  Way there(transport, memory.data(), {{0, 0, memory.size()}});
  Way back(transport, memory.data(), {{0, 0, memory.size()}}, /*back=*/true);
  const double seconds = MedianSeconds(transport, [&] {
    for (int i = 0; i < kTrips; ++i) {
      there.Move();
      back.Move();
    }
  });
  if (transport->rank() == 0) {
    std::printf("there and back, 8 bytes: %.2f us\n", seconds / kTrips * 1e6);
  }
}

// 16 MiB in blocks of this size, every other one of the memory: as they are, and packed by hand.
void PrintBandwidth(Transport* transport, size_t block_bytes) {
  std::vector<char> memory(2 * kBytes, 1);
  std::vector<char> buffer(kBytes);
  const size_t blocks = kBytes / block_bytes;
  Way scattered(transport, memory.data(), {{0, 0, block_bytes, blocks, 2 * block_bytes}});
  const double direct = MedianSeconds(transport, [&] { scattered.Move(); });
  Way packed(transport, buffer.data(), {{0, 0, buffer.size()}});
  const double by_hand = MedianSeconds(transport, [&] {
    const bool sends = transport->rank() == 0;
    for (size_t i = 0; sends && i < blocks; ++i) {
      std::memcpy(&buffer[i * block_bytes], &memory[2 * i * block_bytes], block_bytes);
    }
    packed.Move();
    for (size_t i = 0; !sends && i < blocks; ++i) {
      std::memcpy(&memory[2 * i * block_bytes], &buffer[i * block_bytes], block_bytes);
    }
  });
  if (transport->rank() == 1) {
    std::printf("16 MiB in blocks of %8zu bytes: %5.2f GB/s, packed %5.2f GB/s\n", block_bytes,
                kBytes / direct / 1e9, kBytes / by_hand / 1e9);
  }
}

// 16 MiB that travel while both ranks are busy with something else for 50 ms: what is left to wait
// for then.
void PrintOverlap(Transport* transport) {
  std::vector<char> memory(kBytes, 1);
  Way way(transport, memory.data(), {{0, 0, memory.size()}});
  const double alone = MedianSeconds(transport, [&] { way.Move(); });
  constexpr std::chrono::milliseconds kBusy{50};
  const double with_work = MedianSeconds(transport, [&] {
    way.Start();
    std::this_thread::sleep_for(kBusy);
    way.Wait();
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
  Way way(transport, &byte, {{0, 0, 1}});
  if (transport->rank() == 0) std::this_thread::sleep_for(std::chrono::seconds(1));
  const double before = ProcessorSeconds();
  way.Move();
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
