// Operands are laid out by the table of canonical layouts in the PTX ISA, evaluated as CuTe defines
// layouts and swizzles, and by its worked examples; accumulators are read by the figure's places.

#include "tests/emulator/wgmma.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <random>
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

using ::testing::HasSubstr;

// One coordinate of a CuTe layout: a number is split by the shape, its last digit without limit,
// and each digit multiplied by its stride, in elements.
struct Mode {
  std::vector<int> shape;  // Without the last.
  std::vector<int> stride;

  int operator()(int index) const {
    int offset = 0;
    for (size_t i = 0; i < stride.size(); ++i) {
      const int digit = i < shape.size() ? index % shape[i] : index;
      if (i < shape.size()) index /= shape[i];
      offset += digit * stride[i];
    }
    return offset;
  }
};

// A row of "Canonical Layouts", with T = 8 elements of 16 bits; LBO and SBO in elements.
struct Canonical {
  std::string name;
  Major major;
  Swizzle swizzle;
  int bits;  // B of Swizzle<B, 4, 3>.
  Mode mn;
  Mode k;

  int OffsetOf(int row, int column, int start) const {
    const int byte = start + 2 * (mn(row) + k(column));
    return byte ^ ((byte & ((1 << bits) - 1) << 7) >> 3);
  }
};

std::vector<Canonical> CanonicalLayouts(int lbo, int sbo) {
  return {
      {"MN, none", Major::kMn, Swizzle::kNone, 0, {{8, 1}, {1, 8, sbo}}, {{8}, {8, lbo}}},
      {"MN, 32", Major::kMn, Swizzle::k32Bytes, 1, {{8, 2}, {1, 8, lbo}}, {{8}, {16, sbo}}},
      {"MN, 64", Major::kMn, Swizzle::k64Bytes, 2, {{8, 4}, {1, 8, lbo}}, {{8}, {32, sbo}}},
      {"MN, 128", Major::kMn, Swizzle::k128Bytes, 3, {{8, 8}, {1, 8, lbo}}, {{8}, {64, sbo}}},
      {"K, none", Major::kK, Swizzle::kNone, 0, {{8}, {8, sbo}}, {{8}, {1, lbo}}},
      {"K, 32", Major::kK, Swizzle::k32Bytes, 1, {{8}, {16, sbo}}, {{8}, {1, 8}}},
      {"K, 64", Major::kK, Swizzle::k64Bytes, 2, {{8}, {32, sbo}}, {{8}, {1, 8}}},
      {"K, 128", Major::kK, Swizzle::k128Bytes, 3, {{8}, {64, sbo}}, {{8}, {1, 8}}},
  };
}

TEST(MatrixDescriptor, DecodesItsFields) {
  // Address 0x2a400, LBO 64 bytes, SBO 1024 bytes, 128-byte swizzle.
  const MatrixDescriptor descriptor =
      MatrixDescriptor::Decode(0x2a40 | uint64_t{4} << 16 | uint64_t{64} << 32 | uint64_t{1} << 62)
          .value();
  EXPECT_EQ(descriptor.address, 0x2a400);
  EXPECT_EQ(descriptor.leading_bytes, 64);
  EXPECT_EQ(descriptor.stride_bytes, 1024);
  EXPECT_EQ(descriptor.swizzle, Swizzle::k128Bytes);
  EXPECT_EQ(MatrixDescriptor::Decode(0).value().swizzle, Swizzle::kNone);
  EXPECT_EQ(MatrixDescriptor::Decode(uint64_t{2} << 62).value().swizzle, Swizzle::k64Bytes);
  EXPECT_EQ(MatrixDescriptor::Decode(uint64_t{3} << 62).value().swizzle, Swizzle::k32Bytes);
}

TEST(MatrixDescriptor, RejectsBitsThatMeanNothing) {
  const absl::Status unused = MatrixDescriptor::Decode(uint64_t{1} << 14).status();
  EXPECT_THAT(std::string(unused.message()), HasSubstr("bits 4000 must be zero"));
  const absl::Status offset = MatrixDescriptor::Decode(uint64_t{1} << 49).status();
  EXPECT_THAT(std::string(offset.message()), HasSubstr("base offset"));
}

TEST(MatrixDescriptor, LayoutsAreTheCanonicalOnes) {
  for (const Canonical& layout : CanonicalLayouts(/*lbo=*/4096, /*sbo=*/1024)) {
    MatrixDescriptor descriptor = {0x1000, 8192, 2048, layout.swizzle};
    for (int mn = 0; mn < 256; ++mn) {
      for (int k = 0; k < 16; ++k) {
        ASSERT_EQ(descriptor.OffsetOf(layout.major, mn, k), layout.OffsetOf(mn, k, 0x1000))
            << layout.name << " (" << mn << ", " << k << ")";
      }
    }
  }
}

