#include "tests/emulator/tensor_map.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp::emulator {
namespace {

constexpr int kMaxRank = TensorMap::kMaxRank;
constexpr uint64_t kMagic = 0x70616d726f736e74;  // "tnsormap"

// The image: hardware's layout is not public.
struct Image {
  uint64_t magic;
  uint64_t global;
  uint64_t strides[kMaxRank - 1];
  uint32_t dims_less_one[kMaxRank];  // A dimension may be 2^32.
  uint16_t box[kMaxRank];
  uint8_t type;
  uint8_t rank;
  uint8_t swizzle;
};
static_assert(sizeof(Image) <= sizeof(TensorMapImage));

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("tensor map: ", parts...));
}

absl::Status CheckTensor(const TensorMap& map) {
  if (map.rank() < 1 || map.rank() > kMaxRank) {
    return Wrong("rank ", map.rank(), "; it must be 1 to ", kMaxRank);
  }
  if (map.strides.size() + 1 != map.dims.size() || map.box.size() != map.dims.size()) {
    return Wrong("rank ", map.rank(), " with ", map.strides.size(), " strides and ", map.box.size(),
                 " sides of the box");
  }
  if (reinterpret_cast<uintptr_t>(map.global) % 16 != 0) {
    return Wrong("the global address is not a multiple of 16");
  }
  for (int i = 0; i < map.rank(); ++i) {
    if (map.dims[i] == 0 || map.dims[i] > uint64_t{1} << 32) {
      return Wrong("dimension ", i, " is ", map.dims[i], "; it must be in [1, 2^32]");
    }
  }
  for (int i = 0; i + 1 < map.rank(); ++i) {
    if (map.strides[i] % 16 != 0 || map.strides[i] >= uint64_t{1} << 40) {
      return Wrong("the stride of dimension ", i + 1, " is ", map.strides[i],
                   " bytes; it must be a multiple of 16 below 2^40");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBox(const TensorMap& map) {
  for (int i = 0; i < map.rank(); ++i) {
    if (map.box[i] == 0 || map.box[i] > 256) {
      return Wrong("side ", i, " of the box is ", map.box[i], "; it must be in [1, 256]");
    }
  }
  const uint32_t inner_bytes = map.box[0] * map.element_bytes();
  if (inner_bytes % 16 != 0) {
    return Wrong("the inner side of the box has ", inner_bytes, " bytes, not a multiple of 16");
  }
  if (map.swizzle != Swizzle::kNone && inner_bytes > RowBytes(map.swizzle)) {
    return Wrong("the inner side of the box has ", inner_bytes, " bytes, the swizzle permutes ",
                 RowBytes(map.swizzle));
  }
  return absl::OkStatus();
}

// Visits the rows of a box, the inner dimension left out, and cuts them into chunks.
class TileVisitor {
 public:
  TileVisitor(const TensorMap& map, absl::Span<const int32_t> coordinates, uint32_t shared_address,
              absl::FunctionRef<void(const TileChunk&)> copy)
      : map_(map), coordinates_(coordinates), shared_(shared_address), copy_(copy) {}

  void VisitAll() { Visit(map_.rank() - 1, map_.global, /*inside=*/true); }

 private:
  void Visit(int dimension, std::byte* global, bool inside) {
    if (dimension == 0) return VisitRow(global, inside);
    for (uint32_t i = 0; i < map_.box[dimension]; ++i) {
      const int64_t at = int64_t{coordinates_[dimension]} + i;
      const bool is_in = at >= 0 && at < static_cast<int64_t>(map_.dims[dimension]);
      std::byte* start = is_in ? global + at * map_.strides[dimension - 1] : global;
      Visit(dimension - 1, start, inside && is_in);
    }
  }

  // Elements before the row are out of bounds like those behind it: chunks split where bounds cut
  // them.
  void VisitRow(std::byte* global, bool inside) {
    const int64_t bytes = map_.element_bytes();
    const int64_t begin = coordinates_[0] * bytes, length = map_.dims[0] * bytes;
    const int64_t row_bytes = map_.box[0] * bytes;
    const int64_t valid_begin = inside ? std::clamp<int64_t>(-begin, 0, row_bytes) : row_bytes;
    const int64_t valid_end = std::clamp<int64_t>(length - begin, valid_begin, row_bytes);
    for (int64_t chunk = 0; chunk < row_bytes; chunk += 16) {
      const int64_t first = std::clamp<int64_t>(valid_begin, chunk, chunk + 16);
      const int64_t last = std::clamp<int64_t>(valid_end, first, chunk + 16);
      Emit(nullptr, chunk, first, chunk);
      Emit(global + begin + first, first, chunk + 16, last);
    }
    shared_ += row_bytes;
  }

  // Bytes [first, last) of the row, valid up to `valid_end`.
  void Emit(std::byte* global, int64_t first, int64_t last, int64_t valid_end) {
    if (first == last) return;
    copy_({global, Swizzled(map_.swizzle, shared_ + static_cast<uint32_t>(first)),
           static_cast<uint32_t>(last - first), static_cast<uint32_t>(valid_end - first)});
  }

  const TensorMap& map_;
  const absl::Span<const int32_t> coordinates_;
  uint32_t shared_;  // Of the current row, not swizzled.
  const absl::FunctionRef<void(const TileChunk&)> copy_;
};

}  // namespace

uint32_t TensorMap::element_bytes() const {
  constexpr uint32_t kBytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};
  return kBytes[static_cast<int>(type)];
}

uint32_t TensorMap::box_bytes() const {
  uint32_t bytes = element_bytes();
  for (const uint32_t side : box) bytes *= side;
  return bytes;
}

absl::StatusOr<TensorMapImage> EncodeTiled(const TensorMap& map) {
  RETURN_IF_ERROR(CheckTensor(map));
  RETURN_IF_ERROR(CheckBox(map));
  Image image = {};
  image.magic = kMagic;
  image.global = reinterpret_cast<uintptr_t>(map.global);
  image.type = static_cast<uint8_t>(map.type);
  image.rank = map.rank();
  image.swizzle = static_cast<uint8_t>(map.swizzle);
  std::copy(map.strides.begin(), map.strides.end(), image.strides);
  std::copy(map.box.begin(), map.box.end(), image.box);
  for (int i = 0; i < map.rank(); ++i) image.dims_less_one[i] = map.dims[i] - 1;
  TensorMapImage bytes = {};
  std::memcpy(bytes.bytes, &image, sizeof(image));
  return bytes;
}

absl::StatusOr<TensorMap> DecodeTiled(const std::byte* bytes) {
  Image image;
  std::memcpy(&image, bytes, sizeof(image));
  if (image.magic != kMagic) return Wrong("the address is not that of a tensor map");
  TensorMap map;
  map.type = static_cast<TensorMapType>(image.type);
  map.global = reinterpret_cast<std::byte*>(image.global);
  map.swizzle = static_cast<Swizzle>(image.swizzle);
  map.strides.assign(image.strides, image.strides + image.rank - 1);
  map.box.assign(image.box, image.box + image.rank);
  for (int i = 0; i < image.rank; ++i) map.dims.push_back(uint64_t{image.dims_less_one[i]} + 1);
  return map;
}

absl::Status VisitTile(const TensorMap& map, absl::Span<const int32_t> coordinates,
                       uint32_t shared_address, absl::FunctionRef<void(const TileChunk&)> copy) {
  if (coordinates.size() != map.rank()) {
    return Wrong(coordinates.size(), " coordinates for rank ", map.rank());
  }
  if (shared_address % 128 != 0) {
    return Wrong("the shared address ", absl::Hex(shared_address), " is not a multiple of 128");
  }
  TileVisitor(map, coordinates, shared_address, copy).VisitAll();
  return absl::OkStatus();
}

void LoadChunk(const TileChunk& chunk, std::byte* shared) {
  if (chunk.valid_bytes > 0) std::memcpy(shared, chunk.global, chunk.valid_bytes);
  std::memset(shared + chunk.valid_bytes, 0, chunk.bytes - chunk.valid_bytes);
}

void StoreChunk(const TileChunk& chunk, const std::byte* shared) {
  if (chunk.valid_bytes > 0) std::memcpy(chunk.global, shared, chunk.valid_bytes);
}

void ReduceAddF32(const TileChunk& chunk, const std::byte* shared) {
  for (uint32_t at = 0; at < chunk.valid_bytes; at += sizeof(float)) {
    float sum, value;
    std::memcpy(&sum, chunk.global + at, sizeof(sum));
    std::memcpy(&value, shared + at, sizeof(value));
    sum += value;
    std::memcpy(chunk.global + at, &sum, sizeof(sum));
  }
}

absl::Status CheckBulkCopy(uint64_t global_address, uint32_t shared_address, uint32_t bytes) {
  if (global_address % 16 == 0 && shared_address % 16 == 0 && bytes % 16 == 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "cp.async.bulk: ", bytes, " bytes between global ", absl::Hex(global_address), " and shared ",
      absl::Hex(shared_address), "; all three must be multiples of 16"));
}

}  // namespace flashcp::emulator
