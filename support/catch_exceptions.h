// Exceptions of foreign code (devices, transports, callers' functions) as errors: our own code
// throws none, but others may wait for something that it holds.

#ifndef FLASHCP_SUPPORT_CATCH_EXCEPTIONS_H_
#define FLASHCP_SUPPORT_CATCH_EXCEPTIONS_H_

#include <exception>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace flashcp {

// Returns the result of `function`, a Status or a StatusOr, or kInternal with the exception that
// `who` threw; kResourceExhausted when it found no memory.
template <typename Function>
auto CatchExceptions(absl::string_view who, const Function& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(who, ": out of memory"));
  } catch (const std::exception& thrown) {
    return absl::InternalError(absl::StrCat(who, " threw ", thrown.what()));
  } catch (...) {
    return absl::InternalError(absl::StrCat(who, " threw what is no std::exception"));
  }
}

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_CATCH_EXCEPTIONS_H_
