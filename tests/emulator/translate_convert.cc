// cvt: between integers, between floats, and from one to the other. PTX ISA, "Data Movement and
// Conversion Instructions: cvt".

#include "llvm/IR/Intrinsics.h"
#include "support/status_macros.h"
#include "tests/emulator/translate_float.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Type;

struct Conversion {
  Type to;
  Type from;
  bool flush;
  bool saturate;
  bool relu;
  std::string rounding;  // "", rn, rz, rni, rzi, rmi, rpi
};

absl::StatusOr<Conversion> ReadConversion(const Instruction& instruction) {
  Modifiers modifiers(instruction);
  Conversion c;
  ASSIGN_OR_RETURN(c.from, modifiers.TakeType());
  ASSIGN_OR_RETURN(c.to, modifiers.TakeType());
  c.flush = modifiers.Take("ftz");
  c.saturate = modifiers.Take("sat");
  c.relu = modifiers.Take("relu");
  c.rounding = modifiers.TakeOneOf({"rn", "rz", "rni", "rzi", "rmi", "rpi"});
  RETURN_IF_ERROR(modifiers.Finish());
  return c;
}

// Clamps an integer to what the type holds.
llvm::Value* ClampInteger(Translator& t, llvm::Value* value, const Conversion& c) {
  auto& b = t.b();
  const int bits = c.to.bits();
  if (bits >= c.from.bits() && c.to.is_signed() == c.from.is_signed()) return value;
  llvm::LLVMContext& context = b.getContext();
  const auto limit = [&](const llvm::APInt& narrow) {
    const llvm::APInt wide = c.to.is_signed() ? narrow.sext(128) : narrow.zext(128);
    return llvm::ConstantInt::get(context, wide);
  };
  llvm::Value* wide =
      c.from.is_signed() ? b.CreateSExt(value, t.Int(128)) : b.CreateZExt(value, t.Int(128));
  const llvm::APInt low =
      c.to.is_signed() ? llvm::APInt::getSignedMinValue(bits) : llvm::APInt::getMinValue(bits);
  const llvm::APInt high =
      c.to.is_signed() ? llvm::APInt::getSignedMaxValue(bits) : llvm::APInt::getMaxValue(bits);
  wide = b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, wide, limit(low));
  wide = b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, wide, limit(high));
  return b.CreateTrunc(wide, t.Int(bits));
}

absl::StatusOr<llvm::Value*> IntegerToInteger(Translator& t, llvm::Value* value,
                                              const Conversion& c) {
  if (c.saturate) value = ClampInteger(t, value, c);
  return c.from.is_signed() ? t.b().CreateSExtOrTrunc(value, t.Int(c.to.bits()))
                            : t.b().CreateZExtOrTrunc(value, t.Int(c.to.bits()));
}

llvm::Value* RoundToIntegral(Translator& t, llvm::Value* value, const std::string& rounding) {
  const llvm::Intrinsic::ID id = rounding == "rni"   ? llvm::Intrinsic::roundeven
                                 : rounding == "rmi" ? llvm::Intrinsic::floor
                                 : rounding == "rpi" ? llvm::Intrinsic::ceil
                                                     : llvm::Intrinsic::trunc;
  return t.b().CreateUnaryIntrinsic(id, value);
}

// Values out of range become the nearest; NaN 0, or for 64 bits the highest bit alone.
llvm::Value* FloatToInteger(Translator& t, llvm::Value* value, const Conversion& c) {
  auto& b = t.b();
  llvm::Type* const to = t.Int(c.to.bits());
  const llvm::Intrinsic::ID id =
      c.to.is_signed() ? llvm::Intrinsic::fptosi_sat : llvm::Intrinsic::fptoui_sat;
  llvm::Value* const rounded = RoundToIntegral(t, value, c.rounding);
  llvm::Value* const result = b.CreateIntrinsic(id, {to, value->getType()}, {rounded});
  if (c.from.bits() != 64 && c.to.bits() != 64) return result;
  const int bits = c.to.bits();
  llvm::Value* const nan = t.Constant(bits, uint64_t{1} << (bits - 1));
  return b.CreateSelect(b.CreateFCmpUNO(value, value), nan, result);
}

absl::StatusOr<llvm::Value*> IntegerToFloat(Translator& t, const Instruction& instruction,
                                            llvm::Value* value, const Conversion& c) {
  if (c.rounding != "rn") return Unsupported(instruction, "only .rn to floats");
  llvm::Type* const to = c.to.element_bits == 16 ? t.b().getDoubleTy() : t.TypeOf(c.to);
  llvm::Value* const result =
      c.from.is_signed() ? t.b().CreateSIToFP(value, to) : t.b().CreateUIToFP(value, to);
  return c.to.element_bits == 16 ? RoundTo16Bits(t, result, c.to) : result;
}

