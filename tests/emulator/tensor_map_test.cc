#include "tests/emulator/tensor_map.h"

#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/emulator/matrix_descriptor.h"
#include "tests/emulator/swizzle.h"

namespace flashcp::emulator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A tensor of [tokens][heads][columns] 16-bit elements, as attention has it: element (t, h, c) is
// 1000 t + 100 h + c + 1. The tensor lies in the middle of memory that no copy may touch.
class TensorMapTest : public ::testing::Test {
 protected:
  static constexpr int kTokens = 20, kHeads = 3, kColumns = 72;
  static constexpr int kRow = kHeads * kColumns;
  static constexpr uint32_t kTile = 0x2000;  // Shared address of tiles.
  static constexpr uint16_t kUntouched = 0xbeef;

  TensorMapTest() : elements_(kTokens * kRow), shared_(1 << 14, kUntouched) {
    for (int t = 0; t < kTokens; ++t) {
      for (int h = 0; h < kHeads; ++h) {
        for (int c = 0; c < kColumns; ++c) elements_[t * kRow + h * kColumns + c] = Value(t, h, c);
      }
    }
    map_.global = reinterpret_cast<std::byte*>(elements_.data());
    map_.dims = {kColumns, kHeads, kTokens};
    map_.strides = {2 * kColumns, 2 * kRow};
    map_.box = {64, 1, 16};
    map_.swizzle = Swizzle::k128Bytes;
  }
  static uint16_t Value(int t, int h, int c) { return 1000 * t + 100 * h + c + 1; }

  std::byte* SharedBytes(uint32_t address) {
    return reinterpret_cast<std::byte*>(shared_.data()) + address;
  }
  void Load(const std::vector<int32_t>& coordinates) {
    const absl::Status status = VisitTile(map_, coordinates, kTile, [&](const TileChunk& chunk) {
      LoadChunk(chunk, SharedBytes(chunk.shared));
    });
    ASSERT_TRUE(status.ok()) << status;
  }
  uint16_t At(uint32_t byte) const { return shared_[(kTile + byte) / 2]; }
  int CountTouched() const {
    int touched = 0;
    for (const uint16_t x : shared_) touched += x != kUntouched;
    return touched;
  }

  std::vector<uint16_t> elements_;
  std::vector<uint16_t> shared_;
  TensorMap map_;
};

// The pattern of the 128-byte swizzle: chunk c of 16 bytes of row r lies at place c ^ (r % 8).
TEST_F(TensorMapTest, LoadsABoxSwizzled) {
  Load({0, 1, 3});
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 64; ++c) {
      ASSERT_EQ(At(r * 128 + ((c / 8) ^ (r % 8)) * 16 + c % 8 * 2), Value(3 + r, 1, c));
    }
  }
  EXPECT_EQ(CountTouched(), 16 * 64);
  EXPECT_EQ(map_.box_bytes(), 16 * 64 * 2);
}

// Tables of the 64- and 32-byte swizzles: the place changes with every second, with every fourth
// row.
TEST_F(TensorMapTest, NarrowerSwizzles) {
  map_.box = {32, 1, 16};
  map_.swizzle = Swizzle::k64Bytes;
  Load({0, 0, 0});
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 32; ++c) {
      ASSERT_EQ(At(r * 64 + ((c / 8) ^ (r / 2 % 4)) * 16 + c % 8 * 2), Value(r, 0, c));
    }
  }
  map_.box = {16, 1, 16};
  map_.swizzle = Swizzle::k32Bytes;
  Load({0, 0, 0});
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 16; ++c) {
      ASSERT_EQ(At(r * 32 + ((c / 8) ^ (r / 4 % 2)) * 16 + c % 8 * 2), Value(r, 0, c));
    }
  }
  map_.swizzle = Swizzle::kNone;
  Load({8, 0, 0});
  EXPECT_EQ(At(0), Value(0, 0, 8));
  EXPECT_EQ(At(5 * 32 + 2 * 9), Value(5, 0, 17));
}

// A box narrower than the swizzle has rows of its own width.
TEST_F(TensorMapTest, RowsHaveTheWidthOfTheBox) {
  map_.box = {8, 1, 4};
  Load({0, 0, 0});
  EXPECT_EQ(At(16), Value(1, 0, 0));
  EXPECT_EQ(CountTouched(), 32);
}

// Several heads make rows of a tile, as packed groups of query heads do: dimension 1 is faster than
// dimension 2.
TEST_F(TensorMapTest, BoxesOfSeveralHeads) {
  map_.box = {64, 2, 8};
  Load({0, 1, 4});
  for (int row = 0; row < 16; ++row) {
    EXPECT_EQ(At(row * 128 + (0 ^ row % 8) * 16), Value(4 + row / 2, 1 + row % 2, 0));
  }
}

