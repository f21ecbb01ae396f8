// LENGTHS: the documents of one or more batches, from text or JSON. docs/cli.md has the formats.

#ifndef FLASHCP_COMPILER_INPUT_LENGTHS_H_
#define FLASHCP_COMPILER_INPUT_LENGTHS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/document.h"

namespace flashcp {

// The documents of one batch, in the order of the pack.
using Batch = std::vector<model::Document>;

// The batches of a text: whitespace-separated token counts (one batch), or JSON values, a batch
// each: {"documents": [4096, {"length": 1200, "mask": "window:512"}]} or the bare list. Documents
// without a mask get `default_mask`. There is at least one batch; each has at most
// model::kMaxTokens tokens, and may have none. Linear in the text. InvalidArgument, "name:line:
// ...".
absl::StatusOr<std::vector<Batch>> ParseLengths(absl::string_view name, absl::string_view text,
                                                const model::Mask& default_mask);

// ParseLengths of a file of at most 64 MiB; "-" is standard input. NotFound if it cannot be
// opened.
absl::StatusOr<std::vector<Batch>> ReadLengths(const std::string& path,
                                               const model::Mask& default_mask);

}  // namespace flashcp

#endif  // FLASHCP_COMPILER_INPUT_LENGTHS_H_
