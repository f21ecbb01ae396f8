// The expected places of elements are written down from the figures of the PTX ISA, lane by lane
// where a figure shows lanes, or computed here from the formulas beside them, which are not those
// of mma.cc.

#include "tests/emulator/mma.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::emulator {
namespace {

using ::testing::ElementsAre;

constexpr uint16_t kOneF16 = 0x3c00;
constexpr uint16_t kOneBf16 = 0x3f80;

float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

TEST(ElementType, ValuesOfBits) {
  EXPECT_EQ(ToFloat(ElementType::kBf16, 0x3f80), 1.0f);
  EXPECT_EQ(ToFloat(ElementType::kBf16, 0xc0a0), -5.0f);  // 1 10000001 0100000
  EXPECT_EQ(ToFloat(ElementType::kBf16, 0x0001), std::ldexp(1.0f, -133));
  EXPECT_EQ(ToFloat(ElementType::kF16, 0x3c00), 1.0f);
  EXPECT_EQ(ToFloat(ElementType::kF16, 0xc500), -5.0f);  // 1 10001 0100000000
  EXPECT_EQ(ToFloat(ElementType::kF16, 0x0001), std::ldexp(1.0f, -24));
  EXPECT_EQ(ToFloat(ElementType::kF16, 0x7bff), 65504.0f);
  EXPECT_TRUE(std::isinf(ToFloat(ElementType::kF16, 0x7c00)));
  EXPECT_TRUE(std::isnan(ToFloat(ElementType::kBf16, 0x7fc0)));
}

TEST(ElementType, EveryHalfIsWhatTheCompilerMakesOfIt) {
  for (int bits = 0; bits < 1 << 16; ++bits) {
    const uint16_t half_bits = bits;
    _Float16 half;
    std::memcpy(&half, &half_bits, sizeof(half));
    const float expected = half, value = ToFloat(ElementType::kF16, half_bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
    } else {
      ASSERT_EQ(BitsOf(value), BitsOf(expected)) << bits;
    }
  }
}

// The formulas of the ISA for m16n8k16 number the elements of a lane: a0 to a7, b0 to b3, c0 to c3.
struct Place {
  int row;
  int column;
};
Place PlaceOfA(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  const bool first_row = (i >= 0 && i < 2) || (i >= 4 && i < 6);
  return {first_row ? group : group + 8, in_group * 2 + (i & 1) + (i < 4 ? 0 : 8)};
}
Place PlaceOfB(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  return {in_group * 2 + (i & 1) + (i < 2 ? 0 : 8), group};
}
Place PlaceOfC(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  return {i < 2 ? group : group + 8, in_group * 2 + (i & 1)};
}

struct Warp {
  std::vector<WarpRegister> a = std::vector<WarpRegister>(4);
  std::vector<WarpRegister> b = std::vector<WarpRegister>(2);
  std::vector<WarpRegister> c = std::vector<WarpRegister>(4);
  std::vector<WarpRegister> d = std::vector<WarpRegister>(4);
};

// An element of A and one of B are 1 in turn: the one in D that is 1 says where both are.
class OneHot : public ::testing::TestWithParam<int> {};

TEST_P(OneHot, ElementsAreWhereTheIsaSays) {
  const int k = GetParam();
  const MmaShape shape = {ElementType::kF16, k};
  for (int lane_a = 0; lane_a < kLanes; ++lane_a) {
    for (int i = 0; i < 2 * shape.a_registers(); ++i) {
      for (int lane_b = 0; lane_b < kLanes; lane_b += 5) {
        for (int j = 0; j < 2 * shape.b_registers(); ++j) {
          Warp warp;
          warp.a.assign(shape.a_registers(), {});
          warp.b.assign(shape.b_registers(), {});
          warp.a[i / 2][lane_a] = uint32_t{kOneF16} << 16 * (i % 2);
          warp.b[j / 2][lane_b] = uint32_t{kOneF16} << 16 * (j % 2);
          MultiplyWarp(shape, warp.a, warp.b, warp.c, absl::MakeSpan(warp.d));
          const Place a = PlaceOfA(lane_a, i), b = PlaceOfB(lane_b, j);
          for (int lane = 0; lane < kLanes; ++lane) {
            for (int r = 0; r < 4; ++r) {
              const Place c = PlaceOfC(lane, r);
              const bool hit = a.column == b.row && c.row == a.row && c.column == b.column;
              ASSERT_EQ(FloatOf(warp.d[r][lane]), hit ? 1.0f : 0.0f)
                  << "a" << i << " of lane " << lane_a << ", b" << j << " of lane " << lane_b
                  << ", c" << r << " of lane " << lane;
            }
          }
        }
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Depths, OneHot, ::testing::Values(8, 16));

// Figures "MMA .m16n8k16 fragment layout": T0 holds a0, a1 in the first row and a6, a7 at (8, 8);
// T31 holds a2, a3 in the last row at columns 6 and 7; T31 of B holds b2, b3 in rows 14 and 15 of
// the last column; T5 of C holds c2, c3 at (9, 2) and (9, 3).
TEST(Mma, PlacesReadFromTheFigures) {
  const auto product = [](int lane_a, int i, int lane_b, int j) {
    Warp warp;
    warp.a[i / 2][lane_a] = uint32_t{kOneBf16} << 16 * (i % 2);
    warp.b[j / 2][lane_b] = uint32_t{kOneBf16} << 16 * (j % 2);
    MultiplyWarp({ElementType::kBf16, 16}, warp.a, warp.b, warp.c, absl::MakeSpan(warp.d));
    return warp.d;
  };
  // (15, 7) times (7, 0): T3 of B holds b1 at (7, 0). The sum is at (15, 0): c2 of T28.
  EXPECT_EQ(FloatOf(product(31, 3, 3, 1)[2][28]), 1.0f);
  // (8, 8) times (8, 1): T4 of B holds b2 there. The sum is at (8, 1): c3 of T0.
  EXPECT_EQ(FloatOf(product(0, 6, 4, 2)[3][0]), 1.0f);
  // (9, 15) is a7 of T7; (15, 2) is b3 of T11. The sum is at (9, 2): c2 of T5.
  EXPECT_EQ(FloatOf(product(7, 7, 11, 3)[2][5]), 1.0f);
}

// Small integers have exact sums, so that the order of additions does not matter.
TEST(Mma, ProductOfSmallIntegersIsExact) {
  for (const ElementType type : {ElementType::kBf16, ElementType::kF16}) {
    std::mt19937 random(1);
    const auto small = [&] { return static_cast<int>(random() % 17) - 8; };
    const auto element = [&](int value) -> uint16_t {
      if (type == ElementType::kBf16) return BitsOf(value) >> 16;
      const _Float16 half = value;
      uint16_t bits;
      std::memcpy(&bits, &half, sizeof(bits));
      return bits;
    };
    int a[16][16], b[16][8], c[16][8];
    for (auto& row : a)
      for (int& x : row) x = small();
    for (auto& row : b)
      for (int& x : row) x = small();
    for (auto& row : c)
      for (int& x : row) x = small();
    Warp warp;
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int i = 0; i < 8; ++i) {
        const Place p = PlaceOfA(lane, i);
        warp.a[i / 2][lane] |= uint32_t{element(a[p.row][p.column])} << 16 * (i % 2);
      }
      for (int i = 0; i < 4; ++i) {
        const Place p = PlaceOfB(lane, i), q = PlaceOfC(lane, i);
        warp.b[i / 2][lane] |= uint32_t{element(b[p.row][p.column])} << 16 * (i % 2);
        warp.c[i][lane] = BitsOf(c[q.row][q.column]);
      }
    }
    MultiplyWarp({type, 16}, warp.a, warp.b, warp.c, absl::MakeSpan(warp.c));  // In place.
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int i = 0; i < 4; ++i) {
        const Place p = PlaceOfC(lane, i);
        int sum = c[p.row][p.column];
        for (int k = 0; k < 16; ++k) sum += a[p.row][k] * b[k][p.column];
        EXPECT_EQ(FloatOf(warp.c[i][lane]), sum);
      }
    }
  }
}