// The worked examples for bf16: exact layouts before the swizzle.
TEST(MatrixDescriptor, WorkedExamplesOfTheIsa) {
  // ((8,1,2),(8,2)):((1,8,64),(8,128)), LBO = 128 elements, SBO = 64.
  const MatrixDescriptor none = {0, 256, 128, Swizzle::kNone};
  EXPECT_EQ(none.OffsetOf(Major::kMn, 5, 0), 2 * 5);
  EXPECT_EQ(none.OffsetOf(Major::kMn, 8, 0), 2 * 64);
  EXPECT_EQ(none.OffsetOf(Major::kMn, 0, 3), 2 * 3 * 8);
  EXPECT_EQ(none.OffsetOf(Major::kMn, 9, 13), 2 * (64 + 1 + 5 * 8 + 128));
  // ((8,2,2),(8,2)):((1,8,128),(16,256)), LBO = 128 elements, SBO = 256; rows of 32 bytes, of which
  // bit 4 changes in rows 4 to 7 of eight.
  const MatrixDescriptor by_32 = {0, 256, 512, Swizzle::k32Bytes};
  EXPECT_EQ(by_32.OffsetOf(Major::kMn, 15, 0), 2 * 15);
  EXPECT_EQ(by_32.OffsetOf(Major::kMn, 16, 1), 2 * (128 + 16));
  EXPECT_EQ(by_32.OffsetOf(Major::kMn, 0, 4), 2 * (4 * 16 + 8));
  EXPECT_EQ(by_32.OffsetOf(Major::kMn, 8, 15), 2 * (7 * 16 + 256));
  // ((8,4,2),(8,2)):((1,8,256),(32,512)), LBO = 256 elements, SBO = 512.
  const MatrixDescriptor by_64 = {0, 512, 1024, Swizzle::k64Bytes};
  EXPECT_EQ(by_64.OffsetOf(Major::kMn, 31, 0), 2 * 31);
  EXPECT_EQ(by_64.OffsetOf(Major::kMn, 32, 8), 2 * (256 + 512));
  EXPECT_EQ(by_64.OffsetOf(Major::kMn, 0, 6), 2 * (6 * 32 + 3 * 8));  // Rows 6 and 7: chunk 3.
  // K-major without swizzle: in chunks of 16 bytes, ((8,2),(1,4)):((1,8),(1,16)).
  const MatrixDescriptor k_major = {0, 256, 128, Swizzle::kNone};
  EXPECT_EQ(k_major.OffsetOf(Major::kK, 7, 0), 16 * 7);
  EXPECT_EQ(k_major.OffsetOf(Major::kK, 8, 0), 16 * 8);
  EXPECT_EQ(k_major.OffsetOf(Major::kK, 1, 9), 16 * (16 + 1) + 2);
}

// Figure "K major 128B swizzling": chunk c of row r lies at place c ^ r.
TEST(MatrixDescriptor, StepsInKStayInTheSwizzledRow) {
  for (int step = 0; step < 4; ++step) {
    const MatrixDescriptor descriptor = {0x800u + 32 * step, 16, 1024, Swizzle::k128Bytes};
    for (int row = 0; row < 8; ++row) {
      EXPECT_EQ(descriptor.OffsetOf(Major::kK, row, 0),
                0x800 + 128 * row + 16 * ((2 * step) ^ row));
      EXPECT_EQ(descriptor.OffsetOf(Major::kK, row, 8),
                0x800 + 128 * row + 16 * ((2 * step + 1) ^ row));
    }
  }
}

struct Place {
  int row;
  int column;
};
// Figure of accumulator D: lane l of warp w has in d0 and d1 row 16 w + l / 4, columns 2 (l % 4)
// and the next, in d2 and d3 the row eight below; d4 to d7 are eight columns to the right.
Place PlaceOfD(int warp, int lane, int i) {
  static constexpr int kRowBelow[] = {0, 0, 8, 8};
  return {16 * warp + (lane >> 2) + kRowBelow[i & 3], (i >> 2) * 8 + (lane & 3) * 2 + (i & 1)};
}
// Figure of A: a0, a1 and a4, a5 in row l / 4, a2, a3 and a6, a7 eight below; from a4 on eight
// columns to the right.
Place PlaceOfA(int warp, int lane, int i) {
  return {16 * warp + (lane >> 2) + ((i & 2) != 0 ? 8 : 0), (lane & 3) * 2 + (i & 1) + (i & 4) * 2};
}

