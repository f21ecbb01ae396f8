// Element types in memory: how bf16 and f16 bits become f32 and back, rounded to nearest even.
//
// Infinities, signed zeros and subnormals are kept; a NaN stays a (quiet) NaN. All functions are
// pure and inline, so that loops over them vectorise.

#ifndef FLASHCP_RUNTIME_NUMERIC_H_
#define FLASHCP_RUNTIME_NUMERIC_H_

#include <cstdint>
#include <cstring>

#include "runtime/kernels.h"

namespace flashcp {

// The bits of one element; distinct types, so that overloads choose the conversion.
struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

inline float FloatFromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline uint32_t BitsOfFloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float ToFloat(float value) { return value; }

inline float ToFloat(BFloat16 value) { return FloatFromBits(uint32_t{value.bits} << 16); }

inline float ToFloat(Float16 value) {
  uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00) return FloatFromBits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  if (magnitude < 0x0400) {  // subnormal: a multiple of 2^-24
    return FloatFromBits(sign | BitsOfFloat(static_cast<float>(magnitude) * 0x1p-24f));
  }
  return FloatFromBits(sign | ((magnitude << 13) + (uint32_t{127 - 15} << 23)));
}

// Drops the last `count` bits of an unsigned number, rounding to nearest, ties to even.
inline uint32_t RoundedShift(uint32_t bits, int count) {
  uint32_t just_below_half = (1u << (count - 1)) - 1;
  return (bits + just_below_half + ((bits >> count) & 1)) >> count;
}

inline void FromFloat(float value, float* result) { *result = value; }

inline void FromFloat(float value, BFloat16* result) {
  uint32_t bits = BitsOfFloat(value);
  bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  result->bits = static_cast<uint16_t>(is_nan ? bits >> 16 | 0x40 : RoundedShift(bits, 16));
}

inline void FromFloat(float value, Float16* result) {
  uint32_t bits = BitsOfFloat(value);
  uint32_t sign = bits >> 16 & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  uint32_t rounded;
  if (magnitude > 0x7f800000) {
    rounded = 0x7e00 | (magnitude >> 13 & 0x3ff);
  } else if (magnitude >= BitsOfFloat(65520.0f)) {  // the tie between 65504 and 2^16, and above
    rounded = 0x7c00;
  } else if (magnitude < BitsOfFloat(0x1p-14f)) {
    // Next to 0.5 the spacing of floats is 2^-24, that of f16 subnormals: adding 0.5 rounds.
    rounded = BitsOfFloat(FloatFromBits(magnitude) + 0.5f) - BitsOfFloat(0.5f);
  } else {
    rounded = RoundedShift(magnitude - (uint32_t{127 - 15} << 23), 13);
  }
  result->bits = static_cast<uint16_t>(sign | rounded);
}

// Calls function(element) with a value of the C++ type that holds `type`: float, BFloat16 or
// Float16, and returns what that returns. The one place where a DType becomes a type.
template <typename Function>
auto WithElementType(model::DType type, Function function) {
  switch (type) {
    case model::DType::kF32:
      return function(float{});
    case model::DType::kBF16:
      return function(BFloat16{});
    case model::DType::kF16:
      break;
  }
  return function(Float16{});
}

// Reads `count` elements of `type` as floats; writes floats as elements, rounded.
void ElementsToFloats(model::DType type, const void* elements, int64_t count, float* floats);
void FloatsToElements(model::DType type, const float* floats, int64_t count, void* elements);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_NUMERIC_H_
