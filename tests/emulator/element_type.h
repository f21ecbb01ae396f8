// The 16-bit element types of matrix products.

#ifndef FLASHCP_TESTS_EMULATOR_ELEMENT_TYPE_H_
#define FLASHCP_TESTS_EMULATOR_ELEMENT_TYPE_H_

#include <cstdint>
#include <cstring>

namespace flashcp::emulator {

enum class ElementType { kF16, kBf16 };

// Returns the value of an element, which f32 holds exactly.
inline float ToFloat(ElementType type, uint16_t bits) {
  if (type == ElementType::kBf16) {
    const uint32_t wide = uint32_t{bits} << 16;
    float value;
    std::memcpy(&value, &wide, sizeof(value));
    return value;
  }
  // The exponent of f16 moves to the bias of f32 by a product, which is right for subnormals too.
  const uint32_t magnitude = uint32_t{bits & 0x7fffu} << 13;
  float scaled;
  std::memcpy(&scaled, &magnitude, sizeof(scaled));
  scaled *= 0x1p112f;
  uint32_t wide;
  std::memcpy(&wide, &scaled, sizeof(wide));
  if (magnitude >= 0x0f800000u) wide |= 0x7f800000u;  // Infinity or NaN.
  wide |= uint32_t{bits & 0x8000u} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_ELEMENT_TYPE_H_