uint16_t Encode(ElementType type, float value) {
  if (type == ElementType::kBf16) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits >> 16;
  }
  const _Float16 half = value;
  uint16_t bits;
  std::memcpy(&bits, &half, sizeof(bits));
  return bits;
}
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

// A product of 64 x 16 by 16 x n small integers, whose sums are exact.
class Product {
 public:
  Product(int n, ElementType type, int seed) : n_(n), type_(type), random_(seed) {
    for (auto* matrix : {&a_, &b_, &d_}) {
      matrix->resize(256 * 64);
      for (int& x : *matrix) x = static_cast<int>(random_() % 17) - 8;
    }
  }
  int A(int row, int k) const { return a_[row * 16 + k]; }
  int B(int k, int column) const { return b_[k * 256 + column]; }
  int D(int row, int column) const { return d_[row * 256 + column]; }
  int Expected(int row, int column, bool accumulate) const {
    int sum = accumulate ? D(row, column) : 0;
    for (int k = 0; k < 16; ++k) sum += A(row, k) * B(k, column);
    return sum;
  }

  // Lays out an operand: the last arguments are its rows and its elements.
  void Lay(const Canonical& layout, int start, int rows,
           const std::function<int(int, int)>& element) {
    for (int row = 0; row < rows; ++row) {
      for (int k = 0; k < 16; ++k) {
        const uint16_t bits = Encode(type_, element(row, k));
        std::memcpy(&window_.at(layout.OffsetOf(row, k, start)), &bits, sizeof(bits));
      }
    }
  }
  std::array<WarpRegister, 4> ARegisters(int warp) const {
    std::array<WarpRegister, 4> registers = {};
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int i = 0; i < 8; ++i) {
        const Place p = PlaceOfA(warp, lane, i);
        registers[i / 2][lane] |= uint32_t{Encode(type_, A(p.row, p.column))} << 16 * (i % 2);
      }
    }
    return registers;
  }

  void ExpectRight(const WgmmaShape& shape, const WgmmaOperands& operands, bool accumulate,
                   int sign = 1) const {
    std::vector<WarpRegister> d(n_ / 2);
    for (int i = 0; i < n_ / 2; ++i) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const Place p = PlaceOfD(operands.warp, lane, i);
        d[i][lane] = BitsOf(D(p.row, p.column));
      }
    }
    const absl::Status status =
        MultiplyWarp(shape, operands, window_, accumulate, absl::MakeSpan(d));
    ASSERT_TRUE(status.ok()) << status;
    for (int i = 0; i < n_ / 2; ++i) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const Place p = PlaceOfD(operands.warp, lane, i);
        const int before = accumulate ? D(p.row, p.column) : 0;
        const int product = Expected(p.row, p.column, false);
        ASSERT_EQ(FloatOf(d[i][lane]), before + sign * product)
            << "row " << p.row << ", column " << p.column;
      }
    }
  }

  absl::Span<const std::byte> window() const { return window_; }

 private:
  const int n_;
  const ElementType type_;
  std::mt19937 random_;
  std::vector<int> a_, b_, d_;
  // What no operand covers is NaN.
  std::vector<std::byte> window_ = std::vector<std::byte>(1 << 18, std::byte{0xff});
};

constexpr int kStartOfA = 0x4000;
constexpr int kStartOfB = 0x20000;

// Elements; no layout of 64 rows overlaps itself with these.
constexpr int kLbo = 4096;
constexpr int kSbo = 512;

TEST(Wgmma, EveryLayoutOfBothOperands) {
  const std::vector<Canonical> layouts = CanonicalLayouts(kLbo, kSbo);
  int seed = 0;
  for (const Canonical& of_a : layouts) {
    for (const Canonical& of_b : layouts) {
      const int n = 64;
      Product product(n, ElementType::kBf16, ++seed);
      product.Lay(of_a, kStartOfA, 64, [&](int row, int k) { return product.A(row, k); });
      product.Lay(of_b, kStartOfB, n, [&](int column, int k) { return product.B(k, column); });
      WgmmaShape shape;
      shape.n = n;
      shape.a_major = of_a.major;
      shape.b_major = of_b.major;
      for (int warp = 0; warp < 4; ++warp) {
        SCOPED_TRACE(of_a.name + " times " + of_b.name + ", warp " + std::to_string(warp));
        WgmmaOperands operands;
        operands.warp = warp;
        operands.a = {kStartOfA, 2 * kLbo, 2 * kSbo, of_a.swizzle};
        operands.b = {kStartOfB, 2 * kLbo, 2 * kSbo, of_b.swizzle};
        product.ExpectRight(shape, operands, warp % 2 == 0);
      }
    }
  }
}

