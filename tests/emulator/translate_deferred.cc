// Instructions of a warp that are done later, many at one meeting: a thread stops once for a whole
// product of tiles, not for each 16 x 8 x 16 of it.

#include <algorithm>
#include <set>
#include <string>

#include "support/status_macros.h"
#include "tests/emulator/engine.h"
#include "tests/emulator/translate.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;

// Opcodes that compute with registers alone.
bool IsArithmetic(const std::string& opcode) {
  static const auto* const kOpcodes = new std::set<std::string>{
      "abs",  "add",  "and", "bfe",  "bfi",  "clz", "cvt", "cvta", "ex2", "fma",
      "lg2",  "lop3", "mad", "max",  "min",  "mov", "mul", "neg",  "not", "or",
      "popc", "prmt", "rcp", "selp", "setp", "shf", "shl", "shr",  "sub", "xor"};
  return kOpcodes->count(opcode) > 0;
}

bool Touches(const Operand& operand, const std::set<int>& registers) {
  if (registers.count(operand.reg) > 0) return true;
  return std::any_of(operand.elements.begin(), operand.elements.end(),
                     [&](const Operand& element) { return Touches(element, registers); });
}

// Does the instructions in their order; an error ends the launch.
void RunAll(const std::vector<const Site*>& sites, const Meeting& meeting) {
  for (const Site* site : sites) {
    if (meeting.engine.failed()) return;
    site->warp({meeting.engine, meeting.warp, *site, meeting.mask});
  }
}

}  // namespace

// Whether the instruction can be done, or deferred, before those that are deferred already.
bool Translator::MayPassDeferred(const Instruction& instruction) const {
  const auto is_free = [&](const Operand& operand) {
    return !Touches(operand, deferred_registers_);
  };
  if (instruction.guard < 0 && instruction.opcode == "mma") return true;
  if (instruction.guard < 0 && instruction.opcode == "ldmatrix") {
    return is_free(instruction.operands.back());  // the address
  }
  return IsArithmetic(instruction.opcode) && deferred_registers_.count(instruction.guard) == 0 &&
         std::all_of(instruction.operands.begin(), instruction.operands.end(), is_free);
}

absl::Status Translator::Defer(Site* site, llvm::Value* address, absl::Span<const Operand> inputs,
                               absl::Span<const Operand> outputs) {
  if (address != nullptr) {
    const int slot = address_slots_.at(site->instruction);
    builder_.CreateStore(builder_.CreateTrunc(address, Int(32)), FrameSlotPointer(slot));
    builder_.CreateStore(builder_.CreateTrunc(builder_.CreateLShr(address, 32), Int(32)),
                         FrameSlotPointer(slot + 1));
    site->frame_arguments.push_back({static_cast<uint16_t>(slot), true});
  }
  for (const Operand& operand : inputs) {
    ASSIGN_OR_RETURN(const uint16_t number, FrameRegister(operand));
    site->frame_arguments.push_back({number, false});
    deferred_registers_.insert(operand.reg);
  }
  for (const Operand& operand : outputs) {
    ASSIGN_OR_RETURN(const uint16_t number, FrameRegister(operand));
    site->frame_results.push_back(number);
    deferred_registers_.insert(operand.reg);
  }
  deferred_.push_back(site);
  return absl::OkStatus();
}

void Translator::CallDeferred() {
  if (deferred_.empty()) return;
  Site& site = NewSite(*deferred_.front()->instruction);
  site.warp = [sites = deferred_](const Meeting& meeting) { RunAll(sites, meeting); };
  CallSite(site, {}, 0);
  deferred_.clear();
  deferred_registers_.clear();
}

}  // namespace flashcp::emulator
