// Integer arithmetic: add, sub, mul, mad, div, rem, min, max, neg, abs, sad. PTX ISA, "Integer
// Arithmetic Instructions". Opcodes that floats share are handed on by type.

#include "llvm/IR/Intrinsics.h"
#include "support/status_macros.h"
#include "tests/emulator/translate.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Type;

using Binary = llvm::Value* (*)(llvm::IRBuilder<>&, bool is_signed, llvm::Value*, llvm::Value*);

llvm::Value* Minimum(llvm::IRBuilder<>& b, bool is_signed, llvm::Value* x, llvm::Value* y) {
  return b.CreateBinaryIntrinsic(is_signed ? llvm::Intrinsic::smin : llvm::Intrinsic::umin, x, y);
}

llvm::Value* Maximum(llvm::IRBuilder<>& b, bool is_signed, llvm::Value* x, llvm::Value* y) {
  return b.CreateBinaryIntrinsic(is_signed ? llvm::Intrinsic::smax : llvm::Intrinsic::umax, x, y);
}

// Division by zero and that of the least integer by -1 have no value in PTX; here they give all
// ones and the least integer, since the host would trap.
llvm::Value* Divide(llvm::IRBuilder<>& b, bool is_signed, llvm::Value* x, llvm::Value* y) {
  llvm::Value* const zero = b.CreateIsNull(y);
  llvm::Value* const one = llvm::ConstantInt::get(y->getType(), 1);
  llvm::Value* safe = b.CreateSelect(zero, one, y);
  if (!is_signed) {
    return b.CreateSelect(zero, llvm::ConstantInt::getAllOnesValue(y->getType()),
                          b.CreateUDiv(x, safe));
  }
  llvm::Value* const minus_one =
      b.CreateICmpEQ(y, llvm::ConstantInt::getAllOnesValue(y->getType()));
  safe = b.CreateSelect(minus_one, one, safe);
  llvm::Value* const quotient = b.CreateSelect(minus_one, b.CreateNeg(x), b.CreateSDiv(x, safe));
  return b.CreateSelect(zero, llvm::ConstantInt::getAllOnesValue(y->getType()), quotient);
}

llvm::Value* Remainder(llvm::IRBuilder<>& b, bool is_signed, llvm::Value* x, llvm::Value* y) {
  llvm::Value* const quotient = Divide(b, is_signed, x, y);
  return b.CreateSub(x, b.CreateMul(quotient, y));
}

// An instruction with two operands of its type.
template <Binary kOperation>
absl::Status TranslateBinary(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  const bool relu = modifiers.Take("relu");
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  ASSIGN_OR_RETURN(llvm::Value* const x, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value* const y, t.Read(instruction.operands[2], type));
  llvm::Value* value = kOperation(t.b(), type.is_signed(), x, y);
  if (relu) value = Maximum(t.b(), true, value, t.Constant(type.bits(), 0));
  return t.Write(instruction.operands[0], value, type);
}

llvm::Value* Add(llvm::IRBuilder<>& b, bool, llvm::Value* x, llvm::Value* y) {
  return b.CreateAdd(x, y);
}

llvm::Value* Subtract(llvm::IRBuilder<>& b, bool, llvm::Value* x, llvm::Value* y) {
  return b.CreateSub(x, y);
}

// Multiplies into twice the width and takes the part that the mode names.
absl::StatusOr<llvm::Value*> Multiply(Translator& t, const Instruction& instruction,
                                      const std::string& mode, const Type& type) {
  ASSIGN_OR_RETURN(llvm::Value * x, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value * y, t.Read(instruction.operands[2], type));
  if (mode == "lo") return t.b().CreateMul(x, y);
  llvm::Type* const wide = t.Int(2 * type.bits());
  const auto extend = [&](llvm::Value* value) {
    return type.is_signed() ? t.b().CreateSExt(value, wide) : t.b().CreateZExt(value, wide);
  };
  llvm::Value* const product = t.b().CreateMul(extend(x), extend(y));
  if (mode == "wide") return product;
  return t.b().CreateTrunc(t.b().CreateLShr(product, type.bits()), t.Int(type.bits()));
}

// mul.{lo,hi,wide} and mad.{lo,hi,wide}.
absl::Status TranslateProduct(Translator& t, const Instruction& instruction) {
  const bool mad = instruction.opcode == "mad";
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  const std::string mode = modifiers.TakeOneOf({"lo", "hi", "wide"});
  if (mode.empty()) return Unsupported(instruction, "expected .lo, .hi or .wide");
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, mad ? 4 : 3));
  ASSIGN_OR_RETURN(llvm::Value * value, Multiply(t, instruction, mode, type));
  if (mad) {
    const int bits = value->getType()->getIntegerBitWidth();
    ASSIGN_OR_RETURN(llvm::Value* const addend, t.ReadInt(instruction.operands[3], bits));
    value = t.b().CreateAdd(value, addend);
  }
  return t.WriteInt(instruction.operands[0], value);
}

absl::Status Negate(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  ASSIGN_OR_RETURN(llvm::Value* const x, t.Read(instruction.operands[1], type));
  llvm::Value* const negated = t.b().CreateNeg(x);
  if (instruction.opcode == "neg") return t.Write(instruction.operands[0], negated, type);
  return t.Write(instruction.operands[0], Maximum(t.b(), true, x, negated), type);
}

absl::Status SumOfDifferences(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 4));
  ASSIGN_OR_RETURN(llvm::Value* const x, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value* const y, t.Read(instruction.operands[2], type));
  ASSIGN_OR_RETURN(llvm::Value* const sum, t.Read(instruction.operands[3], type));
  llvm::Value* const difference = t.b().CreateSub(Maximum(t.b(), type.is_signed(), x, y),
                                                  Minimum(t.b(), type.is_signed(), x, y));
  return t.Write(instruction.operands[0], t.b().CreateAdd(sum, difference), type);
}

}  // namespace

void AddIntegerArithmetic(TranslateTable* table) {
  const auto add = [table](const char* opcode, Translate translate) {
    (*table)[opcode] = std::move(translate);
  };
  add("add", TranslateBinary<Add>);
  add("sub", TranslateBinary<Subtract>);
  add("div", TranslateBinary<Divide>);
  add("rem", TranslateBinary<Remainder>);
  add("min", TranslateBinary<Minimum>);
  add("max", TranslateBinary<Maximum>);
  add("mul", TranslateProduct);
  add("mad", TranslateProduct);
  add("neg", Negate);
  add("abs", Negate);
  add("sad", SumOfDifferences);
}

}  // namespace flashcp::emulator
