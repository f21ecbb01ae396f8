// The scheduler: rounds over the warps of the resident CTAs until all CTAs have run.

#include "tests/emulator/engine.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/emulator/deadlock.h"

namespace flashcp::emulator {
namespace {

// Backward branches after which a thread lets others run: a loop may wait for their plain stores.
constexpr uint32_t kBranchBudget = 1 << 20;
// Rounds in which threads only polled, after which the grid counts as deadlocked.
constexpr int kIdleRounds = 1000;

std::vector<Allocation> WithVariables(std::vector<Allocation> allocations, const Kernel& kernel) {
  allocations.insert(allocations.end(), kernel.variables.begin(), kernel.variables.end());
  return allocations;
}

int Product(const std::array<int, 3>& dimensions) {
  return dimensions[0] * dimensions[1] * dimensions[2];
}

std::array<uint32_t, 3> Coordinates(int number, const std::array<int, 3>& dimensions) {
  const uint32_t x = dimensions[0];
  const uint32_t y = dimensions[1];
  return {number % x, number / x % y, number / x / y};
}

std::array<uint32_t, 3> Unsigned(const std::array<int, 3>& dimensions) {
  return {uint32_t(dimensions[0]), uint32_t(dimensions[1]), uint32_t(dimensions[2])};
}

}  // namespace

WarpRegister Meeting::Gather(int i) const {
  if (!site.frame_arguments.empty()) return warp.frame[site.frame_arguments[i].first];
  WarpRegister values = {};
  for (int lane = 0; lane < kLanes; ++lane) {
    if (Has(lane)) values[lane] = static_cast<uint32_t>(argument(lane, i));
  }
  return values;
}

void Meeting::Scatter(int i, const WarpRegister& values) const {
  if (!site.frame_results.empty() && mask == ~0u) {
    warp.frame[site.frame_results[i]] = values;
    return;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    if (Has(lane)) SetResult(lane, i, values[lane]);
  }
}

Engine::Engine(const Kernel& kernel, std::vector<std::byte> parameters, const GlobalMemory& memory,
               const LaunchOptions& options)
    : kernel_(kernel),
      parameters_(std::move(parameters)),
      options_(options),
      allocations_(WithVariables(memory.Snapshot(), kernel)),
      num_threads_(Product(options.block)),
      num_ctas_(Product(options.grid)),
      num_slots_(std::min(num_ctas_, std::max(1, options.schedule.resident_ctas))),
      shared_end_(kernel.dynamic_shared_offset + options.dynamic_shared_bytes),
      windows_(num_slots_),
      stacks_(num_slots_ * num_threads_),
      local_(kernel.local_bytes * num_slots_ * num_threads_),
      bulk_copies_(this),
      random_(options.schedule.seed) {
  if (options.races) races_ = std::make_unique<RaceTracker>(this, kernel);
  cta_order_ = Ordered(options.schedule.ctas, num_ctas_);
  slots_.resize(num_slots_);
}

Engine::~Engine() = default;

std::vector<int> Engine::Ordered(Schedule::Order order, int count) {
  std::vector<int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  if (order == Schedule::Order::kReverse) std::reverse(numbers.begin(), numbers.end());
  if (order == Schedule::Order::kSeeded) {
    for (int i = count - 1; i > 0; --i) std::swap(numbers[i], numbers[Random(i + 1)]);
  }
  return numbers;
}

void ThreadMain(void* argument) {
  Thread* const thread = static_cast<Thread*>(argument);
  Engine& engine = *thread->engine;
  engine.kernel_.entry(thread, engine.parameters_.data());
  engine.FinishThread(*thread);
  engine.SwitchAway(*thread);
}

void Engine::FinishThread(Thread& thread) {
  thread.SetState(Thread::State::kDone);
  ++thread.cta->exited;
  NoteActivity();
  const Warp& warp = *thread.warp;
  if (warp.live() != 0 || warp.products == nullptr) return;
  const absl::Status status = warp.products->queue.Finish();
  if (!status.ok()) FailLater(thread, thread.site->instruction, status.message());
}

void Engine::FinishCta(const Cta& cta) {
  ++finished_ctas_;
  if (races_ != nullptr) races_->EndCta(cta);
  if (const BulkCopy* copy = bulk_copies_.Finish(cta)) {
    FailLater(*copy->thread, copy->instruction, "the CTA exits while the copy is in flight");
  }
}

void Engine::StartThread(Cta& cta, int index) {
  Thread& thread = cta.threads[index];
  const int stack = cta.slot * num_threads_ + index;
  thread = {};
  thread.context.tid = Coordinates(index, options_.block);
  thread.context.ntid = Unsigned(options_.block);
  thread.context.ctaid = Coordinates(cta.number, options_.grid);
  thread.context.nctaid = Unsigned(options_.grid);
  thread.context.laneid = index % kLanes;
  thread.context.warpid = index / kLanes;
  thread.context.nwarpid = cta.warps.size();
  thread.context.dynamic_shared_bytes = options_.dynamic_shared_bytes;
  thread.context.shared_base = reinterpret_cast<uintptr_t>(cta.window);
  thread.context.local_base =
      reinterpret_cast<uintptr_t>(local_.data()) + kernel_.local_bytes * stack;
  thread.context.branch_budget = kBranchBudget;
  thread.context.frame =
      reinterpret_cast<uint32_t*>(cta.warps[index / kLanes].frame.data()) + index % kLanes;
  thread.engine = this;
  thread.cta = &cta;
  thread.warp = &cta.warps[index / kLanes];
  thread.index = index;
  thread.SetState(Thread::State::kReady);
  thread.stack = stacks_.Start(stack, ThreadMain, &thread);
}

std::unique_ptr<Cta> Engine::StartCta(int slot, int number) {
  auto cta = std::make_unique<Cta>(num_threads_);
  cta->slot = slot;
  cta->number = number;
  cta->window = windows_.Window(slot);
  for (int first = 0; first < num_threads_; first += kLanes) {
    cta->warps.push_back(
        {cta.get(), first / kLanes, std::min(kLanes, num_threads_ - first), &cta->threads[first]});
  }
  WarpRegister poison;
  poison.fill(kPoisonWord);
  for (Warp& warp : cta->warps) warp.frame.assign(kernel_.frame_registers, poison);
  cta->warpgroups.resize((cta->warps.size() + 3) / 4);
  Poison(cta->window, shared_end_);
  const size_t local_bytes = kernel_.local_bytes * num_threads_;
  Poison(local_.data() + local_bytes * slot, local_bytes);
  for (int index = 0; index < num_threads_; ++index) StartThread(*cta, index);
  if (races_ != nullptr) races_->StartCta(*cta);
  return cta;
}

void Engine::FillSlots() {
  for (int slot = 0; slot < num_slots_; ++slot) {
    std::unique_ptr<Cta>& cta = slots_[slot];
    if (cta != nullptr && !cta->is_done()) continue;
    if (cta != nullptr) FinishCta(*cta);
    cta = next_cta_ < cta_order_.size() ? StartCta(slot, cta_order_[next_cta_++]) : nullptr;
  }
}

absl::Status Engine::Run() {
  int idle = 0;
  FillSlots();
  while (finished_ctas_ < num_ctas_) {
    const uint64_t before = activity_;
    const bool ran = RunRound();
    if (!status_.ok()) return status_;
    FillSlots();
    if (activity_ != before) {
      idle = 0;
    } else if (!bulk_copies_.Step() && (!ran || ++idle == kIdleRounds)) {
      return Deadlock();
    }
  }
  return status_;
}

// Returns whether some thread ran.
bool Engine::RunRound() {
  bool ran = false;
  bulk_copies_.StepSome();
  for (int slot : Ordered(options_.schedule.warps, num_slots_)) {
    if (slots_[slot] == nullptr) continue;
    std::vector<Warp>& warps = slots_[slot]->warps;
    for (int i : Ordered(options_.schedule.warps, warps.size())) {
      ran |= RunWarp(warps[i]);
      if (!status_.ok()) return true;
    }
  }
  return ran;
}

// Makes threads ready whose wait is over.
void Engine::Wake(Warp& warp) {
  for (uint32_t left = warp.InState(Thread::State::kBlocked); left != 0; left &= left - 1) {
    Thread& thread = warp.threads[__builtin_ctz(left)];
    if (!thread.wait->is_over(thread)) continue;
    thread.SetState(Thread::State::kReady);
    NoteActivity();
  }
}

Thread* Engine::NextReady(const Warp& warp) const {
  const uint32_t ready = warp.InState(Thread::State::kReady);
  if (ready == 0) return nullptr;
  const bool reverse = options_.schedule.warps == Schedule::Order::kReverse;
  return &warp.threads[reverse ? 31 - __builtin_clz(ready) : __builtin_ctz(ready)];
}

// Runs the lanes of a warp until all are done, polling or blocked. Returns whether one ran.
bool Engine::RunWarp(Warp& warp) {
  bool ran = false;
  // Threads that poll get one turn.
  for (uint32_t left = warp.InState(Thread::State::kPolling); left != 0; left &= left - 1) {
    warp.threads[__builtin_ctz(left)].SetState(Thread::State::kReady);
  }
  do {
    Wake(warp);
    while (Thread* const thread = NextReady(warp)) {
      flashcp_fiber_switch(&scheduler_stack_, thread->stack);
      ran = true;
      if (!status_.ok()) return true;
    }
  } while (CompleteMeetings(warp) && status_.ok());
  return ran;
}

// Stops a fiber: another lane of the warp goes on, or the scheduler if none is ready.
void Engine::SwitchAway(Thread& thread) {
  Thread* const next = NextReady(*thread.warp);
  flashcp_fiber_switch(&thread.stack, next == nullptr ? scheduler_stack_ : next->stack);
}

// Returns those of the waiting lanes that have come to the collective of `first`.
uint32_t Engine::Came(const Warp& warp, uint32_t waiting, const Thread& first) const {
  const Site& site = *first.site;
  uint32_t came = 0;
  for (uint32_t left = waiting; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const Thread& thread = warp.threads[lane];
    if (thread.site != &site) continue;
    const int mask = site.mask_argument;
    if (mask != Site::kLiveLanes && thread.arguments[mask] != first.arguments[mask]) continue;
    came |= 1u << lane;
  }
  return came;
}

// Completes the collectives of a warp whose lanes have all come. Returns whether there was one.
bool Engine::CompleteMeetings(Warp& warp) {
  bool met = false;
  uint32_t waiting = warp.InState(Thread::State::kMeeting);
  while (waiting != 0) {
    const Thread& first = warp.threads[__builtin_ctz(waiting)];
    const Site& site = *first.site;
    const uint32_t needed = site.mask_argument == Site::kLiveLanes
                                ? warp.live()
                                : first.arguments[site.mask_argument] & warp.existing();
    const uint32_t came = Came(warp, waiting, first);
    waiting &= ~came;
    if (came != needed) continue;
    for (uint32_t left = came; left != 0; left &= left - 1) {
      warp.threads[__builtin_ctz(left)].SetState(Thread::State::kReady);
    }
    site.warp({*this, warp, site, came});
    NoteActivity();
    met = true;
  }
  return met;
}

void Engine::MeetWarp(Thread& thread) {
  thread.SetState(Thread::State::kMeeting);
  SwitchAway(thread);
}

void Engine::Block(Thread& thread, const WaitKind& wait, std::array<uint64_t, 2> data) {
  thread.wait = &wait;
  thread.wait_data = data;
  if (wait.is_over(thread)) return;
  thread.SetState(Thread::State::kBlocked);
  SwitchAway(thread);
}

void Engine::BlockInMeeting(Thread& thread, const WaitKind& wait, std::array<uint64_t, 2> data) {
  thread.wait = &wait;
  thread.wait_data = data;
  thread.SetState(Thread::State::kBlocked);
}

void Engine::Poll(Thread& thread) {
  thread.SetState(Thread::State::kPolling);
  SwitchAway(thread);
  thread.context.branch_budget = kBranchBudget;
}

std::string Engine::Place(const Thread& thread, const ptx::Instruction* instruction) const {
  return absl::StrCat("kernel ", kernel_.code.name, ", CTA ", thread.cta->number, ", ",
                      DescribeThread(thread), ", ", DescribeInstruction(*instruction));
}

absl::Status Engine::ErrorAt(const Thread& thread, const ptx::Instruction* instruction,
                             absl::string_view what) const {
  return absl::FailedPreconditionError(absl::StrCat(Place(thread, instruction), ": ", what));
}

void Engine::Fail(Thread& thread, const ptx::Instruction* instruction, absl::string_view what) {
  FailLater(thread, instruction, what);
  while (true) StopIfFailed(thread);
}

void Engine::StopIfFailed(Thread& thread) {
  if (status_.ok()) return;
  thread.SetState(Thread::State::kDone);
  while (true) flashcp_fiber_switch(&thread.stack, scheduler_stack_);
}

void Engine::Fail(Thread& thread, absl::string_view what) {
  Fail(thread, thread.site->instruction, what);
}

void Engine::FailMeeting(const Meeting& meeting, int lane, absl::string_view what) {
  FailLater(meeting.thread(lane), meeting.site.instruction, what);
}

void Engine::FailLater(const Thread& thread, const ptx::Instruction* instruction,
                       absl::string_view what) {
  if (status_.ok()) status_ = ErrorAt(thread, instruction, what);
}

std::string Engine::CheckShared(const Cta& cta, uint64_t address, size_t bytes,
                                size_t alignment) const {
  const uint64_t window = reinterpret_cast<uintptr_t>(cta.window);
  const uint64_t offset = address - window;
  if (offset < SharedWindows::kSystemBytes || offset + bytes > shared_end_ ||
      offset > shared_end_) {
    return absl::StrFormat(
        "%d bytes at shared address 0x%x are out of bounds: shared memory of the CTA is [0x%x, "
        "0x%x)",
        bytes, address, window + SharedWindows::kSystemBytes, window + shared_end_);
  }
  if (address % alignment == 0) return "";
  return absl::StrFormat("shared address 0x%x is not a multiple of %d", address, alignment);
}

std::string Engine::CheckGlobal(uint64_t address, size_t bytes, size_t alignment) {
  if (allocations_.Find(address, bytes) == nullptr) {
    return absl::StrFormat("%d bytes at address 0x%x are out of bounds: %s", bytes, address,
                           allocations_.Describe(address));
  }
  if (address % alignment == 0) return "";
  return absl::StrFormat("address 0x%x is not a multiple of %d", address, alignment);
}

std::byte* Engine::Shared(Thread& thread, uint64_t address, size_t bytes, size_t alignment) {
  const std::string problem = CheckShared(*thread.cta, address, bytes, alignment);
  if (!problem.empty()) Fail(thread, problem);
  return reinterpret_cast<std::byte*>(address);
}

std::byte* Engine::Shared(const Meeting& meeting, int lane, uint64_t address, size_t bytes,
                          size_t alignment) {
  const std::string problem = CheckShared(*meeting.warp.cta, address, bytes, alignment);
  if (!problem.empty()) FailMeeting(meeting, lane, problem);
  return problem.empty() ? reinterpret_cast<std::byte*>(address) : nullptr;
}

std::byte* Engine::Global(Thread& thread, uint64_t address, size_t bytes, size_t alignment) {
  const std::string problem = CheckGlobal(address, bytes, alignment);
  if (!problem.empty()) Fail(thread, problem);
  return reinterpret_cast<std::byte*>(address);
}

bool Engine::IsLocal(const Thread& thread, uint64_t address, size_t bytes) const {
  const uint64_t offset = address - thread.context.local_base;
  return offset < kernel_.local_bytes && offset + bytes <= kernel_.local_bytes;
}

void Engine::Check(Thread& thread, uint64_t address, const AccessSite& site) {
  using ptx::Space;
  const uint64_t in_window = address - reinterpret_cast<uintptr_t>(thread.cta->window);
  const bool may_be_shared = site.space == Space::kShared || site.space == Space::kGeneric;
  const bool may_be_local = site.space == Space::kLocal || site.space == Space::kGeneric;
  std::string problem;
  if (site.space == Space::kShared || (may_be_shared && in_window < SharedWindows::kWindowBytes)) {
    problem = CheckShared(*thread.cta, address, site.bytes, site.alignment);
  } else if (may_be_local && IsLocal(thread, address, site.bytes)) {
    if (address % site.alignment != 0) problem = "the local address is misaligned";
  } else if (site.space == Space::kLocal) {
    problem = "the address is outside of the thread's local memory";
  } else {
    problem = CheckGlobal(address, site.bytes, site.alignment);
  }
  if (!problem.empty()) Fail(thread, site.instruction, problem);
  if (races_ != nullptr && site.space != Space::kLocal && !IsLocal(thread, address, site.bytes)) {
    races_->Access(thread, site, address);
    StopIfFailed(thread);
  }
  if (site.kind == AccessSite::Kind::kWrite) NoteActivity();
}

absl::Status Engine::Deadlock() const {
  std::string report;
  for (const auto& cta : slots_) {
    if (cta == nullptr) continue;
    for (const Warp& warp : cta->warps) AppendWaits(warp, &report);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("kernel ", kernel_.code.name, ": deadlock. Who waits for what:", report));
}

}  // namespace flashcp::emulator
