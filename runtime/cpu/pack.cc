// Loops over rows, dims and chunks, with vectors where the compiler needs help.

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
alignas(64) constexpr char kZeros[kMaxHeadDim * sizeof(float)] = {};  // a row that is not there

// Eight elements as floats.
__m256 Widen(float, const void* from) { return _mm256_loadu_ps(static_cast<const float*>(from)); }
__m256 Widen(BFloat16, __m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
__m256 Widen(Float16, __m128i bits) { return _mm256_cvtph_ps(bits); }
template <typename Half>
__m256 Widen(Half type, const void* from) {
  return Widen(type, _mm_loadu_si128(static_cast<const __m128i*>(from)));
}

// Four elements from each of two places.
__m256 WidenTwo(float, const void* low, const void* high) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(static_cast<const float*>(low))),
                              _mm_loadu_ps(static_cast<const float*>(high)), 1);
}
template <typename Half>
__m256 WidenTwo(Half type, const void* low, const void* high) {
  return Widen(type, _mm_unpacklo_epi64(_mm_loadl_epi64(static_cast<const __m128i*>(low)),
                                        _mm_loadl_epi64(static_cast<const __m128i*>(high))));
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

// The largest magnitude among elements, as bits: those of an infinity or a NaN are above all
// others.
class Largest {
 public:
  Largest() : floats_(_mm256_setzero_si256()), halves_(_mm256_setzero_si256()) {}
  void Add(__m256 x) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    floats_ = _mm256_max_epi32(floats_, _mm256_and_si256(_mm256_castps_si256(x), magnitude));
  }
  void AddPairs(__m256 pairs) {
    const __m256i magnitude = _mm256_set1_epi16(0x7fff);
    halves_ = _mm256_max_epi16(halves_, _mm256_and_si256(_mm256_castps_si256(pairs), magnitude));
  }
  bool IsSmall() const {
    const uint32_t limit = BitsOfFloat(kSmall);
    const __m256i large =
        _mm256_or_si256(_mm256_cmpgt_epi32(floats_, _mm256_set1_epi32(limit - 1)),
                        _mm256_cmpgt_epi16(halves_, _mm256_set1_epi16((limit >> 16) - 1)));
    return _mm256_testz_si256(large, large);
  }

 private:
  __m256i floats_, halves_;
};

// Transposes the 4 x 4 words in either half of four vectors.
__attribute__((always_inline)) inline void TransposeHalves(__m256 (&x)[4]) {
  const __m256 a = _mm256_unpacklo_ps(x[0], x[1]), b = _mm256_unpackhi_ps(x[0], x[1]);
  const __m256 c = _mm256_unpacklo_ps(x[2], x[3]), d = _mm256_unpackhi_ps(x[2], x[3]);
  x[0] = _mm256_shuffle_ps(a, c, 0x44);
  x[1] = _mm256_shuffle_ps(a, c, 0xee);
  x[2] = _mm256_shuffle_ps(b, d, 0x44);
  x[3] = _mm256_shuffle_ps(b, d, 0xee);
}

// Stores the words of four dims, or rows, eight of each. Where groups, or chunks, are of 4, the
// first four of each go to one of them, side by side, and the others to the next.
template <bool kSplit>
__attribute__((always_inline)) inline void StoreFour(const __m256 (&x)[4], float* first,
                                                     int64_t stride, float* second) {
  if (kSplit) {
    for (int i = 0; i < 2; ++i) {
      _mm256_store_ps(first + 8 * i, _mm256_permute2f128_ps(x[2 * i], x[2 * i + 1], 0x20));
      _mm256_store_ps(second + 8 * i, _mm256_permute2f128_ps(x[2 * i], x[2 * i + 1], 0x31));
    }
  } else {
    for (int i = 0; i < 4; ++i) _mm256_store_ps(first + i * stride, x[i]);
  }
}

template <int kCount>
void FindRows(const Rows& rows, int first, const char* (&pointers)[kCount]) {
  std::fill_n(pointers, kCount, kZeros);
  const char** next = pointers;
  rows.Slice(first, std::clamp(rows.count - first, 0, kCount)).ForEach([&](const char* row) {
    *next++ = row;
  });
}

