// The types of elements.

#ifndef FLASHCP_MODEL_DTYPE_H_
#define FLASHCP_MODEL_DTYPE_H_

#include <cstdint>

namespace flashcp::model {

enum class DType : uint8_t { kF32, kBF16, kF16 };

// Their names on command lines and in reports, by number.
inline constexpr const char* kDTypeNames[] = {"f32", "bf16", "f16"};

inline const char* NameOf(DType dtype) { return kDTypeNames[static_cast<int>(dtype)]; }

inline int BytesPerElement(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

}  // namespace flashcp::model

#endif  // FLASHCP_MODEL_DTYPE_H_