TEST(Mma, NotFiniteElementsReachTheirRowOnly) {
  Warp warp;
  for (WarpRegister& b : warp.b) b.fill(kOneBf16 | uint32_t{kOneBf16} << 16);
  warp.a[0][4 * 3] = 0x7fc0;  // a0 of T12: row 3.
  MultiplyWarp({ElementType::kBf16, 16}, warp.a, warp.b, warp.c, absl::MakeSpan(warp.d));
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(std::isnan(FloatOf(warp.d[i][lane])), PlaceOfC(lane, i).row == 3);
    }
  }
}

// Four matrices of 8 x 8; element (r, c) of matrix m is 100 m + 10 r + c.
class Matrices : public ::testing::Test {
 protected:
  Matrices() : elements_(4 * 64), rows_(32) {
    for (int m = 0; m < 4; ++m) {
      for (int r = 0; r < 8; ++r) {
        for (int c = 0; c < 8; ++c) elements_[m * 64 + r * 8 + c] = 100 * m + 10 * r + c;
      }
    }
    // Rows lie anywhere: reversed here.
    for (int row = 0; row < 32; ++row) {
      rows_[row] = reinterpret_cast<std::byte*>(&scattered_[(31 - row) * 8]);
      std::memcpy(rows_[row], &elements_[row * 8], 16);
    }
  }
  static std::array<int, 2> Halves(uint32_t value) {
    return {static_cast<int>(value & 0xffff), static_cast<int>(value >> 16)};
  }

