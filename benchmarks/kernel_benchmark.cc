// How near the generated attention kernels come to the peak of the core that they run on: one
// thread, CPU time, the best of several runs, ratio to multiply-adds on independent registers that
// are measured between those. Causal work counts the pairs that the mask allows; backward counts
// five products. The yardstick is oneDNN on the two products of forward as matrices, without
// softmax or mask.

#include <immintrin.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "benchmarks/matmul_yardstick.h"
#include "model/mask.h"
#include "runtime/check/random_tensor.h"
#include "runtime/cpu/generated_attention.h"
#include "runtime/cpu/generated_kernels.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/numeric.h"
#include "support/command_line.h"

namespace flashcp {
namespace {

double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Flops of `count` rounds of 12, or 24, independent multiply-adds.
__attribute__((target("avx2,fma"))) double PeakAvx2(int64_t count) {
  __m256 sums[12];
  for (__m256& sum : sums) sum = _mm256_set1_ps(1);
  __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
  for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sums[j] = _mm256_fmadd_ps(sums[j], x, y);
    asm volatile("" : "+x"(x), "+x"(y));
  }
  for (int j = 0; j < 12; ++j) asm volatile("" : : "x"(sums[j]));
  return static_cast<double>(count) * 12 * 8 * 2;
}

__attribute__((target("avx512f"))) double PeakAvx512(int64_t count) {
  __m512 sums[24];
  for (__m512& sum : sums) sum = _mm512_set1_ps(1);
  __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
  for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) sums[j] = _mm512_fmadd_ps(sums[j], x, y);
    asm volatile("" : "+v"(x), "+v"(y));
  }
  for (int j = 0; j < 24; ++j) asm volatile("" : : "v"(sums[j]));
  return static_cast<double>(count) * 24 * 16 * 2;
}

__attribute__((target("avx512f,avx512bf16"))) double PeakPairs(int64_t count) {
  __m512 sums[24];
  for (__m512& sum : sums) sum = _mm512_set1_ps(1);
  __m512i x = _mm512_set1_epi32(0x3f803f80), y = _mm512_set1_epi32(0x3c003c00);
  for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) sums[j] = _mm512_dpbf16_ps(sums[j], (__m512bh)x, (__m512bh)y);
    asm volatile("" : "+v"(x), "+v"(y));
  }
  for (int j = 0; j < 24; ++j) asm volatile("" : : "v"(sums[j]));
  return static_cast<double>(count) * 24 * 32 * 2;
}

// Flops a second.
double Peak(absl::string_view target) {
  constexpr int64_t kRounds = 2000000;
  const double start = CpuSeconds();
  double flops = target == "avx2"     ? PeakAvx2(kRounds)
                 : target == "avx512" ? PeakAvx512(kRounds)
                                      : PeakPairs(kRounds);
  return flops / (CpuSeconds() - start);
}

// Flops a second of `work`, over those of the peak.
double RatioToPeak(absl::string_view target, double flops, absl::FunctionRef<void()> work) {
  double peak = 0, best = 0;
  for (int i = 0; i < 7; ++i) {
    peak = std::max(peak, Peak(target));
    const double start = CpuSeconds();
    work();
    best = std::max(best, flops / (CpuSeconds() - start));
  }
  return best / std::max(peak, Peak(target));
}

// Documents of equal length, each one tile.
struct Case {
  const char* name;
  int64_t documents;
  int64_t tokens;
};

struct Tensors {
  std::vector<char> query, key, value, output, gradient;
  std::vector<float> lse, delta, query_gradient, key_gradient, value_gradient;
};

std::vector<char> Random(uint64_t seed, int64_t count, model::DType element) {
  std::vector<char> elements(count * BytesPerElement(element));
  FloatsToElements(element, RandomTensor(seed, count, element).data(), count, elements.data());
  return elements;
}