TEST(Wgmma, EveryWidthWithAInRegisters) {
  const Canonical layout = CanonicalLayouts(kLbo, kSbo)[7];
  for (const ElementType type : {ElementType::kBf16, ElementType::kF16}) {
    for (int n = 8; n <= 256; n += 8) {
      Product product(n, type, n);
      product.Lay(layout, kStartOfB, n, [&](int column, int k) { return product.B(k, column); });
      WgmmaShape shape;
      shape.type = type;
      shape.n = n;
      shape.a_in_registers = true;
      WgmmaOperands operands;
      operands.warp = n / 8 % 4;
      operands.a_registers = product.ARegisters(operands.warp);
      operands.b = {kStartOfB, 0, 2 * kSbo, Swizzle::k128Bytes};
      product.ExpectRight(shape, operands, n % 16 == 0);
    }
  }
}

TEST(Wgmma, SignsNegateOperands) {
  const Canonical layout = CanonicalLayouts(kLbo, kSbo)[7];
  Product product(8, ElementType::kF16, 1);
  product.Lay(layout, kStartOfB, 8, [&](int column, int k) { return product.B(k, column); });
  for (const bool a : {false, true}) {
    for (const bool b : {false, true}) {
      WgmmaShape shape;
      shape.type = ElementType::kF16;
      shape.a_in_registers = true;
      shape.negate_a = a;
      shape.negate_b = b;
      WgmmaOperands operands;
      operands.a_registers = product.ARegisters(0);
      operands.b = {kStartOfB, 0, 2 * kSbo, Swizzle::k128Bytes};
      product.ExpectRight(shape, operands, true, a == b ? 1 : -1);
    }
  }
}

// A product without accumulation must not read the sums: they may be NaN.
TEST(Wgmma, OldSumsDoNotMatterWithoutAccumulation) {
  std::vector<std::byte> window(4096);
  std::vector<WarpRegister> d(4);
  for (WarpRegister& r : d) r.fill(0x7fc00000);
  WgmmaOperands operands;
  operands.a = {0, 128, 128, Swizzle::kNone};
  operands.b = operands.a;
  ASSERT_TRUE(MultiplyWarp({}, operands, window, false, absl::MakeSpan(d)).ok());
  for (const WarpRegister& r : d) {
    for (const uint32_t bits : r) EXPECT_EQ(bits, 0);
  }
}

TEST(Wgmma, ReadsBeyondSharedMemoryAreAnError) {
  std::vector<std::byte> window(1024);
  std::vector<WarpRegister> d(4);
  WgmmaOperands operands;
  operands.a = {0, 128, 128, Swizzle::kNone};
  operands.b = {1024 - 128, 128, 256, Swizzle::kNone};
  const absl::Status b = MultiplyWarp({}, operands, window, false, absl::MakeSpan(d));
  EXPECT_THAT(std::string(b.message()), HasSubstr("matrix B up to byte 1152"));
  operands.a.address = 1024;
  const absl::Status a = MultiplyWarp({}, operands, window, false, absl::MakeSpan(d));
  EXPECT_THAT(std::string(a.message()), HasSubstr("matrix A"));
}

// A warp reads its 16 rows of A and all of B, each byte once.
TEST(Wgmma, VisitsWhatTheWarpReads) {
  for (const Major major : {Major::kK, Major::kMn}) {
    WgmmaShape shape;
    shape.n = 64;
    shape.a_major = major;
    shape.b_major = major;
    WgmmaOperands operands;
    operands.warp = 2;
    operands.a = {0x1000, 4096, 1024, Swizzle::k128Bytes};
    operands.b = {0x8000, 4096, 1024, Swizzle::k128Bytes};
    std::vector<int> reads(1 << 18);
    VisitReads(shape, operands, [&](uint32_t offset, uint32_t bytes) {
      for (uint32_t i = 0; i < bytes; ++i) ++reads[offset + i];
    });
    std::vector<int> expected(1 << 18);
    for (int k = 0; k < 16; ++k) {
      for (int row = 32; row < 48; ++row) {
        const uint32_t at = operands.a.OffsetOf(major, row, k);
        ++expected[at], ++expected[at + 1];
      }
      for (int column = 0; column < 64; ++column) {
        const uint32_t at = operands.b.OffsetOf(major, column, k);
        ++expected[at], ++expected[at + 1];
      }
    }
    EXPECT_EQ(reads, expected);
  }
}

}  // namespace
}  // namespace flashcp::emulator
