// One pass over the instructions, block by block.

#include "tests/emulator/register_use.h"

#include <functional>
#include <string>

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;

// Whether the first operand is where the result goes.
bool HasDestination(const Instruction& instruction) {
  const std::string& opcode = instruction.opcode;
  return opcode != "bar" && opcode != "barrier" && opcode != "nanosleep" && opcode != "wgmma" &&
         opcode != "bra";
}

void VisitRegisters(const Operand& operand, const std::function<void(int)>& visit) {
  if (operand.reg >= 0) visit(operand.reg);
  for (const Operand& element : operand.elements) VisitRegisters(element, visit);
}

class Uses {
 public:
  explicit Uses(size_t registers) : block_(registers, kUnused), safe_(registers, true) {}

  void Read(int reg, int block) {
    if (block_[reg] != block) safe_[reg] = false;
  }

  void Write(int reg, int block, bool always) {
    if (block_[reg] == kUnused && always) block_[reg] = block;
    if (block_[reg] != block) safe_[reg] = false;
  }

  const std::vector<bool>& safe() const { return safe_; }

 private:
  static constexpr int kUnused = -1;
  std::vector<int> block_;  // that writes it first
  std::vector<bool> safe_;
};

void Visit(const Instruction& instruction, int block, Uses* uses) {
  if (instruction.guard >= 0) uses->Read(instruction.guard, block);
  const bool has_destination = HasDestination(instruction) && !instruction.operands.empty() &&
                               instruction.operands[0].kind != Operand::Kind::kAddress;
  for (size_t i = has_destination ? 1 : 0; i < instruction.operands.size(); ++i) {
    VisitRegisters(instruction.operands[i], [&](int reg) { uses->Read(reg, block); });
  }
  if (!has_destination) return;
  VisitRegisters(instruction.operands[0],
                 [&](int reg) { uses->Write(reg, block, instruction.guard < 0); });
}

}  // namespace

std::vector<bool> WrittenBeforeUse(const ptx::Kernel& kernel) {
  std::vector<bool> is_target(kernel.instructions.size() + 1);
  for (const Instruction& instruction : kernel.instructions) {
    if (instruction.opcode == "bra") is_target[instruction.operands[0].target] = true;
  }
  Uses uses(kernel.registers.size());
  int block = 0;
  for (size_t i = 0; i < kernel.instructions.size(); ++i) {
    if (is_target[i]) ++block;
    Visit(kernel.instructions[i], block, &uses);
    if (kernel.instructions[i].opcode == "bra") ++block;
  }
  return uses.safe();
}

}  // namespace flashcp::emulator