void Report(const GeneratedKernel& kernel, const KernelSpec& spec, const Case& c) {
  WorkerPool pool(1);
  auto kernels = CreateGeneratedAttention(kernel, spec, &pool).value();
  const int64_t tokens = c.documents * c.tokens;
  const int64_t queries = tokens * spec.query_heads, keys = tokens * spec.key_value_heads;
  const int bytes = BytesPerElement(spec.element);
  Tensors t = {Random(1, queries * spec.dim, spec.element),
               Random(2, keys * spec.dim, spec.element),
               Random(3, keys * spec.dim, spec.element),
               std::vector<char>(queries * spec.dim * bytes),
               Random(4, queries * spec.dim, spec.element),
               std::vector<float>(queries),
               std::vector<float>(queries),
               std::vector<float>(queries * spec.dim),
               std::vector<float>(keys * spec.dim),
               std::vector<float>(keys * spec.dim)};
  const model::Band causal = model::Mask::Causal().band();
  std::vector<AttentionTile> forward;
  std::vector<BackwardTile> backward;
  for (int64_t document = 0; document < c.documents; ++document) {
    const int64_t q = document * c.tokens * spec.query_heads * spec.dim;
    const int64_t k = document * c.tokens * spec.key_value_heads * spec.dim;
    const int64_t row = document * c.tokens * spec.query_heads;
    forward.push_back({&t.query[q * bytes], &t.key[k * bytes], &t.value[k * bytes],
                       &t.output[q * bytes], &t.lse[row], nullptr, 0, 0, c.tokens, c.tokens, causal,
                       spec.query_heads, spec.key_value_heads, 0, spec.query_heads, true, true});
    backward.push_back({&t.query[q * bytes], &t.key[k * bytes], &t.value[k * bytes],
                        &t.gradient[q * bytes], &t.lse[row], &t.delta[row], &t.query_gradient[q],
                        &t.key_gradient[k], &t.value_gradient[k], 0, 0, c.tokens, c.tokens, causal,
                        spec.query_heads, spec.key_value_heads, 0, spec.query_heads});
  }
  const double pairs =
      static_cast<double>(c.documents) * spec.query_heads * c.tokens * (c.tokens + 1) / 2;
  const double forward_ratio =
      RatioToPeak(kernel.target, 4 * pairs * spec.dim, [&] { kernels->Forward(forward); });
  const double backward_ratio =
      RatioToPeak(kernel.target, 10 * pairs * spec.dim, [&] { kernels->Backward(backward); });
  std::printf("%-18s d%-4d heads %d:%d  %-18s forward %3.0f%%  backward %3.0f%%\n", kernel.name,
              spec.dim, spec.query_heads, spec.key_value_heads, c.name, 100 * forward_ratio,
              100 * backward_ratio);
  std::fflush(stdout);
}

// The two products of one head of a document.
void ReportYardstick(const GeneratedKernel& kernel, const Case& c) {
  const double flops = 2.0 * c.tokens * c.tokens * kernel.dim;
  double scores = 0, outputs = 0;
  WithMatmul(c.tokens, kernel.dim, c.tokens, kernel.pairs, [&](absl::FunctionRef<void()> multiply) {
    scores = RatioToPeak(kernel.target, flops, multiply);
  });
  WithMatmul(c.tokens, c.tokens, kernel.dim, kernel.pairs, [&](absl::FunctionRef<void()> multiply) {
    outputs = RatioToPeak(kernel.target, flops, multiply);
  });
  std::printf("%-18s d%-4d %-29s Q K^T   %3.0f%%  P V      %3.0f%%\n", "oneDNN matmul", kernel.dim,
              c.name, 100 * scores, 100 * outputs);
  std::fflush(stdout);
}

void Run() {
  constexpr Case kCases[] = {{"4096 tokens", 1, 4096}, {"16 x 256 tokens", 16, 256}};
  for (absl::string_view target : {"avx2", "avx512", "avx512-bf16"}) {
    bool measured = false;
    for (int dim : {64, 128}) {
      for (const GeneratedKernel& kernel : GeneratedKernels()) {
        if (kernel.target != target || kernel.dim != dim || kernel.value_dim != dim) continue;
        if (!RunsHere(kernel)) continue;
        measured = true;
        double peak = 0;
        for (int i = 0; i < 20; ++i) peak = std::max(peak, Peak(target));
        std::printf("%s: peak %.1f Gflop/s, measured\n", kernel.target, peak / 1e9);
        const model::DType element = kernel.pairs ? model::DType::kBF16 : model::DType::kF32;
        for (const Case& c : kCases) {
          for (int query_heads : {1, 4}) {
            Report(kernel, {element, query_heads, 1, dim, dim, 1 / std::sqrt(float(dim))}, c);
          }
          ReportYardstick(kernel, c);
        }
      }
    }
    if (!measured) std::printf("%s: this CPU lacks the instructions\n", target.data());
  }
}

}  // namespace
}  // namespace flashcp

int main(int argc, char** argv) {
  CLI::App app(
      "Generated attention kernels of this CPU, and oneDNN's products, in percent of what one core "
      "can do. Measures for minutes.");
  if (std::optional<int> code = flashcp::ParseCommandLine(argc, argv, &app)) return *code;
  flashcp::UseOneThreadForMatmul();
  flashcp::Run();
}
