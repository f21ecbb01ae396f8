#include "runtime/cpu/pack.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "runtime/numeric.h"

// From here on functions use AVX2 and F16C, whatever the rest of the program is compiled for.
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

namespace flashcp {
namespace {

constexpr int kLanes = 8;
alignas(64) constexpr char kZeros[256 * sizeof(float)] = {};  // a row that is not there

__m256i LoadBits(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

__m256i LoadHalf(const void* from) {
  return _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(from)));
}

// Eight elements as floats.
__m256 LoadFloats(float, const char* from) { return _mm256_castsi256_ps(LoadBits(from)); }
__m256 LoadFloats(BFloat16, const char* from) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(LoadHalf(from), 16));
}
__m256 LoadFloats(Float16, const char* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

// Eight floats as elements, as FromFloat in numeric.h rounds them.
void StoreFloats(__m256 x, float* to) { _mm256_storeu_ps(to, x); }
void StoreFloats(__m256 x, BFloat16* to) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i halves = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, is_nan), 16);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(halves, halves), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
}
void StoreFloats(__m256 x, Float16* to) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

// Collects whether any element was infinite or NaN.
class NonFinite {
 public:
  NonFinite() : found_(_mm256_setzero_si256()) {}  // not implicit: it must use AVX, too
  void Add(__m256 x) {
    const __m256i exponent = _mm256_set1_epi32(0x7f800000);
    found_ = _mm256_or_si256(
        found_, _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(x), exponent), exponent));
  }
  void AddPairs(__m256i pairs) {
    const __m256i exponent = _mm256_set1_epi16(0x7f80);
    found_ =
        _mm256_or_si256(found_, _mm256_cmpeq_epi16(_mm256_and_si256(pairs, exponent), exponent));
  }
  bool found() const { return !_mm256_testz_si256(found_, found_); }

 private:
  __m256i found_;
};

void Transpose(__m256 rows[kLanes]) {
  __m256 pairs[kLanes], quads[kLanes];
  for (int i = 0; i < kLanes; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < kLanes; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
  }
}

// Stores eight words, of one row or dim, where the second four of them go elsewhere if groups, or
// chunks, are of 4.
void StoreSplit(__m256 words, bool split, float* first, float* second) {
  if (!split) {
    _mm256_store_ps(first, words);
  } else {
    _mm_store_ps(first, _mm256_castps256_ps128(words));
    _mm_store_ps(second, _mm256_extractf128_ps(words, 1));
  }
}

// Reads words of rows: eight f32 from eight elements, or eight pairs from sixteen.
template <typename Element>
struct PlainReader {
  static constexpr int kElements = 1;  // of a word
  static __m256 Load(const char* row, int word, int, NonFinite* check) {
    __m256 x = LoadFloats(Element{}, row + word * sizeof(Element));
    check->Add(x);
    return x;
  }
};

struct PairReader {
  static constexpr int kElements = 2;
  static __m256 Load(const char* row, int word, int words, NonFinite* check) {
    const char* from = row + word * 4;
    __m256i pairs =
        word + kLanes <= words
            ? LoadBits(from)
            : _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    check->AddPairs(pairs);
    return _mm256_castsi256_ps(pairs);
  }
};

template <typename Reader>
bool PackGroupsWith(const Rows& rows, int dim, int group, int64_t group_stride, float* packed) {
  NonFinite check;
  const int words = dim / Reader::kElements;
  const int step = std::max(group, kLanes);
  for (int row = 0; row < (rows.count + step - 1) / step * step; row += kLanes) {
    const char* from[kLanes];
    for (int i = 0; i < kLanes; ++i) from[i] = row + i < rows.count ? rows.Row(row + i) : kZeros;
    float* to = packed + row / group * group_stride + row % group;
    for (int word = 0; word < words; word += kLanes) {
      __m256 block[kLanes];
      for (int i = 0; i < kLanes; ++i) block[i] = Reader::Load(from[i], word, words, &check);
      Transpose(block);
      for (int i = 0; i < std::min(kLanes, words - word); ++i) {
        float* first = to + (word + i) * group;
        StoreSplit(block[i], group == 4, first, first + group_stride);
      }
    }
  }
  return !check.found();
}

template <typename Element>
bool PackPlainChunks(const Rows& rows, int dim, int chunk, int64_t capacity, int padded_count,
                     float* packed) {
  NonFinite check;
  for (int row = 0; row < padded_count; ++row) {
    const char* from = row < rows.count ? rows.Row(row) : kZeros;
    for (int d = 0; d < dim; d += kLanes) {
      __m256 x = LoadFloats(Element{}, from + d * sizeof(Element));
      check.Add(x);
      float* to = packed + d / chunk * capacity * chunk + row * chunk + d % chunk;
      StoreSplit(x, chunk == 4, to, to + capacity * chunk);
    }
  }
  return !check.found();
}

