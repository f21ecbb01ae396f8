// Fences and hints: what orders memory for others, or tells hardware how to run. Threads of the
// emulator see each other's accesses in the order of execution, so that fences matter to the race
// detector alone; that of the tensormap proxy is not modelled.

#include <functional>
#include <utility>

#include "support/status_macros.h"
#include "tests/emulator/engine.h"
#include "tests/emulator/translate.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;

absl::Status DoNothing(Translator&, const Instruction&) { return absl::OkStatus(); }

// Calls `fence` if races are looked for.
absl::Status CallFence(Translator& t, const Instruction& instruction,
                       std::function<void(RaceTracker&, const Thread&)> fence) {
  Site& site = t.NewSite(instruction);
  site.lane = [fence = std::move(fence)](Thread& thread, const uint64_t*, uint64_t*) {
    if (RaceTracker* const races = thread.engine->races()) fence(*races, thread);
  };
  t.CallSite(site, {}, 0);
  return absl::OkStatus();
}

// membar.LEVEL, fence.{sc,acq_rel}.SCOPE
absl::Status MemoryFence(Translator& t, const Instruction& instruction) {
  return CallFence(t, instruction,
                   [](RaceTracker& races, const Thread& thread) { races.Fence(thread); });
}

// fence.proxy.async{.SPACE}, and fence.mbarrier_init, which makes the init of mbarriers visible to
// it.
absl::Status ProxyFence(Translator& t, const Instruction& instruction) {
  const bool shared = instruction.Has("shared::cta") || instruction.Has("shared::cluster") ||
                      instruction.Has("mbarrier_init");
  const FenceSpace space = shared                      ? FenceSpace::kShared
                           : instruction.Has("global") ? FenceSpace::kGlobal
                                                       : FenceSpace::kAll;
  return CallFence(t, instruction, [space](RaceTracker& races, const Thread& thread) {
    races.ProxyFence(thread, space);
  });
}

absl::Status Fence(Translator& t, const Instruction& instruction) {
  if (instruction.Has("proxy")) {
    return instruction.Has("async") ? ProxyFence(t, instruction) : DoNothing(t, instruction);
  }
  return instruction.Has("mbarrier_init") ? ProxyFence(t, instruction)
                                          : MemoryFence(t, instruction);
}

absl::Status Sleep(Translator& t, const Instruction& instruction) {
  t.CallPoll(instruction);
  return absl::OkStatus();
}

absl::Status Trap(Translator& t, const Instruction& instruction) {
  Site& site = t.NewSite(instruction);
  site.lane = [](Thread& thread, const uint64_t*, uint64_t*) {
    thread.engine->Fail(thread, "the kernel trapped");
  };
  t.CallSite(site, {}, 0);
  return absl::OkStatus();
}

}  // namespace

void AddControl(TranslateTable* table) {
  (*table)["fence"] = Fence;
  (*table)["membar"] = MemoryFence;
  for (const char* opcode : {"griddepcontrol", "setmaxnreg", "pmevent"}) {
    (*table)[opcode] = DoNothing;
  }
  (*table)["nanosleep"] = Sleep;
  (*table)["trap"] = Trap;
}

}  // namespace flashcp::emulator
