// Fences and hints: what orders memory for others, or tells hardware how to run. Threads of the
// emulator see each other's accesses in the order of execution, so that fences matter to the race
// detector alone.

#include "support/status_macros.h"
#include "tests/emulator/engine.h"
#include "tests/emulator/translate.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;

absl::Status DoNothing(Translator&, const Instruction&) { return absl::OkStatus(); }

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
  for (const char* opcode : {"fence", "membar", "griddepcontrol", "setmaxnreg", "pmevent"}) {
    (*table)[opcode] = DoNothing;
  }
  (*table)["nanosleep"] = Sleep;
  (*table)["trap"] = Trap;
}

}  // namespace flashcp::emulator
