// Document lengths drawn from files: a list, a histogram, or the mean sizes of the parts of a
// training set.

#ifndef FLASHCP_BENCHMARKS_LENGTH_FILES_H_
#define FLASHCP_BENCHMARKS_LENGTH_FILES_H_

#include <functional>
#include <random>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flashcp::benchmarks {

// Draws the length of one document, in tokens, at least 1. A copy starts in the same state.
using LengthDraw = std::function<double(std::mt19937_64& random)>;

// Tokens that a KiB of text becomes: 0.29335 GPT-2 tokens per byte (The Pile, arXiv 2101.00027).
inline constexpr double kTokensPerKib = 300.4;

// Each takes the text of a file; `name` is what errors call it. InvalidArgument, "name:line: ...",
// for malformed text.

// A JSON list of token counts, drawn with replacement.
absl::StatusOr<LengthDraw> LengthsFromList(absl::string_view name, const std::string& text);

// A heading, then rows `"[low, high]",count,...` (both ends belong to the bin): a bin by its count,
// then uniform inside. Documents of 0 tokens are drawn as 1.
absl::StatusOr<LengthDraw> LengthsFromHistogram(absl::string_view name, const std::string& text);

// A heading, then one row for each part of a training set. Two kinds, told by their columns:
// weight_pct (share of the bytes) with mean_doc_kib, or train_documents with
// official_tokens_billion. A part is drawn by its number of documents. Only mean sizes are
// published: a length is lognormal around the mean of its part, sigma 1.
absl::StatusOr<LengthDraw> LengthsFromSources(absl::string_view name, const std::string& text);

}  // namespace flashcp::benchmarks

#endif  // FLASHCP_BENCHMARKS_LENGTH_FILES_H_
