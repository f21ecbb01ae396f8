// A request of C as one of the compiler.

#ifndef FLASHCP_API_REQUEST_H_
#define FLASHCP_API_REQUEST_H_

#include "absl/status/statusor.h"
#include "api/flashcp.h"
#include "compiler/input/request.h"

namespace flashcp::capi {

// Reads a request. InvalidArgument, naming the option or document, what was found and what is
// allowed.
absl::StatusOr<CompileRequest> ReadRequest(const flashcp_request& request);

}  // namespace flashcp::capi

#endif  // FLASHCP_API_REQUEST_H_
