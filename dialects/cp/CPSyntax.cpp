// Parsing and printing of the dense attributes of cp ops, built from three
// pieces: a number, a half-open range, and a braced list of entries.

#include "dialects/cp/CPSyntax.h"

using namespace mlir;

namespace flashcp::cp {
namespace {

using Numbers = SmallVector<int64_t>;

/// Parses one number and appends it.
ParseResult parseNumber(AsmParser &parser, Numbers &numbers) {
  return parser.parseInteger(numbers.emplace_back());
}

/// Parses `[begin, end)` and appends both.
ParseResult parseRange(AsmParser &parser, Numbers &numbers) {
  return failure(parser.parseLSquare() || parseNumber(parser, numbers) ||
                 parser.parseComma() || parseNumber(parser, numbers) ||
                 parser.parseRParen());
}

void printRange(AsmPrinter &printer, ArrayRef<int64_t> range) {
  printer << '[' << range[0] << ", " << range[1] << ')';
}

/// Parses `{entry, entry, ...}`, each entry by `parseEntry`.
ParseResult parseEntries(AsmParser &parser,
                         function_ref<ParseResult()> parseEntry) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Braces,
                                        parseEntry);
}

/// Prints `numbers` as a braced list of entries of `size` numbers each.
void printEntries(AsmPrinter &printer, ArrayRef<int64_t> numbers, size_t size,
                  function_ref<void(ArrayRef<int64_t>)> printEntry) {
  printer << '{';
  for (size_t i = 0; i + size <= numbers.size(); i += size) {
    if (i)
      printer << ", ";
    printEntry(numbers.slice(i, size));
  }
  printer << '}';
}

} // namespace

ParseResult parseHalfOpen(OpAsmParser &parser, IntegerAttr &begin,
                          IntegerAttr &end) {
  Numbers range;
  if (parseRange(parser, range))
    return failure();
  begin = parser.getBuilder().getI64IntegerAttr(range[0]);
  end = parser.getBuilder().getI64IntegerAttr(range[1]);
  return success();
}

void printHalfOpen(OpAsmPrinter &printer, Operation *, IntegerAttr begin,
                   IntegerAttr end) {
  printRange(printer, {begin.getInt(), end.getInt()});
}

ParseResult parseMask(OpAsmParser &parser, MaskAttr &mask) {
  StringRef keyword;
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  std::optional<MaskKind> kind = symbolizeMaskKind(keyword);
  if (!kind)
    return parser.emitError(location) << "unknown mask '" << keyword << "'";
  int64_t window = 0;
  if (*kind == MaskKind::window &&
      (parser.parseLess() || parser.parseInteger(window) ||
       parser.parseGreater()))
    return failure();
  mask = MaskAttr::get(parser.getContext(), *kind, window);
  return success();
}

void printMask(OpAsmPrinter &printer, Operation *, MaskAttr mask) {
  printer << stringifyMaskKind(mask.getKind());
  if (mask.getKind() == MaskKind::window)
    printer << '<' << mask.getWindow() << '>';
}

ParseResult parseOwnedRanges(OpAsmParser &parser, DenseI64ArrayAttr &bounds,
                             DenseI32ArrayAttr &owners) {
  SmallVector<int64_t> boundValues;
  SmallVector<int32_t> ownerValues;
  auto parseEntry = [&]() -> ParseResult {
    Numbers range;
    SMLoc location = parser.getCurrentLocation();
    if (parseRange(parser, range) || parser.parseKeyword("on") ||
        parser.parseInteger(ownerValues.emplace_back()))
      return failure();
    if (boundValues.empty())
      boundValues.push_back(range[0]);
    else if (boundValues.back() != range[0])
      return parser.emitError(location)
             << "range must begin where the one before ends, at "
             << boundValues.back() << ", found " << range[0];
    boundValues.push_back(range[1]);
    return success();
  };
  if (parseEntries(parser, parseEntry))
    return failure();
  if (boundValues.empty())
    boundValues.push_back(0);
  bounds = parser.getBuilder().getDenseI64ArrayAttr(boundValues);
  owners = parser.getBuilder().getDenseI32ArrayAttr(ownerValues);
  return success();
}

void printOwnedRanges(OpAsmPrinter &printer, Operation *,
                      DenseI64ArrayAttr bounds, DenseI32ArrayAttr owners) {
  printer << '{';
  for (auto [i, owner] : llvm::enumerate(owners.asArrayRef())) {
    if (i)
      printer << ", ";
    printRange(printer, bounds.asArrayRef().slice(i, 2));
    printer << " on " << owner;
  }
  printer << '}';
}

