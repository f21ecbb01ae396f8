// The cp dialect: everything a pass or a tool needs to build and read it.

#ifndef FLASHCP_DIALECTS_CP_CP_H
#define FLASHCP_DIALECTS_CP_CP_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"

#include "dialects/cp/CPDialect.h.inc"

#include "dialects/cp/CPEnums.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/cp/CPTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/cp/CPAttributes.h.inc"

#define GET_OP_CLASSES
#include "dialects/cp/CPOps.h.inc"

namespace flashcp::cp {

/// Numbers per entry of the dense attributes.
inline constexpr size_t kRankTileSize = 5; // cp.tiles: q0 q1 k0 k1 rank
inline constexpr size_t kReceivedSize = 4; // cp.transfer: begin end rank via
inline constexpr size_t kForwardedSize =
    4; // cp.relay: document begin end relay
inline constexpr size_t kTokenRangeSize = 3; // layouts: document begin end
inline constexpr size_t kStageTileSize =
    7; // cp.attend: document q0 q1 k0 k1 h0 h1

/// What stands for a relay where rows come from their owner.
inline constexpr int64_t kNoRelay = -1;

/// Largest number of tokens of a document: positions of a plan are 32-bit.
inline constexpr int64_t kMaxDocumentLength = int64_t(1) << 31;

/// Limits of the budgets of a batch: an hour, and 16 TiB.
inline constexpr int64_t kMaxTimeBudgetMs = 3'600'000;
inline constexpr int64_t kMaxMemoryBudgetBytes = int64_t(1) << 44;

} // namespace flashcp::cp

#endif // FLASHCP_DIALECTS_CP_CP_H
