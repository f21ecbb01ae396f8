// One compilation, whose plan crosses to libflashcp.so as bytes.

#ifndef FLASHCP_API_COMPILE_H_
#define FLASHCP_API_COMPILE_H_

#include "absl/status/statusor.h"
#include "api/flashcp.h"
#include "compiler/input/request.h"

namespace flashcp::capi {

// Returns the plan of a request as a handle, which belongs to the caller. Any thread may call it.
absl::StatusOr<flashcp_plan*> Compile(const CompileRequest& request);

}  // namespace flashcp::capi

#endif  // FLASHCP_API_COMPILE_H_
