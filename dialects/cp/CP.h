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

#include "dialects/cp/CPEntries.h"
#include "model/mask.h"

namespace flashcp::model {

/// Hashes a mask: MLIR keeps each value of an attribute once.
inline llvm::hash_code hash_value(const Mask &mask) {
  return llvm::hash_combine(mask.band().lower, mask.band().upper);
}

} // namespace flashcp::model

#include "dialects/cp/CPDialect.h.inc"

#include "dialects/cp/CPEnums.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/cp/CPTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/cp/CPAttributes.h.inc"

namespace flashcp::cp {

/// A name of model/mask.h, `window<1024>`: custom<Mask> of CPOps.td.
mlir::ParseResult parseMask(mlir::AsmParser &parser, MaskAttr &mask);
void printMask(mlir::AsmPrinter &printer, mlir::Operation *op, MaskAttr mask);

/// Limits of what a batch may ask for: an hour, and 16 TiB.
inline constexpr int64_t kMaxTimeBudgetMs = 3'600'000;
inline constexpr int64_t kMaxMemoryBytes = int64_t(1) << 44;

/// Copies of a buffer among which rounds of head groups alternate: one arrives,
/// one is in use, one leaves.
inline constexpr int64_t kMaxPlaces = 3;

} // namespace flashcp::cp

#define GET_OP_CLASSES
#include "dialects/cp/CPOps.h.inc"

#endif // FLASHCP_DIALECTS_CP_CP_H