bool PackPairChunks(const Rows& rows, int dim, int chunk, int64_t capacity, int padded_count,
                    float* packed) {
  NonFinite check;
  for (int row = 0; row < padded_count; row += 2) {
    const char* low = row < rows.count ? rows.Row(row) : kZeros;
    const char* high = row + 1 < rows.count ? rows.Row(row + 1) : kZeros;
    for (int d = 0; d < dim; d += kLanes) {
      __m256i pairs =
          _mm256_or_si256(LoadHalf(low + 2 * d), _mm256_slli_epi32(LoadHalf(high + 2 * d), 16));
      check.AddPairs(pairs);
      float* to = packed + d / chunk * capacity * chunk + row / 2 * chunk + d % chunk;
      StoreSplit(_mm256_castsi256_ps(pairs), chunk == 4, to, to + capacity * chunk);
    }
  }
  return !check.found();
}

// Calls store(row, d, eight floats) for all of a panel, dims in steps of 8.
template <typename Element>
void StorePanelAs(const float* panel, int panel_rows, const float* factors, int dim,
                  const MutableRows& rows) {
  for (int row = 0; row < rows.count; row += kLanes) {
    const __m256 factor = _mm256_loadu_ps(factors + row);
    char* to[kLanes];
    const int count = std::min(kLanes, rows.count - row);
    for (int i = 0; i < count; ++i) to[i] = rows.Row(row + i);
    for (int d = 0; d < dim; d += kLanes) {
      __m256 block[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        block[i] = _mm256_mul_ps(_mm256_load_ps(panel + (d + i) * panel_rows + row), factor);
      }
      Transpose(block);
      for (int i = 0; i < count; ++i) StoreFloats(block[i], reinterpret_cast<Element*>(to[i]) + d);
    }
  }
}

}  // namespace

bool PackGroups(WordFormat format, const Rows& rows, int dim, int group, int64_t group_stride,
                void* words) {
  float* packed = static_cast<float*>(words);
  if (format.pairs) return PackGroupsWith<PairReader>(rows, dim, group, group_stride, packed);
  bool finite = true;
  switch (format.element) {
    case ElementType::kF32:
      finite = PackGroupsWith<PlainReader<float>>(rows, dim, group, group_stride, packed);
      break;
    case ElementType::kBF16:
      finite = PackGroupsWith<PlainReader<BFloat16>>(rows, dim, group, group_stride, packed);
      break;
    case ElementType::kF16:
      finite = PackGroupsWith<PlainReader<Float16>>(rows, dim, group, group_stride, packed);
      break;
  }
  return finite;
}

bool PackChunks(WordFormat format, const Rows& rows, int dim, int chunk, int64_t capacity,
                int padded_count, void* words) {
  float* packed = static_cast<float*>(words);
  if (format.pairs) return PackPairChunks(rows, dim, chunk, capacity, padded_count, packed);
  bool finite = true;
  switch (format.element) {
    case ElementType::kF32:
      finite = PackPlainChunks<float>(rows, dim, chunk, capacity, padded_count, packed);
      break;
    case ElementType::kBF16:
      finite = PackPlainChunks<BFloat16>(rows, dim, chunk, capacity, padded_count, packed);
      break;
    case ElementType::kF16:
      finite = PackPlainChunks<Float16>(rows, dim, chunk, capacity, padded_count, packed);
      break;
  }
  return finite;
}

void StorePanel(ElementType element, const float* panel, int panel_rows, const float* factors,
                int dim, const MutableRows& rows) {
  switch (element) {
    case ElementType::kF32:
      return StorePanelAs<float>(panel, panel_rows, factors, dim, rows);
    case ElementType::kBF16:
      return StorePanelAs<BFloat16>(panel, panel_rows, factors, dim, rows);
    case ElementType::kF16:
      return StorePanelAs<Float16>(panel, panel_rows, factors, dim, rows);
  }
}

void AddPanel(const float* panel, int panel_rows, float factor, int dim, const MutableRows& rows) {
  const __m256 factors = _mm256_set1_ps(factor);
  for (int row = 0; row < rows.count; row += kLanes) {
    float* to[kLanes];
    const int count = std::min(kLanes, rows.count - row);
    for (int i = 0; i < count; ++i) to[i] = reinterpret_cast<float*>(rows.Row(row + i));
    for (int d = 0; d < dim; d += kLanes) {
      __m256 block[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        block[i] = _mm256_load_ps(panel + (d + i) * panel_rows + row);
      }
      Transpose(block);
      for (int i = 0; i < count; ++i) {
        _mm256_storeu_ps(to[i] + d, _mm256_fmadd_ps(block[i], factors, _mm256_loadu_ps(to[i] + d)));
      }
    }
  }
}

void AddChunks(const float* chunks, int chunk, int64_t capacity, float factor, int dim,
               const MutableRows& rows) {
  const __m256 factors = _mm256_set1_ps(factor);
  for (int row = 0; row < rows.count; ++row) {
    float* to = reinterpret_cast<float*>(rows.Row(row));
    for (int d = 0; d < dim; d += kLanes) {
      const float* from = chunks + d / chunk * capacity * chunk + row * chunk + d % chunk;
      _mm256_storeu_ps(to + d,
                       _mm256_fmadd_ps(_mm256_load_ps(from), factors, _mm256_loadu_ps(to + d)));
    }
  }
}

}  // namespace flashcp

#pragma GCC pop_options
