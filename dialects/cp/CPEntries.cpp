// Text and constraints of the entries of dense attributes. The text of an entry
// is written once, as a walk over its fields that a reader and a writer take.

#include "dialects/cp/CPEntries.h"

#include "dialects/cp/CP.h"

using namespace mlir;

namespace flashcp::cp {
namespace {

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

/// Reads the fields of an entry.
class Reader {
public:
  explicit Reader(AsmParser &parser) : parser(parser) {}

  bool word(StringRef text) { return succeeded(parser.parseKeyword(text)); }
  bool number(int64_t &value) { return succeeded(parser.parseInteger(value)); }
  bool document(int64_t &value) {
    return number(value) && succeeded(parser.parseColon());
  }
  bool range(int64_t &begin, int64_t &end) {
    return succeeded(parser.parseLSquare()) && number(begin) &&
           succeeded(parser.parseComma()) && number(end) &&
           succeeded(parser.parseRParen());
  }
  /// A word and a number that may both be missing.
  bool optionalNumber(StringRef text, int64_t &value) {
    return failed(parser.parseOptionalKeyword(text)) || number(value);
  }
  /// A word that may be missing.
  bool flag(StringRef text, int64_t &value) {
    value = succeeded(parser.parseOptionalKeyword(text));
    return true;
  }

private:
  AsmParser &parser;
};

/// Writes the fields of an entry.
class Writer {
public:
  explicit Writer(AsmPrinter &printer) : printer(printer) {}

  bool word(StringRef text) {
    separate() << text;
    afterWord = true;
    return true;
  }
  bool number(int64_t value) {
    separate() << value;
    return true;
  }
  bool document(int64_t value) {
    separate() << value << " :";
    return true;
  }
  bool range(int64_t begin, int64_t end) {
    (afterWord ? printer.getStream() : separate())
        << '[' << begin << ", " << end << ')';
    return true;
  }
  bool optionalNumber(StringRef text, int64_t value) {
    return value == kNoRelay || (word(text) && number(value));
  }
  bool flag(StringRef text, int64_t value) { return !value || word(text); }

private:
  /// Puts a space before all but the first field.
  raw_ostream &separate() {
    if (!std::exchange(first, false))
      printer << ' ';
    afterWord = false;
    return printer.getStream();
  }

