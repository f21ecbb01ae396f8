// A fake of what a GPU for each rank and NCCL between them are: devices with streams, and a
// transport on them. Ranks are threads of this process.
//
// Nothing is done when it is enqueued. One thread does the work of all streams, one step at a time,
// and chooses by seed among all that may come next: the head of each stream, and each message whose
// two sides have begun. So any legal order may come up, and a seed gives the same order again where
// all was enqueued before the machine was let go. Work begins in one step, which fills what it is
// going to write with NaNs where it can, and ends in another, which reads and writes.
//
// What is enqueued goes through a RaceCheck, too, which finds what nothing orders whatever the
// seed.

#ifndef FLASHCP_TESTS_TESTING_FAKE_MACHINE_H_
#define FLASHCP_TESTS_TESTING_FAKE_MACHINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/device.h"
#include "runtime/transport.h"
#include "tests/testing/race_check.h"

namespace flashcp::testing {

// What a test does to one rank. Records and waits of a rank are counted in the order of the calls.
struct Sabotage {
  int rank = -1;
  int skip_record = -1;  // this call does nothing
  int skip_wait = -1;
  int stop_at_record = -1;  // its stream stands still in this place
  int fail_launch = -1;     // this launch fails on the device
};

class FakeMachine {
 public:
  struct Options {
    uint64_t seed = 0;
    bool gathers = true;
    bool held = false;  // does nothing until Release
    Sabotage sabotage;
  };
  FakeMachine(int ranks, const Options& options);
  ~FakeMachine();

  // For each rank once; they may outlive the machine, which then does nothing more.
  std::unique_ptr<Device> MakeDevice(int rank);
  std::unique_ptr<Transport> MakeTransport(int rank);

  void Release();
  // Waits until nothing can go on.
  void AwaitIdle();
  // Does nothing from now on: memory of ranks may go.
  void Stop();

  int num_records(int rank) const;
  int num_waits(int rank) const;
  // Once the rank enqueues nothing more.
  std::vector<std::string> races(int rank) const;

  class State;

 private:
  std::shared_ptr<State> state_;
};

// Enqueues a function of the test on a stream of such a device.
void CallOn(Stream* stream, const std::string& what, const std::vector<RaceCheck::Access>& accesses,
            std::function<void()> call);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_FAKE_MACHINE_H_