// Words from single elements.
template <typename Element>
struct PlainReader {
  static constexpr int kElements = 1;
  static constexpr int kWordBytes = sizeof(Element);
  // Four words of either of two rows.
  static __m256 LoadTwo(const char* low, const char* high, Largest* largest) {
    const __m256 x = WidenTwo(Element{}, low, high);
    largest->Add(x);
    return x;
  }
  static __m256 Times(__m256 x, float factor) { return _mm256_mul_ps(x, _mm256_set1_ps(factor)); }
  // Words of eight dims from kElements rows.
  static __m256 LoadDims(const char* const* rows, int dim, Largest* largest) {
    const __m256 x = Widen(Element{}, rows[0] + dim * sizeof(Element));
    largest->Add(x);
    return x;
  }
};

// Words from pairs of bf16, as they are.
struct PairReader {
  static constexpr int kElements = 2;
  static constexpr int kWordBytes = 4;
  static __m256 LoadTwo(const char* low, const char* high, Largest* largest) {
    const __m256 x = WidenTwo(float{}, low, high);
    largest->AddPairs(x);
    return x;
  }
  static __m256 Times(__m256 x, float) { return x; }
  static __m256 LoadDims(const char* const* rows, int dim, Largest* largest) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[0] + 2 * dim));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[1] + 2 * dim));
    const __m256i pairs = _mm256_or_si256(_mm256_cvtepu16_epi32(low),
                                          _mm256_slli_epi32(_mm256_cvtepu16_epi32(high), 16));
    largest->AddPairs(_mm256_castsi256_ps(pairs));
    return _mm256_castsi256_ps(pairs);
  }
};

// Eight rows by four words at a time.
template <typename Reader, bool kSplit>
bool PackGroupsOf(const Rows& rows, int dim, int group, int64_t group_stride, float* packed,
                  float factor) {
  Largest largest;
  const int words = dim / Reader::kElements;
  const int step = std::max(group, kLanes);
  for (int row = 0; row < (rows.count + step - 1) / step * step; row += kLanes) {
    const char* from[kLanes];
    FindRows(rows, row, from);
    float* to = packed + row / group * group_stride + row % group;
    for (int word = 0; word < words; word += 4, to += 4 * group) {
      const int offset = word * Reader::kWordBytes;
      __m256 block[4];
      for (int i = 0; i < 4; ++i) {
        const __m256 x = Reader::LoadTwo(from[i] + offset, from[i + 4] + offset, &largest);
        block[i] = Reader::Times(x, factor);
      }
      TransposeHalves(block);
      StoreFour<kSplit>(block, to, group, to + group_stride);
    }
  }
  return largest.IsSmall();
}

template <typename Reader>
bool PackGroupsWith(const Rows& rows, int dim, int group, int64_t group_stride, float* packed,
                    float factor) {
  return group == 4 ? PackGroupsOf<Reader, true>(rows, dim, group, group_stride, packed, factor)
                    : PackGroupsOf<Reader, false>(rows, dim, group, group_stride, packed, factor);
}

// Four words of each dim at a time: where chunks are of 4 dims, they fill a line.
template <typename Reader, bool kSplit>
bool PackChunksOf(const Rows& rows, int dim, int chunk, int64_t capacity, int padded_count,
                  float* packed) {
  Largest largest;
  constexpr int kRows = 4 * Reader::kElements;
  const int width = std::max(chunk, kLanes);
  for (int row = 0; row < padded_count; row += kRows) {
    const char* from[kRows];
    FindRows(rows, row, from);
    float* to = packed + row / Reader::kElements * chunk;
    for (int first = 0; first < dim; first += width, to += width * capacity) {
      for (int d = first; d < std::min(first + width, dim); d += kLanes) {
        __m256 block[4];
        for (int i = 0; i < 4; ++i) {
          block[i] = Reader::LoadDims(from + i * Reader::kElements, d, &largest);
        }
        StoreFour<kSplit>(block, to + (d - first), chunk, to + chunk * capacity);
      }
    }
  }
  return largest.IsSmall();
}

template <typename Reader>
bool PackChunksWith(const Rows& rows, int dim, int chunk, int64_t capacity, int padded_count,
                    float* packed) {
  return chunk == 4 ? PackChunksOf<Reader, true>(rows, dim, chunk, capacity, padded_count, packed)
                    : PackChunksOf<Reader, false>(rows, dim, chunk, capacity, padded_count, packed);
}