llvm::Value* Relu(Translator& t, llvm::Value* value) {
  return t.b().CreateBinaryIntrinsic(llvm::Intrinsic::maximum, value,
                                     llvm::ConstantFP::get(value->getType(), 0.0));
}

// Rounds f32 or f64 to 16 bits; .rz of bf16 cuts.
absl::StatusOr<llvm::Value*> Narrow(Translator& t, const Instruction& instruction,
                                    llvm::Value* value, const Conversion& c) {
  if (c.relu) value = Relu(t, value);
  if (c.rounding == "rn") return RoundTo16Bits(t, value, c.to);
  if (c.rounding != "rz" || c.to.kind != Type::Kind::kBfloat || c.from.bits() != 32) {
    return Unsupported(instruction, "only .rn, and .rz from f32 to bf16");
  }
  llvm::Value* const bits = t.b().CreateBitCast(value, t.Int(32));
  llvm::Value* const cut = t.b().CreateTrunc(t.b().CreateLShr(bits, 16), t.Int(16));
  return t.b().CreateSelect(t.b().CreateFCmpUNO(value, value), t.Constant(16, 0x7fff), cut);
}

absl::StatusOr<llvm::Value*> FloatToFloat(Translator& t, const Instruction& instruction,
                                          llvm::Value* value, const Conversion& c) {
  if (c.to.element_bits == 16) return Narrow(t, instruction, value, c);
  if (c.relu) return Unsupported(instruction, ".relu to more than 16 bits");
  if (c.rounding.size() == 3) value = RoundToIntegral(t, value, c.rounding);
  if (c.rounding == "rz") return Unsupported(instruction, "only .rn between floats");
  value = t.b().CreateFPCast(value, t.TypeOf(c.to));
  if (c.flush && c.to.bits() == 32) value = FlushToZero(t, value);
  if (!c.saturate) return value;
  llvm::Value* const zero = llvm::ConstantFP::get(value->getType(), 0.0);
  llvm::Value* const one = llvm::ConstantFP::get(value->getType(), 1.0);
  value = t.b().CreateBinaryIntrinsic(llvm::Intrinsic::maximumnum, value, zero);
  return t.b().CreateBinaryIntrinsic(llvm::Intrinsic::minimumnum, value, one);
}

// cvt.rn.bf16x2.f32 d, a, b: a becomes the upper half.
absl::Status ConvertPair(Translator& t, const Instruction& instruction, Conversion c) {
  RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  Conversion element = c;
  element.to.elements = 1;
  std::array<llvm::Value*, 2> halves;
  for (int i = 0; i < 2; ++i) {
    ASSIGN_OR_RETURN(llvm::Value* const value, t.Read(instruction.operands[i + 1], c.from));
    ASSIGN_OR_RETURN(llvm::Value* const half, Narrow(t, instruction, value, element));
    halves[i] = t.b().CreateZExt(half, t.Int(32));
  }
  return t.WriteInt(instruction.operands[0],
                    t.b().CreateOr(t.b().CreateShl(halves[0], 16), halves[1]));
}

absl::Status Convert(Translator& t, const Instruction& instruction) {
  ASSIGN_OR_RETURN(const Conversion c, ReadConversion(instruction));
  if (c.to.elements == 2) return ConvertPair(t, instruction, c);
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  ASSIGN_OR_RETURN(llvm::Value * value, t.Read(instruction.operands[1], c.from));
  if (c.from.is_float()) {
    value = WidenElement(t, value, c.from, 0);
    if (c.flush && c.from.bits() == 32) value = FlushToZero(t, value);
  }
  absl::StatusOr<llvm::Value*> result = c.from.is_float() && c.to.is_float()
                                            ? FloatToFloat(t, instruction, value, c)
                                        : c.from.is_float() ? FloatToInteger(t, value, c)
                                        : c.to.is_float() ? IntegerToFloat(t, instruction, value, c)
                                                          : IntegerToInteger(t, value, c);
  RETURN_IF_ERROR(result.status());
  return t.Write(instruction.operands[0], *result, c.to);
}

}  // namespace

void AddConversions(TranslateTable* table) { (*table)["cvt"] = Convert; }

}  // namespace flashcp::emulator
