// Tensor maps, and the copies that TMA does with them: a box of a tensor in global memory to or
// from a swizzled tile in shared memory. CUDA driver API, "Tensor Map Object Management"; PTX ISA,
// "cp.async.bulk.tensor".

#ifndef FLASHCP_TESTS_EMULATOR_TENSOR_MAP_H_
#define FLASHCP_TESTS_EMULATOR_TENSOR_MAP_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tests/emulator/swizzle.h"

namespace flashcp::emulator {

// Values are those of CUtensorMapDataType.
enum class TensorMapType {
  kU8 = 0,
  kU16 = 1,
  kU32 = 2,
  kS32 = 3,
  kU64 = 4,
  kS64 = 5,
  kF16 = 6,
  kF32 = 7,
  kF64 = 8,
  kBf16 = 9
};

// The arguments of cuTensorMapEncodeTiled, dimension 0 innermost. Not supported: interleaved
// layouts, element strides other than 1, NaN fill; promotion to L2 has no effect here.
struct TensorMap {
  static constexpr int kMaxRank = 5;

  TensorMapType type = TensorMapType::kBf16;
  std::byte* global = nullptr;
  std::vector<uint64_t> dims;     // Elements.
  std::vector<uint64_t> strides;  // Bytes, of dimensions 1 and up.
  std::vector<uint32_t> box;      // Elements.
  Swizzle swizzle = Swizzle::kNone;

  int rank() const { return dims.size(); }
  uint32_t element_bytes() const;
  // Bytes of the box in shared memory, which a load counts for its mbarrier even if rows are out of
  // bounds.
  uint32_t box_bytes() const;
};

// The opaque object that a kernel gets the address of; 64 is the alignment that the driver asks
// for.
struct alignas(64) TensorMapImage {
  std::byte bytes[128];
};

// Encodes with the checks of the driver; the message names the argument at fault.
absl::StatusOr<TensorMapImage> EncodeTiled(const TensorMap& map);
// Fails if these are not the bytes that EncodeTiled() made.
absl::StatusOr<TensorMap> DecodeTiled(const std::byte* image);

// At most 16 contiguous bytes of a copy. Bytes of the chunk from `valid_bytes` on are out of
// bounds: a load fills them with zeros, a store leaves them out.
struct TileChunk {
  std::byte* global;  // Not to be used if valid_bytes is 0.
  uint32_t shared;    // Shared address, swizzled.
  uint32_t bytes;
  uint32_t valid_bytes;
};

// Calls `copy` for the chunks of the box at `coordinates` (elements, dimension 0 innermost) whose
// tile starts at this shared address. Fails if that is not aligned to 128 bytes, and for a wrong
// number of coordinates.
absl::Status VisitTile(const TensorMap& map, absl::Span<const int32_t> coordinates,
                       uint32_t shared_address, absl::FunctionRef<void(const TileChunk&)> copy);

// Copies of one chunk; `shared` is where its shared address lies in host memory.
void LoadChunk(const TileChunk& chunk, std::byte* shared);         // cp.async.bulk.tensor to shared
void StoreChunk(const TileChunk& chunk, const std::byte* shared);  // ... to global
void ReduceAddF32(const TileChunk& chunk,
                  const std::byte* shared);  // cp.reduce.async.bulk.tensor.add

// Checks the operands of a plain cp.async.bulk: both addresses and the size are multiples of 16.
absl::Status CheckBulkCopy(uint64_t global_address, uint32_t shared_address, uint32_t bytes);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_TENSOR_MAP_H_
