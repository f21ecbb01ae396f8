// Float arithmetic. PTX ISA, "Floating Point Instructions" and "Half Precision Floating Point
// Instructions". Rounding is to nearest even; products and sums are never fused, since PTX leaves
// that open; approximations are the host's functions, which are more exact than a GPU's.

#include "tests/emulator/translate_float.h"

#include <cmath>
#include <functional>
#include <utility>

#include "llvm/IR/Intrinsics.h"
#include "support/status_macros.h"
#include "tests/emulator/runtime_calls.h"

namespace flashcp::emulator {

using ptx::Instruction;
using ptx::Type;

llvm::Value* FlushToZero(Translator& t, llvm::Value* value) {
  auto& b = t.b();
  llvm::Value* const bits = b.CreateBitCast(value, t.Int(32));
  llvm::Value* const subnormal = b.CreateIsNull(b.CreateAnd(bits, 0x7f800000));
  llvm::Value* const zero = b.CreateAnd(bits, t.Constant(32, 0x80000000));
  return b.CreateBitCast(b.CreateSelect(subnormal, zero, bits), value->getType());
}

llvm::Value* CanonicalNan(Translator& t, llvm::Value* value) {
  auto& b = t.b();
  if (!value->getType()->isFloatTy()) return value;
  llvm::Value* const nan = b.CreateBitCast(t.Constant(32, 0x7fffffff), value->getType());
  return b.CreateSelect(b.CreateFCmpUNO(value, value), nan, value);
}

llvm::Value* WidenElement(Translator& t, llvm::Value* value, const Type& type, int i) {
  auto& b = t.b();
  if (type.element_bits != 16) return value;
  llvm::Value* const bits = b.CreateTrunc(b.CreateLShr(value, 16 * i), t.Int(16));
  if (type.kind == Type::Kind::kFloat)
    return t.CallRuntime(kHalfToFloatCall, b.getFloatTy(), {bits});
  return b.CreateBitCast(b.CreateShl(b.CreateZExt(bits, t.Int(32)), 16), b.getFloatTy());
}

llvm::Value* RoundToHalf(Translator& t, llvm::Value* value) {
  const char* const call = value->getType()->isFloatTy() ? kFloatToHalfCall : kDoubleToHalfCall;
  llvm::Value* const bits = t.CallRuntime(call, t.Int(16), {value});
  return t.b().CreateSelect(t.b().CreateFCmpUNO(value, value), t.Constant(16, 0x7fff), bits);
}

llvm::Value* RoundToBfloat(Translator& t, llvm::Value* value) {
  auto& b = t.b();
  llvm::Value* bits;
  if (value->getType()->isFloatTy()) {
    bits = b.CreateBitCast(value, t.Int(32));
    llvm::Value* const odd = b.CreateAnd(b.CreateLShr(bits, 16), 1);
    bits = b.CreateAdd(bits, b.CreateAdd(odd, t.Constant(32, 0x7fff)));
    bits = b.CreateTrunc(b.CreateLShr(bits, 16), t.Int(16));
  } else {
    bits = t.CallRuntime(kDoubleToBfloatCall, t.Int(16), {value});
  }
  return b.CreateSelect(b.CreateFCmpUNO(value, value), t.Constant(16, 0x7fff), bits);
}

llvm::Value* RoundTo16Bits(Translator& t, llvm::Value* value, const Type& type) {
  return type.kind == Type::Kind::kFloat ? RoundToHalf(t, value) : RoundToBfloat(t, value);
}

namespace {

using Values = std::vector<llvm::Value*>;
// Computes with f32 or f64 operands.
using Operation = std::function<llvm::Value*(Translator&, const Values&)>;

// Computes one element of 16 bits in f64, where products and most sums are exact.
llvm::Value* ComputeNarrow(Translator& t, const Operation& operation, const Values& operands,
                           const Type& type, int element) {
  Values wide;
  for (llvm::Value* operand : operands) {
    wide.push_back(t.b().CreateFPExt(WidenElement(t, operand, type, element), t.b().getDoubleTy()));
  }
  return RoundTo16Bits(t, operation(t, wide), type);
}

llvm::Value* Compute(Translator& t, const Operation& operation, Values operands, const Type& type,
                     bool flush) {
  if (type.element_bits == 16) {
    llvm::Value* result = t.Constant(type.bits(), 0);
    for (int i = 0; i < type.elements; ++i) {
      llvm::Value* const element = ComputeNarrow(t, operation, operands, type, i);
      llvm::Value* const wide = t.b().CreateZExt(element, t.Int(type.bits()));
      result = t.b().CreateOr(result, t.b().CreateShl(wide, 16 * i));
    }
    return result;
  }
  if (flush) {
    for (llvm::Value*& operand : operands) operand = FlushToZero(t, operand);
  }
  llvm::Value* const result = operation(t, operands);
  return flush ? FlushToZero(t, result) : result;
}

// NaN becomes 0 too, as the ISA says of .sat.
llvm::Value* Saturate(Translator& t, llvm::Value* value) {
  llvm::Type* const type = value->getType();
  llvm::Value* const low = t.b().CreateBinaryIntrinsic(llvm::Intrinsic::maximumnum, value,
                                                       llvm::ConstantFP::get(type, 0.0));
  return t.b().CreateBinaryIntrinsic(llvm::Intrinsic::minimumnum, low,
                                     llvm::ConstantFP::get(type, 1.0));
}

// Translates an instruction of `count` operands that rounds to nearest or approximates.
Translate Arithmetic(int count, Operation operation) {
  return [count, operation](Translator& t, const Instruction& instruction) -> absl::Status {
    Modifiers modifiers(instruction);
    ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
    const bool flush = modifiers.Take("ftz");
    const bool saturate = modifiers.Take("sat");
    modifiers.Ignore({"rn", "approx", "full"});
    RETURN_IF_ERROR(modifiers.Finish());
    RETURN_IF_ERROR(ExpectOperands(instruction, count + 1));
    if ((flush || saturate) && type.bits() != 32) return Unsupported(instruction, "not of f32");
    Values operands;
    for (int i = 1; i <= count; ++i) {
      ASSIGN_OR_RETURN(llvm::Value* const operand, t.Read(instruction.operands[i], type));
      operands.push_back(operand);
    }
    llvm::Value* result = Compute(t, operation, operands, type, flush);
    if (saturate) result = Saturate(t, result);
    return t.Write(instruction.operands[0], result, type);
  };
}

Operation Intrinsic(llvm::Intrinsic::ID id) {
  return [id](Translator& t, const Values& v) {
    return t.b().CreateIntrinsic(id, {v[0]->getType()}, v);
  };
}

llvm::Value* One(const Values& v) { return llvm::ConstantFP::get(v[0]->getType(), 1.0); }

// min and max: the operand that is not NaN, unless .NaN; -0 is less than +0. Three operands and
// .xorsign are not supported.
absl::Status Extremum(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  const bool flush = modifiers.Take("ftz");
  const bool nan = modifiers.Take("NaN");
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  const bool max = instruction.opcode == "max";
  const llvm::Intrinsic::ID id = max ? nan ? llvm::Intrinsic::maximum : llvm::Intrinsic::maximumnum
                                 : nan ? llvm::Intrinsic::minimum
                                       : llvm::Intrinsic::minimumnum;
  const Operation operation = [id](Translator& t, const Values& v) {
    return CanonicalNan(t, t.b().CreateBinaryIntrinsic(id, v[0], v[1]));
  };
  ASSIGN_OR_RETURN(llvm::Value* const x, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value* const y, t.Read(instruction.operands[2], type));
  return t.Write(instruction.operands[0], Compute(t, operation, {x, y}, type, flush), type);
}

// neg and abs change the sign bit, of NaN too.
absl::Status ChangeSign(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  const bool flush = modifiers.Take("ftz");
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  ASSIGN_OR_RETURN(llvm::Value * x, t.Read(instruction.operands[1], type));
  if (flush && type.bits() == 32) x = FlushToZero(t, x);
  uint64_t signs = 0;
  for (int i = 1; i <= type.elements; ++i) signs |= uint64_t{1} << (i * type.element_bits - 1);
  llvm::Value* const bits = t.b().CreateBitCast(x, t.Int(type.bits()));
  llvm::Value* const value = instruction.opcode == "neg"
                                 ? t.b().CreateXor(bits, t.Constant(type.bits(), signs))
                                 : t.b().CreateAnd(bits, t.Constant(type.bits(), ~signs));
  return t.WriteInt(instruction.operands[0], value);
}

// copysign: the magnitude of b with the sign of a.
absl::Status CopySign(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  ASSIGN_OR_RETURN(llvm::Value* const sign, t.Read(instruction.operands[1], type));
  ASSIGN_OR_RETURN(llvm::Value* const magnitude, t.Read(instruction.operands[2], type));
  return t.Write(instruction.operands[0], t.b().CreateCopySign(magnitude, sign), type);
}

// Lets floats share an opcode with integers.
void Share(TranslateTable* table, const char* opcode, Translate floats) {
  const Translate integers = (*table)[opcode];
  (*table)[opcode] = [floats, integers](Translator& t, const Instruction& instruction) {
    return IsFloatInstruction(instruction) ? floats(t, instruction) : integers(t, instruction);
  };
}

}  // namespace

void AddFloatArithmetic(TranslateTable* table) {
  const auto binary = [](llvm::Value* (*create)(llvm::IRBuilder<>&, llvm::Value*, llvm::Value*)) {
    return Arithmetic(
        2, [create](Translator& t, const Values& v) { return create(t.b(), v[0], v[1]); });
  };
  using Builder = llvm::IRBuilder<>;
  using Value = llvm::Value;
  Share(table, "add", binary([](Builder& b, Value* x, Value* y) { return b.CreateFAdd(x, y); }));
  Share(table, "sub", binary([](Builder& b, Value* x, Value* y) { return b.CreateFSub(x, y); }));
  Share(table, "mul", binary([](Builder& b, Value* x, Value* y) { return b.CreateFMul(x, y); }));
  Share(table, "div", binary([](Builder& b, Value* x, Value* y) { return b.CreateFDiv(x, y); }));
  Share(table, "mad", Arithmetic(3, Intrinsic(llvm::Intrinsic::fma)));
  (*table)["fma"] = Arithmetic(3, Intrinsic(llvm::Intrinsic::fma));
  for (const char* opcode : {"min", "max"}) Share(table, opcode, Extremum);
  for (const char* opcode : {"neg", "abs"}) Share(table, opcode, ChangeSign);
  (*table)["copysign"] = CopySign;
  (*table)["ex2"] = Arithmetic(1, Intrinsic(llvm::Intrinsic::exp2));
  (*table)["lg2"] = Arithmetic(1, Intrinsic(llvm::Intrinsic::log2));
  (*table)["sin"] = Arithmetic(1, Intrinsic(llvm::Intrinsic::sin));
  (*table)["cos"] = Arithmetic(1, Intrinsic(llvm::Intrinsic::cos));
  (*table)["tanh"] = Arithmetic(1, Intrinsic(llvm::Intrinsic::tanh));
  (*table)["sqrt"] = Arithmetic(1, Intrinsic(llvm::Intrinsic::sqrt));
  (*table)["rcp"] =
      Arithmetic(1, [](Translator& t, const Values& v) { return t.b().CreateFDiv(One(v), v[0]); });
  (*table)["rsqrt"] = Arithmetic(1, [](Translator& t, const Values& v) {
    return t.b().CreateFDiv(One(v), t.b().CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, v[0]));
  });
}

}  // namespace flashcp::emulator
