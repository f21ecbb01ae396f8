// Masks by their names on command lines and in JSON: "causal", "full", "window:W".

#ifndef FLASHCP_COMPILER_INPUT_MASK_H_
#define FLASHCP_COMPILER_INPUT_MASK_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "compiler/solver/problem.h"

namespace flashcp {

// InvalidArgument with what was found and what is allowed; W is an integer of at least 1.
absl::StatusOr<solver::Mask> ParseMask(absl::string_view text);

}  // namespace flashcp

#endif  // FLASHCP_COMPILER_INPUT_MASK_H_
