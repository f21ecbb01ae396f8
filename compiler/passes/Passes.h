// The passes of the compiler, as TableGen declares them.

#ifndef FLASHCP_COMPILER_PASSES_PASSES_H
#define FLASHCP_COMPILER_PASSES_PASSES_H

#include "dialects/cp/CP.h"
#include "mlir/Pass/Pass.h"

namespace flashcp {

#define GEN_PASS_DECL
#include "compiler/passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/passes/Passes.h.inc"

} // namespace flashcp

#endif // FLASHCP_COMPILER_PASSES_PASSES_H
