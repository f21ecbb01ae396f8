// The custom<> directives of CPOps.td: how dense attributes read and print as
// ranges and tiles.

#ifndef FLASHCP_DIALECTS_CP_CPSYNTAX_H
#define FLASHCP_DIALECTS_CP_CPSYNTAX_H

#include "dialects/cp/CP.h"

namespace flashcp::cp {

/// `[a, b)`
mlir::ParseResult parseHalfOpen(mlir::OpAsmParser &parser,
                                mlir::IntegerAttr &begin,
                                mlir::IntegerAttr &end);
void printHalfOpen(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                   mlir::IntegerAttr begin, mlir::IntegerAttr end);

/// `causal`, `full`, `window<1024>`
mlir::ParseResult parseMask(mlir::OpAsmParser &parser, MaskAttr &mask);
void printMask(mlir::OpAsmPrinter &printer, mlir::Operation *op, MaskAttr mask);

/// `{[0, 8) on 1, [8, 20) on 0}`
mlir::ParseResult parseOwnedRanges(mlir::OpAsmParser &parser,
                                   mlir::DenseI64ArrayAttr &bounds,
                                   mlir::DenseI32ArrayAttr &owners);
void printOwnedRanges(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                      mlir::DenseI64ArrayAttr bounds,
                      mlir::DenseI32ArrayAttr owners);

/// `{q[0, 8) kv[0, 8) on 1}`
mlir::ParseResult parseRankTiles(mlir::OpAsmParser &parser,
                                 mlir::DenseI64ArrayAttr &tiles);
void printRankTiles(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                    mlir::DenseI64ArrayAttr tiles);

/// `{[0, 8) to 1, [0, 8) to 2 via 1}`
mlir::ParseResult parseReceivedRanges(mlir::OpAsmParser &parser,
                                      mlir::DenseI64ArrayAttr &ranges);
void printReceivedRanges(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                         mlir::DenseI64ArrayAttr ranges);

/// `{0 : [0, 8), 3 : [5, 9)}`
mlir::ParseResult parseTokenRanges(mlir::OpAsmParser &parser,
                                   mlir::DenseI64ArrayAttr &ranges);
void printTokenRanges(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                      mlir::DenseI64ArrayAttr ranges);

/// `{0 : [0, 8) from 1}`
mlir::ParseResult parseForwardedRanges(mlir::OpAsmParser &parser,
                                       mlir::DenseI64ArrayAttr &ranges);
void printForwardedRanges(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                          mlir::DenseI64ArrayAttr ranges);

/// `{0 : q[0, 8) kv[0, 8) heads[0, 32)}`
mlir::ParseResult parseStageTiles(mlir::OpAsmParser &parser,
                                  mlir::DenseI64ArrayAttr &tiles);
void printStageTiles(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                     mlir::DenseI64ArrayAttr tiles);

} // namespace flashcp::cp

#endif // FLASHCP_DIALECTS_CP_CPSYNTAX_H
