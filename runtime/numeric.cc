// Rounds and widens whole rows.

#include "runtime/numeric.h"

namespace flashcp {

void ElementsToFloats(model::DType type, const void* elements, int64_t count, float* floats) {
  WithElementType(type, [&](auto element) {
    const auto* typed = static_cast<const decltype(element)*>(elements);
    for (int64_t i = 0; i < count; ++i) floats[i] = ToFloat(typed[i]);
  });
}

void FloatsToElements(model::DType type, const float* floats, int64_t count, void* elements) {
  WithElementType(type, [&](auto element) {
    auto* typed = static_cast<decltype(element)*>(elements);
    for (int64_t i = 0; i < count; ++i) FromFloat(floats[i], &typed[i]);
  });
}

}  // namespace flashcp
