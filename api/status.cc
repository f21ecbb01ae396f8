// The last error of each thread, and the names of codes.

#include "api/status.h"

#include <cstdint>
#include <string>

namespace {

thread_local std::string last_text;
thread_local const char* last_error = "";

}  // namespace

extern "C" {

uint32_t flashcp_version(void) { return FLASHCP_VERSION; }

const char* flashcp_status_name(flashcp_status status) {
  switch (status) {
    case FLASHCP_OK:
      return "OK";
    case FLASHCP_CANCELLED:
      return "CANCELLED";
    case FLASHCP_UNKNOWN:
      return "UNKNOWN";
    case FLASHCP_INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case FLASHCP_DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case FLASHCP_NOT_FOUND:
      return "NOT_FOUND";
    case FLASHCP_RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case FLASHCP_FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case FLASHCP_ABORTED:
      return "ABORTED";
    case FLASHCP_UNIMPLEMENTED:
      return "UNIMPLEMENTED";
    case FLASHCP_INTERNAL:
      return "INTERNAL";
    case FLASHCP_UNAVAILABLE:
      return "UNAVAILABLE";
  }
  return "UNKNOWN";
}

const char* flashcp_last_error(void) { return last_error; }

flashcp_status flashcp_internal_fail(int code, const char* text, size_t size) noexcept {
  try {
    last_text.assign(text, size);
    last_error = last_text.c_str();
  } catch (...) {
    last_error = "out of memory for the text of an error";
  }
  return static_cast<flashcp_status>(code);
}

}  // extern "C"
