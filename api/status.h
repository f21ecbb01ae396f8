// The way of a result out of the library: exceptions become statuses, statuses become codes, and
// the text of a failure waits for the thread that asks for it.

#ifndef FLASHCP_API_STATUS_H_
#define FLASHCP_API_STATUS_H_

#include <cstddef>
#include <initializer_list>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "api/flashcp.h"
#include "support/catch_exceptions.h"

// Keeps the text of the calling thread's failure and returns `code`. Libraries beside libflashcp.so
// report by it, so that a thread has one last error; it belongs to no interface.
extern "C" FLASHCP_API flashcp_status flashcp_internal_fail(int code, const char* text,
                                                            size_t size) noexcept;

namespace flashcp::capi {

inline flashcp_status Report(const absl::Status& status) {
  if (status.ok()) return FLASHCP_OK;
  return flashcp_internal_fail(static_cast<int>(status.code()), status.message().data(),
                               status.message().size());
}

// Pointers that a function cannot do without, by the names of its parameters.
using Required = std::initializer_list<std::pair<const char*, const void*>>;

// Returns the code of what `function`, called in the name of `who`, returns or throws; if a
// required pointer is null, INVALID_ARGUMENT with its name instead.
template <typename Function>
flashcp_status Guarded(const char* who, Required required, const Function& function) noexcept {
  constexpr absl::string_view kNoMemory = "out of memory";
  try {
    for (const auto& [name, pointer] : required) {
      if (pointer != nullptr) continue;
      return Report(absl::InvalidArgumentError(absl::StrCat(who, ": ", name, " is null")));
    }
    return Report(CatchExceptions(who, function));
  } catch (...) {  // no memory for the text either
    return flashcp_internal_fail(FLASHCP_RESOURCE_EXHAUSTED, kNoMemory.data(), kNoMemory.size());
  }
}

// Empties what a function makes, until it has made it.
template <typename T>
void Clear(T* result) {
  if (result != nullptr) *result = {};
}

}  // namespace flashcp::capi

#endif  // FLASHCP_API_STATUS_H_
