// Document lengths like those of a training batch: log-normal, and the same for the same arguments
// and standard library.

#ifndef FLASHCP_BENCHMARKS_LOGNORMAL_LENGTHS_H_
#define FLASHCP_BENCHMARKS_LOGNORMAL_LENGTHS_H_

#include <cstdint>
#include <vector>

namespace flashcp {

// `documents` lengths of at least 1 that sum to `tokens` (at least as many), with a standard
// deviation of their logarithms of 1.3: the longest of 100 is about 20 times the median.
std::vector<int64_t> LognormalLengths(int documents, int64_t tokens, uint64_t seed);

}  // namespace flashcp

#endif  // FLASHCP_BENCHMARKS_LOGNORMAL_LENGTHS_H_
