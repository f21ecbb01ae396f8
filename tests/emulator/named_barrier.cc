#include "tests/emulator/named_barrier.h"

#include "absl/strings/str_cat.h"

namespace flashcp::emulator {
namespace {

absl::Status CheckOperands(int id, int threads, int cta_threads) {
  if (id < 0 || id >= NamedBarriers::kBarriers) {
    return absl::InvalidArgumentError(
        absl::StrCat("barrier ", id, " does not exist: a CTA has ", NamedBarriers::kBarriers));
  }
  if (threads % 32 != 0 || threads < 0 || threads > cta_threads) {
    return absl::InvalidArgumentError(
        absl::StrCat("barrier ", id, ": a count of ", threads,
                     " threads; it must be a multiple of 32, at most ", cta_threads));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NamedBarriers::Arrival> NamedBarriers::Arrive(int id, int threads,
                                                             int warp_threads) {
  // All of a CTA need not be a multiple of 32, a count must be.
  if (absl::Status status = CheckOperands(id, threads, (cta_threads_ + 31) / 32 * 32);
      !status.ok()) {
    return status;
  }
  Barrier& barrier = barriers_[id];
  const int expected = threads == 0 ? cta_threads_ : threads;
  if (barrier.arrived > 0 && barrier.expected != expected) {
    return absl::FailedPreconditionError(absl::StrCat("barrier ", id, ": a warp counts ", expected,
                                                      " threads, one that arrived before ",
                                                      barrier.expected));
  }
  if (barrier.arrived + warp_threads > expected) {
    return absl::FailedPreconditionError(absl::StrCat(
        "barrier ", id, ": ", barrier.arrived + warp_threads, " threads arrived, of ", expected));
  }
  barrier.expected = expected;
  barrier.arrived += warp_threads;
  const Arrival arrival = {barrier.arrived == expected, barrier.generation};
  if (arrival.completed) {
    barrier.arrived = 0;
    ++barrier.generation;
  }
  return arrival;
}

std::string NamedBarriers::Describe(int id) const {
  const Barrier& barrier = barriers_[id];
  if (barrier.arrived == 0) return absl::StrCat("barrier ", id, " has no threads");
  return absl::StrCat("barrier ", id, " has ", barrier.arrived, " of ", barrier.expected,
                      " threads");
}

}  // namespace flashcp::emulator
