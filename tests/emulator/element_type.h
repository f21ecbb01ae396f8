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
  _Float16 half;
  std::memcpy(&half, &bits, sizeof(half));
  return half;
}

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_ELEMENT_TYPE_H_
