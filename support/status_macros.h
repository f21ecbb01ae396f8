// Early return of a failed absl::Status, the two forms that everybody knows.

#ifndef FLASHCP_SUPPORT_STATUS_MACROS_H_
#define FLASHCP_SUPPORT_STATUS_MACROS_H_

#include <utility>

#define FLASHCP_CONCAT_INNER(a, b) a##b
#define FLASHCP_CONCAT(a, b) FLASHCP_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)            \
  do {                                         \
    auto return_if_error_status = (expression); \
    if (!return_if_error_status.ok()) return return_if_error_status; \
  } while (false)

// ASSIGN_OR_RETURN(auto x, MakeX()): x is the value, or the function returns the error.
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(FLASHCP_CONCAT(status_or_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(name, declaration, expression) \
  auto name = (expression);                                   \
  if (!name.ok()) return std::move(name).status();            \
  declaration = *std::move(name)

#endif  // FLASHCP_SUPPORT_STATUS_MACROS_H_
