// Bits: and, or, xor, not, shl, shr, shf, lop3, prmt, bfe, bfi, popc, clz, brev, bfind. PTX ISA,
// "Logic and Shift Instructions" and "Integer Arithmetic Instructions".

#include "llvm/IR/Intrinsics.h"
#include "support/status_macros.h"
#include "tests/emulator/translate.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;

absl::Status Logic(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  ASSIGN_OR_RETURN(llvm::Value* const x, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value* const y, t.Read(instruction.operands[2], type));
  llvm::Value* const value = instruction.opcode == "and"  ? t.b().CreateAnd(x, y)
                             : instruction.opcode == "or" ? t.b().CreateOr(x, y)
                                                          : t.b().CreateXor(x, y);
  return t.Write(instruction.operands[0], value, type);
}

// not, popc, clz, brev: popc and clz give 32 bits.
absl::Status UnaryBits(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  ASSIGN_OR_RETURN(llvm::Value* const x, t.Read(instruction.operands[1], type));
  const Operand& result = instruction.operands[0];
  if (instruction.opcode == "not") return t.Write(result, t.b().CreateNot(x), type);
  if (instruction.opcode == "brev") {
    return t.Write(result, t.b().CreateUnaryIntrinsic(llvm::Intrinsic::bitreverse, x), type);
  }
  llvm::Value* const count =
      instruction.opcode == "popc"
          ? t.b().CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, x)
          : t.b().CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, x, t.b().getFalse());
  return t.WriteInt(result, t.b().CreateZExtOrTrunc(count, t.Int(32)));
}

// Shifts by a 32-bit amount; amounts of the width and above shift everything out.
absl::Status Shift(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  ASSIGN_OR_RETURN(llvm::Value* const x, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value* const amount, t.ReadInt(instruction.operands[2], 32));
  const int bits = type.bits();
  llvm::Value* const inside = t.b().CreateICmpULT(amount, t.Constant(32, bits));
  llvm::Value* const clamped = t.b().CreateZExtOrTrunc(
      t.b().CreateSelect(inside, amount, t.Constant(32, bits - 1)), t.Int(bits));
  if (instruction.opcode == "shr" && type.is_signed()) {
    return t.Write(instruction.operands[0], t.b().CreateAShr(x, clamped), type);
  }
  llvm::Value* const shifted =
      instruction.opcode == "shl" ? t.b().CreateShl(x, clamped) : t.b().CreateLShr(x, clamped);
  return t.Write(instruction.operands[0], t.b().CreateSelect(inside, shifted, t.Constant(bits, 0)),
                 type);
}

// shf: shifts the 64 bits of operands 2 (high) and 1 (low), and takes one half.
absl::Status FunnelShift(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  const bool left = modifiers.TakeOneOf({"l", "r"}) == "l";
  const bool wrap = modifiers.TakeOneOf({"wrap", "clamp"}) == "wrap";
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 4));
  ASSIGN_OR_RETURN(llvm::Value* const low, t.ReadInt(instruction.operands[1], 32));
  ASSIGN_OR_RETURN(llvm::Value* const high, t.ReadInt(instruction.operands[2], 32));
  ASSIGN_OR_RETURN(llvm::Value * amount, t.ReadInt(instruction.operands[3], 32));
  amount = wrap ? t.b().CreateAnd(amount, 31)
                : t.b().CreateBinaryIntrinsic(llvm::Intrinsic::umin, amount, t.Constant(32, 32));
  llvm::Value* const wide_amount = t.b().CreateZExt(amount, t.Int(64));
  llvm::Value* const joined = t.b().CreateOr(t.b().CreateShl(t.b().CreateZExt(high, t.Int(64)), 32),
                                             t.b().CreateZExt(low, t.Int(64)));
  llvm::Value* const shifted = left ? t.b().CreateLShr(t.b().CreateShl(joined, wide_amount), 32)
                                    : t.b().CreateLShr(joined, wide_amount);
  return t.Write(instruction.operands[0], t.b().CreateTrunc(shifted, t.Int(32)), type);
}

