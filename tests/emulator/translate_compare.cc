// setp: compares, combines with a third predicate, and writes one or two predicates. PTX ISA,
// "Comparison and Selection Instructions".

#include <map>

#include "support/status_macros.h"
#include "tests/emulator/translate_float.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;
using Predicate = llvm::CmpInst::Predicate;

struct Comparison {
  Predicate if_unsigned;
  Predicate if_signed;
  Predicate if_float;
};

const std::map<std::string, Comparison>& Comparisons() {
  using P = llvm::CmpInst;
  constexpr Predicate kNone = P::BAD_ICMP_PREDICATE;
  static const auto* const comparisons = new std::map<std::string, Comparison>{
      {"eq", {P::ICMP_EQ, P::ICMP_EQ, P::FCMP_OEQ}},
      {"ne", {P::ICMP_NE, P::ICMP_NE, P::FCMP_ONE}},
      {"lt", {P::ICMP_ULT, P::ICMP_SLT, P::FCMP_OLT}},
      {"le", {P::ICMP_ULE, P::ICMP_SLE, P::FCMP_OLE}},
      {"gt", {P::ICMP_UGT, P::ICMP_SGT, P::FCMP_OGT}},
      {"ge", {P::ICMP_UGE, P::ICMP_SGE, P::FCMP_OGE}},
      {"lo", {P::ICMP_ULT, kNone, kNone}},
      {"ls", {P::ICMP_ULE, kNone, kNone}},
      {"hi", {P::ICMP_UGT, kNone, kNone}},
      {"hs", {P::ICMP_UGE, kNone, kNone}},
      {"equ", {kNone, kNone, P::FCMP_UEQ}},
      {"neu", {kNone, kNone, P::FCMP_UNE}},
      {"ltu", {kNone, kNone, P::FCMP_ULT}},
      {"leu", {kNone, kNone, P::FCMP_ULE}},
      {"gtu", {kNone, kNone, P::FCMP_UGT}},
      {"geu", {kNone, kNone, P::FCMP_UGE}},
      {"num", {kNone, kNone, P::FCMP_ORD}},
      {"nan", {kNone, kNone, P::FCMP_UNO}},
  };
  return *comparisons;
}

absl::StatusOr<llvm::Value*> Compare(Translator& t, const Instruction& instruction,
                                     const std::string& name, const Type& type, bool flush) {
  const auto found = Comparisons().find(name);
  if (found == Comparisons().end()) return Unsupported(instruction, "unknown comparison");
  const Predicate predicate = type.is_float()    ? found->second.if_float
                              : type.is_signed() ? found->second.if_signed
                                                 : found->second.if_unsigned;
  if (predicate == llvm::CmpInst::BAD_ICMP_PREDICATE || type.elements > 1) {
    return Unsupported(instruction, "no comparison of this type");
  }
  ASSIGN_OR_RETURN(llvm::Value * x, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value * y, t.Read(instruction.operands[2], type));
  if (!type.is_float()) return t.b().CreateICmp(predicate, x, y);
  x = WidenElement(t, x, type, 0);
  y = WidenElement(t, y, type, 0);
  if (flush && type.bits() == 32) {
    x = FlushToZero(t, x);
    y = FlushToZero(t, y);
  }
  return t.b().CreateFCmp(predicate, x, y);
}

llvm::Value* Combine(Translator& t, const std::string& how, llvm::Value* x, llvm::Value* y) {
  if (how == "and") return t.b().CreateAnd(x, y);
  if (how == "or") return t.b().CreateOr(x, y);
  return t.b().CreateXor(x, y);
}

absl::Status Setp(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  const bool flush = modifiers.Take("ftz");
  const std::string how = modifiers.TakeOneOf({"and", "or", "xor"});
  if (instruction.modifiers.empty()) return Unsupported(instruction, "no comparison");
  const std::string& name = instruction.modifiers[0];
  modifiers.Take(name);
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, how.empty() ? 3 : 4));
  ASSIGN_OR_RETURN(llvm::Value* const result, Compare(t, instruction, name, type, flush));
  const auto combined = [&](llvm::Value* value) -> absl::StatusOr<llvm::Value*> {
    if (how.empty()) return value;
    ASSIGN_OR_RETURN(llvm::Value* const third, t.ReadPredicate(instruction.operands[3]));
    return Combine(t, how, value, third);
  };
  ASSIGN_OR_RETURN(llvm::Value* const p, combined(result));
  const Operand& destination = instruction.operands[0];
  if (destination.kind != Operand::Kind::kPair) return t.WriteInt(destination, p);
  ASSIGN_OR_RETURN(llvm::Value* const q, combined(t.b().CreateNot(result)));
  RETURN_IF_ERROR(t.WriteInt(destination.elements[0], p));
  return t.WriteInt(destination.elements[1], q);
}

}  // namespace

void AddComparisons(TranslateTable* table) { (*table)["setp"] = Setp; }

}  // namespace flashcp::emulator
