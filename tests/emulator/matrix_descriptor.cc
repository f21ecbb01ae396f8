#include "tests/emulator/matrix_descriptor.h"

#include "absl/strings/str_cat.h"

namespace flashcp::emulator {
namespace {

// An operand consists of core matrices: eight rows of 16 bytes, eight elements.
constexpr uint32_t kCore = 8;
constexpr uint32_t kElementBytes = 2;

// Fields of 14 bits leave out the low four bits of a number of bytes.
uint32_t BytesAt(uint64_t bits, int position) { return (bits >> position & 0x3fff) << 4; }

constexpr uint64_t kBaseOffset = uint64_t{7} << 49;
constexpr uint64_t kUnused = ~(uint64_t{0x3fff} | uint64_t{0x3fff} << 16 | uint64_t{0x3fff} << 32 |
                               kBaseOffset | uint64_t{3} << 62);

Swizzle SwizzleOf(uint64_t bits) {
  constexpr Swizzle kByMode[] = {Swizzle::kNone, Swizzle::k128Bytes, Swizzle::k64Bytes,
                                 Swizzle::k32Bytes};
  return kByMode[bits >> 62];
}

}  // namespace

absl::StatusOr<MatrixDescriptor> MatrixDescriptor::Decode(uint64_t bits) {
  if (bits & kUnused) {
    return absl::InvalidArgumentError(absl::StrCat("matrix descriptor ", absl::Hex(bits), ": bits ",
                                                   absl::Hex(bits & kUnused), " must be zero"));
  }
  if (bits & kBaseOffset) {
    return absl::UnimplementedError(
        absl::StrCat("matrix descriptor ", absl::Hex(bits), ": a base offset is not supported"));
  }
  return MatrixDescriptor{BytesAt(bits, 0), BytesAt(bits, 16), BytesAt(bits, 32), SwizzleOf(bits)};
}

uint32_t MatrixDescriptor::OffsetOf(Major major, uint32_t mn, uint32_t k) const {
  const uint32_t row_bytes = RowBytes(swizzle);
  const bool interleaved = swizzle == Swizzle::kNone;
  uint32_t offset;
  if (major == Major::kK) {
    // Rows are those of M or N; eight of them make a core matrix.
    const uint32_t next_core_in_k = interleaved ? leading_bytes : kCore * kElementBytes;
    offset = mn / kCore * stride_bytes + mn % kCore * row_bytes + k / kCore * next_core_in_k +
             k % kCore * kElementBytes;
  } else {
    // Rows are those of K, as long as the swizzle in the other dimension.
    const uint32_t row_elements = row_bytes / kElementBytes;
    const uint32_t next_in_mn = interleaved ? stride_bytes : leading_bytes;
    const uint32_t next_in_k = interleaved ? leading_bytes : stride_bytes;
    offset = mn / row_elements * next_in_mn + mn % row_elements * kElementBytes +
             k % kCore * row_bytes + k / kCore * next_in_k;
  }
  return Swizzled(swizzle, address + offset);
}

}  // namespace flashcp::emulator