// lop3: bit i of the table is the result where the operands' bits spell i, the first one highest.
absl::Status Lop3(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  RETURN_IF_ERROR(modifiers.TakeType().status());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 5));
  std::array<llvm::Value*, 3> inputs;
  for (int i = 0; i < 3; ++i) {
    ASSIGN_OR_RETURN(inputs[i], t.ReadInt(instruction.operands[i + 1], 32));
  }
  const Operand& lut = instruction.operands[4];
  if (lut.kind != Operand::Kind::kImmediate) return Unsupported(instruction, "the table varies");
  llvm::Value* value = t.Constant(32, 0);
  for (int row = 0; row < 8; ++row) {
    if ((lut.bits >> row & 1) == 0) continue;
    llvm::Value* term = t.Constant(32, ~uint64_t{0});
    for (int i = 0; i < 3; ++i) {
      llvm::Value* const input = inputs[i];
      term = t.b().CreateAnd(term, row >> (2 - i) & 1 ? input : t.b().CreateNot(input));
    }
    value = t.b().CreateOr(value, term);
  }
  return t.WriteInt(instruction.operands[0], value);
}

// prmt without a mode: each nibble of the selector picks one of eight bytes, or with its high bit
// that byte's sign.
absl::Status Permute(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  RETURN_IF_ERROR(modifiers.TakeType().status());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 4));
  ASSIGN_OR_RETURN(llvm::Value* const low, t.ReadInt(instruction.operands[1], 32));
  ASSIGN_OR_RETURN(llvm::Value* const high, t.ReadInt(instruction.operands[2], 32));
  ASSIGN_OR_RETURN(llvm::Value* const selector, t.ReadInt(instruction.operands[3], 32));
  auto& b = t.b();
  llvm::Value* const bytes =
      b.CreateOr(b.CreateShl(b.CreateZExt(high, t.Int(64)), 32), b.CreateZExt(low, t.Int(64)));
  llvm::Value* value = t.Constant(32, 0);
  for (int i = 0; i < 4; ++i) {
    llvm::Value* const nibble = b.CreateAnd(b.CreateLShr(selector, 4 * i), 15);
    llvm::Value* const position = b.CreateShl(b.CreateAnd(nibble, 7), 3);
    llvm::Value* const byte =
        b.CreateTrunc(b.CreateLShr(bytes, b.CreateZExt(position, t.Int(64))), t.Int(8));
    llvm::Value* const sign = b.CreateAShr(byte, 7);
    llvm::Value* const takes_sign = b.CreateICmpUGE(nibble, t.Constant(32, 8));
    llvm::Value* const picked = b.CreateZExt(b.CreateSelect(takes_sign, sign, byte), t.Int(32));
    value = b.CreateOr(value, b.CreateShl(picked, 8 * i));
  }
  return t.WriteInt(instruction.operands[0], value);
}

// Returns x shifted right, by 0 if the amount (of 32 bits) is not below its width.
llvm::Value* ShiftOut(Translator& t, bool arithmetic, llvm::Value* x, llvm::Value* amount) {
  const int bits = x->getType()->getIntegerBitWidth();
  llvm::Value* const inside = t.b().CreateICmpULT(amount, t.Constant(32, bits));
  llvm::Value* const clamped =
      t.b().CreateZExt(t.b().CreateSelect(inside, amount, t.Constant(32, bits - 1)), x->getType());
  if (arithmetic) return t.b().CreateAShr(x, clamped);
  return t.b().CreateSelect(inside, t.b().CreateLShr(x, clamped), t.Constant(bits, 0));
}

// Returns a mask of the lowest `length` bits (of 32 bits), all for lengths of the width and above.
llvm::Value* LowMask(Translator& t, int bits, llvm::Value* length) {
  llvm::Value* const inside = t.b().CreateICmpULT(length, t.Constant(32, bits));
  llvm::Value* const amount =
      t.b().CreateZExt(t.b().CreateSelect(inside, length, t.Constant(32, 0)), t.Int(bits));
  llvm::Value* const mask =
      t.b().CreateSub(t.b().CreateShl(t.Constant(bits, 1), amount), t.Constant(bits, 1));
  return t.b().CreateSelect(inside, mask, t.Constant(bits, ~uint64_t{0}));
}

