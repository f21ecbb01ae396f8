// "Did you mean": the nearest of a list of names, for error messages about unknown ones.

#ifndef FLASHCP_SUPPORT_NEAREST_NAME_H_
#define FLASHCP_SUPPORT_NEAREST_NAME_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace flashcp {

// Returns the candidate with the smallest edit distance to `name`, the first one of equals; empty
// if none is near enough for a typing error.
std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates);

// Returns "unknown strategy 'zigzg': did you mean 'zigzag'? (one of contiguous, zigzag, ...)", or,
// if no candidate is near, "unknown strategy 'ring' (one of contiguous, zigzag, ...)".
std::string UnknownNameMessage(absl::string_view what, absl::string_view name,
                               const std::vector<std::string>& candidates);

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_NEAREST_NAME_H_
