// The options of a batch as text, each described and read in one place: flags of `flashcp compile`
// and `compare`, and options of cp-import-batch by the same names.

#ifndef FLASHCP_COMPILER_INPUT_BATCH_OPTIONS_H_
#define FLASHCP_COMPILER_INPUT_BATCH_OPTIONS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "compiler/input/lengths.h"
#include "compiler/input/request.h"
#include "runtime/plan/plan.h"

namespace flashcp {

// A plan whose layout a batch is to have.
struct GivenLayout {
  Plan plan;         // has passed VerifyPlan
  std::string name;  // before errors: "--layout-of: full.plan"
};

// Settings that options give to all batches of a file.
struct BatchSettings {
  CompileRequest request;  // without documents; 0 ranks unless an option names them
  model::Mask mask;        // of documents that do not name their own
  std::optional<GivenLayout> layout;
};

struct BatchOption {
  const char* name;    // "head-dim"
  std::string value;   // how help calls its value: "D"
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

// Reads the texts. Errors name options with `prefix` before them ("--").
absl::StatusOr<BatchSettings> ReadBatchOptions(absl::string_view prefix, const BatchTexts& texts);

// Returns the documents of the layout's plan, under the mask of the settings.
Batch DocumentsOfLayout(const BatchSettings& settings);

// Returns the request for a batch, which passes Check(). Ranks that no option names are those of
// the layout, if there is one, or else of the cluster.
absl::StatusOr<CompileRequest> MakeRequest(const BatchSettings& settings, Batch documents);

}  // namespace flashcp

#endif  // FLASHCP_COMPILER_INPUT_BATCH_OPTIONS_H_
