// Each compilation has a compiler of its own: nothing is shared between threads or kept across
// fork(), and what MLIR uniques for one batch goes with it.

#include "api/compile.h"

#include <memory>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "api/request.h"
#include "api/status.h"
#include "compiler/compile.h"
#include "runtime/plan/plan.h"
#include "support/status_macros.h"

namespace flashcp::capi {
namespace {

// Has LLVM, which would end the process, throw where it finds no memory.
void ThrowOutOfMemory() {
  static const bool once = [] {
    Compiler::HandleOutOfMemory([] { throw std::bad_alloc(); });
    return true;
  }();
  (void)once;
}

absl::StatusOr<Plan> CompilePlan(const CompileRequest& request) {
  ThrowOutOfMemory();
  auto compiler = std::make_unique<Compiler>();
  try {
    return compiler->Compile(request);
  } catch (...) {
    compiler.release();  // it was left in the middle of something: lost rather than destroyed
    throw;
  }
}

}  // namespace

absl::StatusOr<flashcp_plan*> Compile(const CompileRequest& request) {
  ASSIGN_OR_RETURN(const Plan plan, CompilePlan(request));
  const absl::string_view bytes = plan.bytes();
  flashcp_plan* handle = nullptr;
  const flashcp_status code = flashcp_plan_from_bytes(bytes.data(), bytes.size(), &handle);
  if (code == FLASHCP_OK) return handle;
  return absl::Status(static_cast<absl::StatusCode>(code), flashcp_last_error());
}

}  // namespace flashcp::capi

extern "C" flashcp_status flashcp_compile(const flashcp_request* request, flashcp_plan** plan) {
  flashcp::capi::Clear(plan);
  return flashcp::capi::Guarded(
      __func__, {{"request", request}, {"plan", plan}}, [&]() -> absl::Status {
        ASSIGN_OR_RETURN(const flashcp::CompileRequest read, flashcp::capi::ReadRequest(*request));
        ASSIGN_OR_RETURN(*plan, flashcp::capi::Compile(read));
        return absl::OkStatus();
      });
}