TEST_F(TensorMapTest, OutOfBoundsIsZero) {
  Load({32, 0, 14});
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 64; ++c) {
      const bool inside = 14 + r < kTokens && 32 + c < kColumns;
      ASSERT_EQ(At(r * 128 + ((c / 8) ^ (r % 8)) * 16 + c % 8 * 2),
                inside ? Value(14 + r, 0, 32 + c) : 0);
    }
  }
  EXPECT_EQ(CountTouched(), 16 * 64);
}

TEST_F(TensorMapTest, NegativeCoordinatesAreOutOfBounds) {
  Load({-3, 0, -2});  // Cuts chunks in the middle.
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 64; ++c) {
      const bool inside = r >= 2 && c >= 3;
      ASSERT_EQ(At(r * 128 + ((c / 8) ^ (r % 8)) * 16 + c % 8 * 2),
                inside ? Value(r - 2, 0, c - 3) : 0);
    }
  }
  Load({0, -1, 0});
  EXPECT_EQ(At(0), 0);
  Load({0, 3, 0});
  EXPECT_EQ(At(0), 0);
}

// A load of a box all out of bounds touches no memory of the tensor.
TEST_F(TensorMapTest, NothingIsReadOutOfBounds) {
  map_.global = nullptr;
  Load({0, 0, kTokens});
  EXPECT_EQ(CountTouched(), 16 * 64);
}

TEST_F(TensorMapTest, StoresLeaveOutOfBoundsAlone) {
  for (size_t i = 0; i < shared_.size(); ++i) shared_[i] = 7;
  const std::vector<uint16_t> before = elements_;
  ASSERT_TRUE(VisitTile(map_, {16, 2, 10}, kTile, [&](const TileChunk& chunk) {
                StoreChunk(chunk, SharedBytes(chunk.shared));
              }).ok());
  for (int t = 0; t < kTokens; ++t) {
    for (int h = 0; h < kHeads; ++h) {
      for (int c = 0; c < kColumns; ++c) {
        const bool stored = h == 2 && t >= 10 && c >= 16;  // The box ends beyond both bounds.
        ASSERT_EQ(elements_[t * kRow + h * kColumns + c], stored ? 7 : Value(t, h, c));
      }
    }
  }
}

TEST(TensorMap, StoreUndoesTheSwizzleOfLoad) {
  std::vector<float> from(40 * 32), to(40 * 32);
  for (size_t i = 0; i < from.size(); ++i) from[i] = i;
  std::vector<std::byte> shared(1 << 14);
  TensorMap map;
  map.type = TensorMapType::kF32;
  map.global = reinterpret_cast<std::byte*>(from.data());
  map.dims = {32, 40};
  map.strides = {128};
  map.box = {32, 40};
  map.swizzle = Swizzle::k128Bytes;
  ASSERT_TRUE(VisitTile(map, {0, 0}, 0x400, [&](const TileChunk& chunk) {
                LoadChunk(chunk, &shared[chunk.shared]);
              }).ok());
  map.global = reinterpret_cast<std::byte*>(to.data());
  ASSERT_TRUE(VisitTile(map, {0, 0}, 0x400, [&](const TileChunk& chunk) {
                StoreChunk(chunk, &shared[chunk.shared]);
              }).ok());
  EXPECT_EQ(to, from);
}

TEST(TensorMap, ReduceAddsWithinBounds) {
  std::vector<float> sums = {1, 2, 3, 4, 5, 6, 7, 8, -1, -1, -1, -1};
  alignas(128) const float tile[] = {10, 20, 30, 40, 50, 60, 70, 80};
  TensorMap map;
  map.type = TensorMapType::kF32;
  map.global = reinterpret_cast<std::byte*>(sums.data());
  map.dims = {3, 2};
  map.strides = {16};
  map.box = {4, 2};
  ASSERT_TRUE(VisitTile(map, {0, 1}, 0, [&](const TileChunk& chunk) {
                ReduceAddF32(chunk, reinterpret_cast<const std::byte*>(tile) + chunk.shared);
              }).ok());
  EXPECT_THAT(sums, ElementsAre(1, 2, 3, 4, 15, 26, 37, 8, -1, -1, -1, -1));
}

