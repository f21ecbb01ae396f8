// mov, selp, cvta and the like: values go from register to register.

#include "support/status_macros.h"
#include "tests/emulator/translate.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;

// Joins the elements of {a, b, ...}, the first one lowest.
absl::Status Pack(Translator& t, const Instruction& instruction, const Type& type) {
  const auto& elements = instruction.operands[1].elements;
  const int bits = type.bits() / static_cast<int>(elements.size());
  llvm::Value* joined = t.Constant(type.bits(), 0);
  for (size_t i = 0; i < elements.size(); ++i) {
    ASSIGN_OR_RETURN(llvm::Value* const element, t.ReadInt(elements[i], bits));
    llvm::Value* const wide = t.b().CreateZExt(element, t.Int(type.bits()));
    joined = t.b().CreateOr(joined, t.b().CreateShl(wide, i * bits));
  }
  return t.WriteInt(instruction.operands[0], joined);
}

absl::Status Unpack(Translator& t, const Instruction& instruction, const Type& type) {
  const auto& elements = instruction.operands[0].elements;
  const int bits = type.bits() / static_cast<int>(elements.size());
  ASSIGN_OR_RETURN(llvm::Value* const joined, t.ReadInt(instruction.operands[1], type.bits()));
  for (size_t i = 0; i < elements.size(); ++i) {
    llvm::Value* const element = t.b().CreateTrunc(t.b().CreateLShr(joined, i * bits), t.Int(bits));
    RETURN_IF_ERROR(t.WriteInt(elements[i], element));
  }
  return absl::OkStatus();
}

absl::Status Mov(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  if (instruction.operands[1].kind == Operand::Kind::kVector) return Pack(t, instruction, type);
  if (instruction.operands[0].kind == Operand::Kind::kVector) return Unpack(t, instruction, type);
  ASSIGN_OR_RETURN(llvm::Value* const value, t.Read(instruction.operands[1], type));
  return t.Write(instruction.operands[0], value, type);
}

absl::Status Selp(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 4));
  ASSIGN_OR_RETURN(llvm::Value* const a, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value* const b, t.Read(instruction.operands[2], type));
  ASSIGN_OR_RETURN(llvm::Value* const predicate, t.ReadPredicate(instruction.operands[3]));
  return t.Write(instruction.operands[0], t.b().CreateSelect(predicate, a, b), type);
}

// Addresses of all spaces are host addresses, so that a conversion changes nothing.
absl::Status Cvta(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  modifiers.Ignore(
      {"to", "global", "shared", "shared::cta", "shared::cluster", "local", "const", "param"});
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  ASSIGN_OR_RETURN(llvm::Value* const value, t.Read(instruction.operands[1], type));
  return t.Write(instruction.operands[0], value, type);
}

}  // namespace

void AddDataMovement(TranslateTable* table) {
  (*table)["mov"] = Mov;
  (*table)["selp"] = Selp;
  (*table)["cvta"] = Cvta;
}

}  // namespace flashcp::emulator
