// Runs one loop over vectors at the width of the CPU it finds itself on: AVX-512, AVX2 or the
// baseline. Loops are written with vectors of a fixed number of bytes, since compilers are not
// reliable here: GCC 12 unrolls an inner loop of up to 16 elements before it vectorises, and splits
// vectors wider than the instruction set element by element; each is 6 times slower or worse.

#ifndef FLASHCP_RUNTIME_CPU_WIDEST_VECTORS_H_
#define FLASHCP_RUNTIME_CPU_WIDEST_VECTORS_H_

#include <cstring>

namespace flashcp {

// A Loop has `template <int kBytes> FLASHCP_INLINE_LOOP static void Run(args...)`: it is inlined
// into functions that are compiled for different instruction sets.
#define FLASHCP_INLINE_LOOP __attribute__((always_inline)) inline

// Vectors of kBytes bytes of T, whose operators work element by element.
template <typename T, int kBytes>
struct VectorOf {
  typedef T Type __attribute__((vector_size(kBytes)));
  static constexpr int kWidth = kBytes / sizeof(T);

  // The kWidth elements that start at `first`, which needs no alignment.
  FLASHCP_INLINE_LOOP static void Load(const T* first, Type* vector) {
    std::memcpy(vector, first, kBytes);
  }
  FLASHCP_INLINE_LOOP static void Store(const Type& vector, T* first) {
    std::memcpy(first, &vector, kBytes);
  }
};

#ifdef __x86_64__
template <typename Loop, typename... Args>
__attribute__((target("avx512f"))) void RunAvx512(Args... args) {
  Loop::template Run<64>(args...);
}

template <typename Loop, typename... Args>
__attribute__((target("avx2,fma"))) void RunAvx2(Args... args) {
  Loop::template Run<32>(args...);
}
#endif

// Loop::Run(args...). The result may differ in rounding between CPUs, never between calls.
template <typename Loop, typename... Args>
void RunWithWidestVectors(Args... args) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return RunAvx512<Loop>(args...);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return RunAvx2<Loop>(args...);
  }
#endif
  Loop::template Run<16>(args...);
}

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CPU_WIDEST_VECTORS_H_