  AsmPrinter &printer;
  bool first = true, afterWord = false;
};

template <typename Text> bool walk(Text &text, OwnedRange &r) {
  return text.range(r.begin, r.end) && text.word("on") && text.number(r.owner);
}

template <typename Text> bool walk(Text &text, RankTile &t) {
  return text.word("q") && text.range(t.queryBegin, t.queryEnd) &&
         text.word("kv") && text.range(t.keyBegin, t.keyEnd) &&
         text.word("on") && text.number(t.rank);
}

template <typename Text> bool walk(Text &text, MovedRange &r) {
  return text.range(r.begin, r.end) && text.word("to") &&
         text.number(r.receiver) && text.optionalNumber("via", r.relay);
}

template <typename Text> bool walk(Text &text, TokenRange &r) {
  return text.document(r.document) && text.range(r.begin, r.end);
}

template <typename Text> bool walk(Text &text, ReceivedRange &r) {
  return text.document(r.document) && text.range(r.begin, r.end) &&
         text.optionalNumber("from", r.relay) && text.flag("saved", r.saved);
}

template <typename Text> bool walk(Text &text, StageTile &t) {
  return text.document(t.document) && text.word("q") &&
         text.range(t.queryBegin, t.queryEnd) && text.word("kv") &&
         text.range(t.keyBegin, t.keyEnd) && text.word("heads") &&
         text.range(t.headBegin, t.headEnd);
}

//===----------------------------------------------------------------------===//
// Constraints
//===----------------------------------------------------------------------===//

/// C7, C9, C12, C15: [begin, end) is not empty and lies in the document.
LogicalResult verifyRange(const EntryScope &scope, StringRef constraint,
                          StringRef what, int64_t begin, int64_t end) {
  if (0 <= begin && begin < end && end <= scope.length)
    return success();
  return scope.op->emitOpError()
         << constraint << ": " << what
         << " range must not be empty and lie in [0, " << scope.length
         << "), found [" << begin << ", " << end << ")";
}

/// C8, C10, C12: a rank of the batch.
LogicalResult verifyRank(const EntryScope &scope, StringRef constraint,
                         int64_t rank) {
  if (0 <= rank && rank < scope.ranks)
    return success();
  return scope.op->emitOpError() << constraint << ": rank must lie in [0, "
                                 << scope.ranks << "), found " << rank;
}

/// C12, C30: a rank of the batch that sends received rows on to another one.
LogicalResult verifyRelay(const EntryScope &scope, StringRef constraint,
                          int64_t relay, int64_t receiver) {
  if (0 <= relay && relay < scope.ranks && relay != receiver)
    return success();
  return scope.op->emitOpError()
         << constraint << ": relay must lie in [0, " << scope.ranks
         << ") and not be the receiver, rank " << receiver << ", found "
         << relay;
}

/// C15: a document by number, and a range of its tokens.
LogicalResult verifyTokens(const EntryScope &scope, const TokenRange &range) {
  if (range.document < 0)
    return scope.op->emitOpError()
           << "C15: document number must not be negative, found "
           << range.document;
  return verifyRange(scope, "C15", "token", range.begin, range.end);
}

} // namespace

LogicalResult verifyQueryHeads(const EntryScope &scope, int64_t begin,
                               int64_t end) {
  if (begin == 0 && end == scope.queryHeads)
    return success(); // nearly always
  int64_t group = scope.queryHeads / scope.keyValueHeads;
  bool wholeGroups = begin % group == 0 && end % group == 0;
  bool insideOne = begin / group == (end - 1) / group;
  if (0 <= begin && begin < end && end <= scope.queryHeads &&
      (wholeGroups || insideOne))
    return success();
  return scope.op->emitOpError()
         << "C11: query heads must be whole groups of " << group
         << " or lie inside one, within [0, " << scope.queryHeads
         << "), found [" << begin << ", " << end << ")";
}

LogicalResult OwnedRange::verify(const EntryScope &scope) const {
  return failure(failed(verifyRange(scope, "C7", "owned", begin, end)) ||
                 failed(verifyRank(scope, "C8", owner)));
}

LogicalResult RankTile::verify(const EntryScope &scope) const {
  return failure(
      failed(verifyRange(scope, "C9", "query", queryBegin, queryEnd)) ||
      failed(verifyRange(scope, "C9", "key", keyBegin, keyEnd)) ||
      failed(verifyRank(scope, "C10", rank)));
}

LogicalResult MovedRange::verify(const EntryScope &scope) const {
  if (failed(verifyRange(scope, "C12", "token", begin, end)) ||
      failed(verifyRank(scope, "C12", receiver)))
    return failure();
  return relay == kNoRelay ? success()
                           : verifyRelay(scope, "C12", relay, receiver);
}

LogicalResult TokenRange::verify(const EntryScope &scope) const {
  return verifyTokens(scope, *this);
}

LogicalResult ReceivedRange::verify(const EntryScope &scope) const {
  if (failed(verifyTokens(scope, tokens())))
    return failure();
  return relay == kNoRelay ? success()
                           : verifyRelay(scope, "C30", relay, scope.receiver);
}

LogicalResult StageTile::verify(const EntryScope &scope) const {
  return failure(
      failed(verifyRange(scope, "C9", "query", queryBegin, queryEnd)) ||
      failed(verifyRange(scope, "C9", "key", keyBegin, keyEnd)) ||
      failed(verifyQueryHeads(scope, headBegin, headEnd)));
}

template <typename Entry>
ParseResult parseEntries(OpAsmParser &parser, DenseI64ArrayAttr &entries,
                         Entry) {
  SmallVector<Entry> parsed;
  Reader reader(parser);
  auto parseEntry = [&] {
    return success(walk(reader, parsed.emplace_back()));
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Braces, parseEntry))
    return failure();
  entries = attributeOf<Entry>(parser.getContext(), parsed);
  return success();
}

template <typename Entry>
void printEntries(OpAsmPrinter &printer, Operation *, DenseI64ArrayAttr entries,
                  Entry) {
  printer << '{';
  llvm::interleaveComma(entriesOf<Entry>(entries), printer, [&](Entry entry) {
    Writer writer(printer);
    walk(writer, entry);
  });
  printer << '}';
}

#define FLASHCP_ENTRY_TEXT(Entry)                                              \
  template ParseResult parseEntries(OpAsmParser &, DenseI64ArrayAttr &,        \
                                    Entry);                                    \
  template void printEntries(OpAsmPrinter &, Operation *, DenseI64ArrayAttr,   \
                             Entry)
FLASHCP_ENTRY_TEXT(OwnedRange);
FLASHCP_ENTRY_TEXT(RankTile);
FLASHCP_ENTRY_TEXT(MovedRange);
FLASHCP_ENTRY_TEXT(TokenRange);
FLASHCP_ENTRY_TEXT(ReceivedRange);
FLASHCP_ENTRY_TEXT(StageTile);
#undef FLASHCP_ENTRY_TEXT

ParseResult parseHalfOpen(OpAsmParser &parser, IntegerAttr &begin,
                          IntegerAttr &end) {
  int64_t first = 0, last = 0;
  if (!Reader(parser).range(first, last))
    return failure();
  begin = parser.getBuilder().getI64IntegerAttr(first);
  end = parser.getBuilder().getI64IntegerAttr(last);
  return success();
}

void printHalfOpen(OpAsmPrinter &printer, Operation *, IntegerAttr begin,
                   IntegerAttr end) {
  Writer(printer).range(begin.getInt(), end.getInt());
}

} // namespace flashcp::cp
