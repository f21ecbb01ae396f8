// Floats in translated code: values of 16 bits are computed as f32 or f64 and rounded once.

#ifndef FLASHCP_TESTS_EMULATOR_TRANSLATE_FLOAT_H_
#define FLASHCP_TESTS_EMULATOR_TRANSLATE_FLOAT_H_

#include "tests/emulator/translate.h"

namespace flashcp::emulator {

// Replaces a subnormal f32 by a zero of its sign.
llvm::Value* FlushToZero(Translator& t, llvm::Value* value);

// Returns element i of a packed register, or the value of a scalar, as f32 (f64 for f64).
llvm::Value* WidenElement(Translator& t, llvm::Value* value, const ptx::Type& type, int i);

// Rounds f32 or f64 to nearest even, to an integer of 16 bits. NaN becomes 0x7fff.
llvm::Value* RoundToHalf(Translator& t, llvm::Value* value);
llvm::Value* RoundToBfloat(Translator& t, llvm::Value* value);
llvm::Value* RoundTo16Bits(Translator& t, llvm::Value* value, const ptx::Type& type);

// Returns `value`, or the NaN that hardware makes if it is any NaN.
llvm::Value* CanonicalNan(Translator& t, llvm::Value* value);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_TRANSLATE_FLOAT_H_