// Calls use(row, pointer to the row, d, dims [d, d + 8) of it) for all of a panel.
template <typename Use>
__attribute__((always_inline)) inline void ForDimsOfRows(const float* panel, int panel_rows,
                                                         int dim, const MutableRows& rows,
                                                         const Use& use) {
  for (int row = 0; row < rows.count; row += 4) {
    const int count = std::min(4, rows.count - row);
    char* to[4];
    for (int i = 0; i < count; ++i) to[i] = rows.Row(row + i);
    for (int d = 0; d < dim; d += kLanes) {
      __m256 block[4];
      for (int i = 0; i < 4; ++i) {
        const float* from = panel + (d + i) * panel_rows + row;
        block[i] = WidenTwo(float{}, from, from + 4 * panel_rows);
      }
      TransposeHalves(block);
      if (count == 4) {  // nearly always; a fixed number is unrolled
        for (int i = 0; i < 4; ++i) use(row + i, to[i], d, block[i]);
      } else {
        for (int i = 0; i < count; ++i) use(row + i, to[i], d, block[i]);
      }
    }
  }
}

template <typename Element>
void StorePanelAs(const float* panel, int panel_rows, const float* factors, int dim,
                  const MutableRows& rows) {
  ForDimsOfRows(panel, panel_rows, dim, rows, [&](int row, char* to, int d, __m256 x) {
    StoreFloats(_mm256_mul_ps(x, _mm256_broadcast_ss(factors + row)),
                reinterpret_cast<Element*>(to) + d);
  });
}

}  // namespace

bool PackGroups(WordFormat format, const Rows& rows, int dim, int group, int64_t group_stride,
                void* words, float factor) {
  float* packed = static_cast<float*>(words);
  if (format.pairs)
    return PackGroupsWith<PairReader>(rows, dim, group, group_stride, packed, factor);
  return WithElementType(format.element, [&](auto element) {
    using Reader = PlainReader<decltype(element)>;
    return PackGroupsWith<Reader>(rows, dim, group, group_stride, packed, factor);
  });
}

bool PackChunks(WordFormat format, const Rows& rows, int dim, int chunk, int64_t capacity,
                int padded_count, void* words) {
  float* packed = static_cast<float*>(words);
  if (format.pairs)
    return PackChunksWith<PairReader>(rows, dim, chunk, capacity, padded_count, packed);
  return WithElementType(format.element, [&](auto element) {
    using Reader = PlainReader<decltype(element)>;
    return PackChunksWith<Reader>(rows, dim, chunk, capacity, padded_count, packed);
  });
}

void StorePanel(model::DType element, const float* panel, int panel_rows, const float* factors,
                int dim, const MutableRows& rows) {
  WithElementType(element, [&](auto type) {
    StorePanelAs<decltype(type)>(panel, panel_rows, factors, dim, rows);
  });
}

void AddPanel(const float* panel, int panel_rows, float factor, int dim, const MutableRows& rows) {
  const __m256 factors = _mm256_set1_ps(factor);
  ForDimsOfRows(panel, panel_rows, dim, rows, [&](int, char* to, int d, __m256 x) {
    float* sums = reinterpret_cast<float*>(to) + d;
    _mm256_storeu_ps(sums, _mm256_fmadd_ps(x, factors, _mm256_loadu_ps(sums)));
  });
}

void AddChunks(const float* chunks, int chunk, int64_t capacity, float factor, int dim,
               const MutableRows& rows) {
  const __m256 factors = _mm256_set1_ps(factor);
  for (int row = 0; row < rows.count; ++row) {
    float* to = reinterpret_cast<float*>(rows.Row(row));
    const float* from = chunks + row * chunk;
    for (int first = 0; first < dim; first += chunk, from += capacity * chunk) {
      for (int d = first; d < std::min(first + chunk, dim); d += kLanes) {
        const __m256 sum = _mm256_load_ps(from + (d - first));
        _mm256_storeu_ps(to + d, _mm256_fmadd_ps(sum, factors, _mm256_loadu_ps(to + d)));
      }
    }
  }
}

}  // namespace flashcp

#pragma GCC pop_options
