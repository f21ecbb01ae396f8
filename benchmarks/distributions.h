// Where the document lengths of a benchmark come from: seeded generators, and files of real
// lengths.

#ifndef FLASHCP_BENCHMARKS_DISTRIBUTIONS_H_
#define FLASHCP_BENCHMARKS_DISTRIBUTIONS_H_

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flashcp::benchmarks {

// Draws the lengths of one packed sequence of `tokens` tokens, for `ranks` ranks.
using SequenceDraw =
    std::function<std::vector<int64_t>(int64_t tokens, int ranks, std::mt19937_64& random)>;

struct Distribution {
  std::string name;
  uint64_t number = 0;  // sequences of different distributions have different seeds
  SequenceDraw draw;

  // Lengths of sequence `index`, `tokens` in all, each at least 1: drawn with the seed
  // 1000 * number + index. The same wherever the C++ library is libstdc++.
  std::vector<int64_t> Sequence(int64_t tokens, int ranks, uint64_t index) const;
};

// lognormal, pile, long, one, equal-512, n-plus-1, short, cells-32.
std::vector<std::string> GeneratorNames();

// A generator by name, or documents:COUNT, so many lognormal lengths, or a file:
//   lengths:FILE    a JSON list of token counts, drawn with replacement;
//   histogram:FILE  CSV rows "[low, high]",count,...: bins by their count, uniform in a bin;
//   sources:FILE    CSV of the parts of a training set, as LengthsFromSources reads it.
// What is drawn is packed until the sequence is full; the last document is cut.
// InvalidArgument if the name is unknown or the file is malformed, with the line; NotFound where
// it cannot be opened.
absl::StatusOr<Distribution> MakeDistribution(absl::string_view name);

}  // namespace flashcp::benchmarks

#endif  // FLASHCP_BENCHMARKS_DISTRIBUTIONS_H_