TEST_F(TensorMapTest, EncodingKeepsTheMap) {
  map_.dims[2] = uint64_t{1} << 32;
  map_.strides[1] = (uint64_t{1} << 40) - 16;
  map_.box[2] = 256;
  const TensorMapImage image = EncodeTiled(map_).value();
  const TensorMap map = DecodeTiled(image.bytes).value();
  EXPECT_EQ(map.type, TensorMapType::kBf16);
  EXPECT_EQ(map.global, map_.global);
  EXPECT_EQ(map.dims, map_.dims);
  EXPECT_EQ(map.strides, map_.strides);
  EXPECT_EQ(map.box, map_.box);
  EXPECT_EQ(map.swizzle, Swizzle::k128Bytes);
  const TensorMapImage zeros = {};
  EXPECT_FALSE(DecodeTiled(zeros.bytes).ok());
}

// Each requirement of cuTensorMapEncodeTiled, broken once.
TEST_F(TensorMapTest, EncodingChecksItsArguments) {
  const auto error = [&](auto change) {
    TensorMap map = map_;
    change(map);
    return std::string(EncodeTiled(map).status().message());
  };
  EXPECT_EQ(error([](TensorMap&) {}), "");
  EXPECT_THAT(error([](TensorMap& m) { m.global += 8; }), HasSubstr("global address"));
  EXPECT_THAT(error([](TensorMap& m) { m.dims[1] = 0; }), HasSubstr("dimension 1 is 0"));
  EXPECT_THAT(error([](TensorMap& m) { m.dims[0] = (uint64_t{1} << 32) + 1; }),
              HasSubstr("[1, 2^32]"));
  EXPECT_THAT(error([](TensorMap& m) { m.strides[0] = 24; }), HasSubstr("stride of dimension 1"));
  EXPECT_THAT(error([](TensorMap& m) { m.strides[1] = uint64_t{1} << 40; }), HasSubstr("2^40"));
  EXPECT_THAT(error([](TensorMap& m) { m.box[2] = 257; }), HasSubstr("side 2 of the box is 257"));
  EXPECT_THAT(error([](TensorMap& m) { m.box[1] = 0; }), HasSubstr("side 1 of the box is 0"));
  EXPECT_THAT(error([](TensorMap& m) { m.box[0] = 4; }),
              HasSubstr("8 bytes, not a multiple of 16"));
  EXPECT_THAT(error([](TensorMap& m) { m.box[0] = 72; }), HasSubstr("the swizzle permutes 128"));
  EXPECT_THAT(error([](TensorMap& m) { m.strides.pop_back(); }), HasSubstr("1 strides"));
  EXPECT_THAT(error([](TensorMap& m) {
                m.dims.assign(6, 16), m.strides.assign(5, 16), m.box.assign(6, 8);
              }),
              HasSubstr("rank 6"));
}

TEST_F(TensorMapTest, CopiesCheckTheirOperands) {
  const auto ignore = [](const TileChunk&) {};
  EXPECT_THAT(std::string(VisitTile(map_, {0, 0}, kTile, ignore).message()),
              HasSubstr("2 coordinates for rank 3"));
  EXPECT_THAT(std::string(VisitTile(map_, {0, 0, 0}, 0x40, ignore).message()),
              HasSubstr("not a multiple of 128"));
  EXPECT_TRUE(CheckBulkCopy(0x1000, 0x400, 512).ok());
  EXPECT_FALSE(CheckBulkCopy(0x1008, 0x400, 512).ok());
  EXPECT_FALSE(CheckBulkCopy(0x1000, 0x408, 512).ok());
  EXPECT_THAT(std::string(CheckBulkCopy(0x1000, 0x400, 8).message()), HasSubstr("8 bytes"));
}

// What TMA writes is what wgmma reads: a tile of 64 columns is K-major for products over columns
// and MN-major for products over rows.
TEST_F(TensorMapTest, TilesAreOperandsOfProducts) {
  Load({0, 0, 0});
  const auto element = [&](uint32_t offset) { return shared_[offset / 2]; };
  for (int step = 0; step < 4; ++step) {
    const MatrixDescriptor columns = {kTile + 32 * step, 16, 1024, Swizzle::k128Bytes};
    for (int row = 0; row < 16; ++row) {
      for (int k = 0; k < 16; ++k) {
        ASSERT_EQ(element(columns.OffsetOf(Major::kK, row, k)), Value(row, 0, 16 * step + k));
      }
    }
  }
  const MatrixDescriptor rows = {kTile, 16 * 128, 1024, Swizzle::k128Bytes};
  for (int column = 0; column < 64; ++column) {
    for (int k = 0; k < 16; ++k) {
      ASSERT_EQ(element(rows.OffsetOf(Major::kMn, column, k)), Value(k, 0, column));
    }
  }
}

}  // namespace
}  // namespace flashcp::emulator