absl::StatusOr<llvm::Value*> ReadByte(Translator& t, const Operand& operand) {
  ASSIGN_OR_RETURN(llvm::Value* const value, t.ReadInt(operand, 32));
  return t.b().CreateAnd(value, 255);
}

// bfe: bits [position, position + length), extended by their sign if the type is signed; that is
// the highest bit of the operand if the field goes beyond it.
absl::Status ExtractBits(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 4));
  ASSIGN_OR_RETURN(llvm::Value* const x, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value* const position, ReadByte(t, instruction.operands[2]));
  ASSIGN_OR_RETURN(llvm::Value* const length, ReadByte(t, instruction.operands[3]));
  auto& b = t.b();
  const int bits = type.bits();
  llvm::Value* const mask = LowMask(t, bits, length);
  llvm::Value* value = b.CreateAnd(ShiftOut(t, type.is_signed(), x, position), mask);
  if (type.is_signed()) {
    llvm::Value* const last = b.CreateBinaryIntrinsic(
        llvm::Intrinsic::umin, b.CreateSub(b.CreateAdd(position, length), t.Constant(32, 1)),
        t.Constant(32, bits - 1));
    llvm::Value* const sign =
        b.CreateTrunc(b.CreateLShr(x, b.CreateZExt(last, t.Int(bits))), t.Int(1));
    llvm::Value* const fill = b.CreateAnd(sign, b.CreateIsNotNull(length));
    value = b.CreateSelect(fill, b.CreateOr(value, b.CreateNot(mask)), value);
  }
  return t.Write(instruction.operands[0], value, type);
}

// bfi: puts the low `length` bits of a into b from `position` on.
absl::Status InsertBits(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 5));
  ASSIGN_OR_RETURN(llvm::Value* const field, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value* const into, t.Read(instruction.operands[2], type));
  ASSIGN_OR_RETURN(llvm::Value* const position, ReadByte(t, instruction.operands[3]));
  ASSIGN_OR_RETURN(llvm::Value* const length, ReadByte(t, instruction.operands[4]));
  auto& b = t.b();
  const int bits = type.bits();
  llvm::Value* const inside = b.CreateICmpULT(position, t.Constant(32, bits));
  llvm::Value* const amount =
      b.CreateZExt(b.CreateSelect(inside, position, t.Constant(32, 0)), t.Int(bits));
  llvm::Value* const mask =
      b.CreateSelect(inside, b.CreateShl(LowMask(t, bits, length), amount), t.Constant(bits, 0));
  llvm::Value* const value = b.CreateOr(b.CreateAnd(b.CreateShl(field, amount), mask),
                                        b.CreateAnd(into, b.CreateNot(mask)));
  return t.Write(instruction.operands[0], value, type);
}

// bfind: the position of the highest bit that is set, or unlike the sign; all ones if there is
// none.
absl::Status FindBit(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  const bool shift_amount = modifiers.Take("shiftamt");
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  ASSIGN_OR_RETURN(llvm::Value * x, t.Read(instruction.operands[1], type));
  auto& b = t.b();
  if (type.is_signed()) x = b.CreateXor(x, b.CreateAShr(x, type.bits() - 1));
  llvm::Value* const zeros = b.CreateZExtOrTrunc(
      b.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, x, b.getFalse()), t.Int(32));
  llvm::Value* const position = b.CreateSub(t.Constant(32, type.bits() - 1), zeros);
  llvm::Value* const found = shift_amount ? zeros : position;
  return t.WriteInt(instruction.operands[0],
                    b.CreateSelect(b.CreateIsNull(x), t.Constant(32, ~uint64_t{0}), found));
}

}  // namespace

void AddBitOperations(TranslateTable* table) {
  for (const char* opcode : {"and", "or", "xor"}) (*table)[opcode] = Logic;
  for (const char* opcode : {"not", "popc", "clz", "brev"}) (*table)[opcode] = UnaryBits;
  for (const char* opcode : {"shl", "shr"}) (*table)[opcode] = Shift;
  (*table)["shf"] = FunnelShift;
  (*table)["lop3"] = Lop3;
  (*table)["prmt"] = Permute;
  (*table)["bfe"] = ExtractBits;
  (*table)["bfi"] = InsertBits;
  (*table)["bfind"] = FindBit;
}

}  // namespace flashcp::emulator