ParseResult parseRankTiles(OpAsmParser &parser, DenseI64ArrayAttr &tiles) {
  Numbers numbers;
  auto parseEntry = [&]() -> ParseResult {
    return failure(parser.parseKeyword("q") || parseRange(parser, numbers) ||
                   parser.parseKeyword("kv") || parseRange(parser, numbers) ||
                   parser.parseKeyword("on") || parseNumber(parser, numbers));
  };
  if (parseEntries(parser, parseEntry))
    return failure();
  tiles = parser.getBuilder().getDenseI64ArrayAttr(numbers);
  return success();
}

void printRankTiles(OpAsmPrinter &printer, Operation *,
                    DenseI64ArrayAttr tiles) {
  printEntries(printer, tiles, kRankTileSize, [&](ArrayRef<int64_t> tile) {
    printer << "q";
    printRange(printer, tile.take_front(2));
    printer << " kv";
    printRange(printer, tile.slice(2, 2));
    printer << " on " << tile[4];
  });
}

ParseResult parseReceivedRanges(OpAsmParser &parser,
                                DenseI64ArrayAttr &ranges) {
  Numbers numbers;
  auto parseEntry = [&]() -> ParseResult {
    if (parseRange(parser, numbers) || parser.parseKeyword("to") ||
        parseNumber(parser, numbers))
      return failure();
    if (succeeded(parser.parseOptionalKeyword("via")))
      return parseNumber(parser, numbers);
    numbers.push_back(kNoRelay);
    return success();
  };
  if (parseEntries(parser, parseEntry))
    return failure();
  ranges = parser.getBuilder().getDenseI64ArrayAttr(numbers);
  return success();
}

void printReceivedRanges(OpAsmPrinter &printer, Operation *,
                         DenseI64ArrayAttr ranges) {
  printEntries(printer, ranges, kReceivedSize, [&](ArrayRef<int64_t> range) {
    printRange(printer, range.take_front(2));
    printer << " to " << range[2];
    if (range[3] != kNoRelay)
      printer << " via " << range[3];
  });
}

ParseResult parseTokenRanges(OpAsmParser &parser, DenseI64ArrayAttr &ranges) {
  Numbers numbers;
  auto parseEntry = [&]() -> ParseResult {
    return failure(parseNumber(parser, numbers) || parser.parseColon() ||
                   parseRange(parser, numbers));
  };
  if (parseEntries(parser, parseEntry))
    return failure();
  ranges = parser.getBuilder().getDenseI64ArrayAttr(numbers);
  return success();
}

void printTokenRanges(OpAsmPrinter &printer, Operation *,
                      DenseI64ArrayAttr ranges) {
  printEntries(printer, ranges, kTokenRangeSize, [&](ArrayRef<int64_t> range) {
    printer << range[0] << " : ";
    printRange(printer, range.drop_front());
  });
}

ParseResult parseForwardedRanges(OpAsmParser &parser,
                                 DenseI64ArrayAttr &ranges) {
  Numbers numbers;
  auto parseEntry = [&]() -> ParseResult {
    return failure(parseNumber(parser, numbers) || parser.parseColon() ||
                   parseRange(parser, numbers) || parser.parseKeyword("from") ||
                   parseNumber(parser, numbers));
  };
  if (parseEntries(parser, parseEntry))
    return failure();
  ranges = parser.getBuilder().getDenseI64ArrayAttr(numbers);
  return success();
}

void printForwardedRanges(OpAsmPrinter &printer, Operation *,
                          DenseI64ArrayAttr ranges) {
  printEntries(printer, ranges, kForwardedSize, [&](ArrayRef<int64_t> range) {
    printer << range[0] << " : ";
    printRange(printer, range.slice(1, 2));
    printer << " from " << range[3];
  });
}

ParseResult parseStageTiles(OpAsmParser &parser, DenseI64ArrayAttr &tiles) {
  Numbers numbers;
  auto parseEntry = [&]() -> ParseResult {
    return failure(parseNumber(parser, numbers) || parser.parseColon() ||
                   parser.parseKeyword("q") || parseRange(parser, numbers) ||
                   parser.parseKeyword("kv") || parseRange(parser, numbers) ||
                   parser.parseKeyword("heads") || parseRange(parser, numbers));
  };
  if (parseEntries(parser, parseEntry))
    return failure();
  tiles = parser.getBuilder().getDenseI64ArrayAttr(numbers);
  return success();
}

void printStageTiles(OpAsmPrinter &printer, Operation *,
                     DenseI64ArrayAttr tiles) {
  printEntries(printer, tiles, kStageTileSize, [&](ArrayRef<int64_t> tile) {
    printer << tile[0] << " : q";
    printRange(printer, tile.slice(1, 2));
    printer << " kv";
    printRange(printer, tile.slice(3, 2));
    printer << " heads";
    printRange(printer, tile.slice(5, 2));
  });
}

} // namespace flashcp::cp
