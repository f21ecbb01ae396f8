// Registration of the cp dialect: its ops, types, attributes and enums.

#include "dialects/cp/CP.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace flashcp::cp;

#include "dialects/cp/CPDialect.cpp.inc"

#include "dialects/cp/CPEnums.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/cp/CPTypes.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/cp/CPAttributes.cpp.inc"

void CPDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/cp/CPOps.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/cp/CPTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/cp/CPAttributes.cpp.inc"
      >();
}
