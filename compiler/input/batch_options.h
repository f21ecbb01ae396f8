// The options of a batch as text, each described and read in one place: flags of `flashcp compile`
// and `compare`, and options of cp-import-batch by the same names.

#ifndef FLASHCP_COMPILER_INPUT_BATCH_OPTIONS_H_
#define FLASHCP_COMPILER_INPUT_BATCH_OPTIONS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "compiler/input/request.h"

namespace flashcp {

// Settings that options give to all batches of a file.
struct BatchSettings {
  CompileRequest request;  // without documents; 0 ranks until an option names them
  model::Mask mask;        // of documents that do not name their own
};

struct BatchOption {
  const char* name;    // "head-dim"
  const char* value;   // how help calls its value: "D"
  const char* preset;  // its text if none is given; empty: it is left out
  std::string help;
  // Reads `text` into the settings. InvalidArgument, "name: what was expected and found", where
  // `name` is how the user knows the option.
  absl::Status (*read)(absl::string_view name, absl::string_view text, BatchSettings* settings);
};

// In the order that help shows.
const std::vector<BatchOption>& BatchOptions();

// Texts by the names of their options; an empty text stands for an option that is left out.
using BatchTexts = std::map<std::string, std::string>;

// Returns the texts of options that are not given.
BatchTexts PresetBatchTexts();

// Reads the texts. Errors name options with `prefix` before them ("--"). Without ranks, the
// request has those of the cluster.
absl::StatusOr<BatchSettings> ReadBatchOptions(absl::string_view prefix, const BatchTexts& texts);

// Returns one request for each batch of LENGTHS at `path`, in their order; each passes Check().
absl::StatusOr<std::vector<CompileRequest>> ReadRequests(const std::string& path,
                                                         const BatchSettings& settings);

}  // namespace flashcp

#endif  // FLASHCP_COMPILER_INPUT_BATCH_OPTIONS_H_