  std::vector<uint16_t> elements_;
  alignas(16) uint16_t scattered_[4 * 64] = {};
  std::vector<std::byte*> rows_;
};

// Table "ldmatrix": of each matrix, row 0 goes to T0 to T3, two elements each, row 1 to T4 to T7,
// and row 7 to T28 to T31.
TEST_F(Matrices, LoadGivesTwoElementsOfARowToEachLane) {
  const std::vector<const std::byte*> rows(rows_.begin(), rows_.end());
  WarpRegister d[4];
  LoadMatrices(rows, /*transposed=*/false, d);
  EXPECT_THAT(Halves(d[0][0]), ElementsAre(0, 1));
  EXPECT_THAT(Halves(d[0][3]), ElementsAre(6, 7));
  EXPECT_THAT(Halves(d[0][4]), ElementsAre(10, 11));
  EXPECT_THAT(Halves(d[1][31]), ElementsAre(176, 177));
  EXPECT_THAT(Halves(d[2][13]), ElementsAre(232, 233));
  EXPECT_THAT(Halves(d[3][28]), ElementsAre(370, 371));
}

// With .trans the matrix is loaded in column-major format: T0 gets (0, 0) and (1, 0).
TEST_F(Matrices, TransposedLoadGivesTwoElementsOfAColumn) {
  const std::vector<const std::byte*> rows(rows_.begin(), rows_.end());
  WarpRegister d[4];
  LoadMatrices(rows, /*transposed=*/true, d);
  EXPECT_THAT(Halves(d[0][0]), ElementsAre(0, 10));
  EXPECT_THAT(Halves(d[0][3]), ElementsAre(60, 70));
  EXPECT_THAT(Halves(d[0][4]), ElementsAre(1, 11));
  EXPECT_THAT(Halves(d[1][31]), ElementsAre(167, 177));
  EXPECT_THAT(Halves(d[3][13]), ElementsAre(323, 333));
}

TEST_F(Matrices, FewerMatricesUseTheFirstAddresses) {
  const std::vector<const std::byte*> rows(rows_.begin(), rows_.begin() + 16);
  WarpRegister d[2];
  LoadMatrices(rows, /*transposed=*/false, d);
  EXPECT_THAT(Halves(d[1][5]), ElementsAre(112, 113));
}

// T0's registers go to (0, 0) and (0, 1) of each matrix, or transposed to (0, 0) and (1, 0).
TEST_F(Matrices, StoreIsTheReverseOfLoad) {
  for (const bool transposed : {false, true}) {
    WarpRegister s[4];
    for (int m = 0; m < 4; ++m) {
      for (int lane = 0; lane < kLanes; ++lane) {
        s[m][lane] = (1000 * m + 2 * lane) | (1000 * m + 2 * lane + 1) << 16;
      }
    }
    StoreMatrices(s, transposed, rows_);
    const auto at = [&](int m, int r, int c) {
      uint16_t value;
      std::memcpy(&value, rows_[8 * m + r] + 2 * c, 2);
      return value;
    };
    EXPECT_EQ(at(0, 0, 0), 0);
    EXPECT_EQ(transposed ? at(0, 1, 0) : at(0, 0, 1), 1);
    EXPECT_EQ(transposed ? at(2, 2, 0) : at(2, 0, 2), 2002);
    EXPECT_EQ(transposed ? at(3, 7, 7) : at(3, 7, 7), 3063);
    EXPECT_EQ(transposed ? at(1, 6, 5) : at(1, 5, 6), 1000 + 2 * 23);
  }
}

}  // namespace
}  // namespace flashcp::emulator
