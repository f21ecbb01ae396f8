// Entries of the dialect's dense attributes: an attribute of numbers is read as
// an array of structs, and each struct knows its text and its constraints.

#ifndef FLASHCP_DIALECTS_CP_CPENTRIES_H
#define FLASHCP_DIALECTS_CP_CPENTRIES_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/OpImplementation.h"

#include "model/band.h"

namespace flashcp::cp {

/// Stands for a relay if rows come from their owner.
inline constexpr int64_t kNoRelay = -1;

/// What an entry is checked against.
struct EntryScope {
  mlir::Operation *op;                      // reports the error
  int64_t ranks, queryHeads, keyValueHeads; // of the batch
  // Of the document of the op, or model::kMaxTokens if entries name theirs.
  int64_t length = model::kMaxTokens;
  int64_t receiver = -1; // rank of the program that receives, if there is one
};

/// `[0, 1024) on 0`: token range of a document that a rank owns (cp.shard).
struct OwnedRange {
  int64_t begin, end, owner;

  mlir::LogicalResult verify(const EntryScope &scope) const; // C7, C8
};

/// `q[0, 1024) kv[0, 1024) on 0`: tile of a document (cp.tiles).
struct RankTile {
  int64_t queryBegin, queryEnd, keyBegin, keyEnd, rank;

  mlir::LogicalResult verify(const EntryScope &scope) const; // C9, C10
};

/// `[0, 1024) to 9 via 8`: token range of a document that moves (cp.transfer).
struct MovedRange {
  int64_t begin, end, receiver;
  int64_t relay = kNoRelay;

  mlir::LogicalResult verify(const EntryScope &scope) const; // C12
};

/// `0 : [0, 1024)`: token range of a document by number (layouts).
struct TokenRange {
  int64_t document, begin, end;

  bool operator==(const TokenRange &other) const {
    return document == other.document && begin == other.begin &&
           end == other.end;
  }
  int64_t size() const { return end - begin; }
  mlir::LogicalResult verify(const EntryScope &scope) const; // C15
};

/// `0 : [0, 1024) from 8 saved`: token range that an exchange brings, from the
/// owners or from a relay; `saved` is 1 if forward saves it for backward.
struct ReceivedRange {
  int64_t document, begin, end;
  int64_t relay = kNoRelay;
  int64_t saved = 0;

  bool operator==(const ReceivedRange &other) const {
    return tokens() == other.tokens() && relay == other.relay &&
           saved == other.saved;
  }
  int64_t size() const { return end - begin; }
  TokenRange tokens() const { return {document, begin, end}; }
  mlir::LogicalResult verify(const EntryScope &scope) const; // C15, C30
};

/// `0 : q[0, 1024) kv[0, 1024) heads[0, 32)`: tile of a program (cp.attend).
struct StageTile {
  int64_t document, queryBegin, queryEnd, keyBegin, keyEnd, headBegin, headEnd;

  mlir::LogicalResult verify(const EntryScope &scope) const; // C9, C11
};

/// C11: query heads are whole groups that share a key/value head, or lie inside
/// one such group.
mlir::LogicalResult verifyQueryHeads(const EntryScope &scope, int64_t begin,
                                     int64_t end);

//===----------------------------------------------------------------------===//
// Between attributes and entries
//===----------------------------------------------------------------------===//

/// Numbers of one entry.
template <typename Entry>
inline constexpr size_t kEntrySize = sizeof(Entry) / sizeof(int64_t);

/// Returns whether the attribute holds whole entries (C18).
template <typename Entry> bool holdsEntries(mlir::Attribute attribute) {
  auto numbers = llvm::dyn_cast<mlir::DenseI64ArrayAttr>(attribute);
  return numbers && numbers.size() % kEntrySize<Entry> == 0;
}

/// Returns the entries of an attribute, without a copy.
template <typename Entry>
llvm::ArrayRef<Entry> entriesOf(mlir::DenseI64ArrayAttr attribute) {
  static_assert(std::is_standard_layout_v<Entry> &&
                alignof(Entry) == alignof(int64_t));
  llvm::ArrayRef<int64_t> numbers = attribute;
  return {reinterpret_cast<const Entry *>(numbers.data()),
          numbers.size() / kEntrySize<Entry>};
}

/// Returns the attribute that holds the entries.
template <typename Entry>
mlir::DenseI64ArrayAttr attributeOf(mlir::MLIRContext *context,
                                    llvm::ArrayRef<Entry> entries) {
  return mlir::DenseI64ArrayAttr::get(
      context, {reinterpret_cast<const int64_t *>(entries.data()),
                entries.size() * kEntrySize<Entry>});
}

/// Verifies each entry.
template <typename Entry>
mlir::LogicalResult verifyEntries(llvm::ArrayRef<Entry> entries,
                                  const EntryScope &scope) {
  for (const Entry &entry : entries)
    if (mlir::failed(entry.verify(scope)))
      return mlir::failure();
  return mlir::success();
}

//===----------------------------------------------------------------------===//
// Text: the custom<> directives of CPOps.td
//===----------------------------------------------------------------------===//

/// `{entry, entry, ...}`; the last argument selects the kind of entry.
template <typename Entry>
mlir::ParseResult parseEntries(mlir::OpAsmParser &parser,
                               mlir::DenseI64ArrayAttr &entries, Entry);
template <typename Entry>
void printEntries(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                  mlir::DenseI64ArrayAttr entries, Entry);

/// Entries of an attribute in an optional group, which takes no kind of entry.
inline mlir::ParseResult parseOwners(mlir::OpAsmParser &parser,
                                     mlir::DenseI64ArrayAttr &owned) {
  return parseEntries(parser, owned, OwnedRange());
}
inline void printOwners(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                        mlir::DenseI64ArrayAttr owned) {
  printEntries(printer, op, owned, OwnedRange());
}

/// `[a, b)`
mlir::ParseResult parseHalfOpen(mlir::OpAsmParser &parser,
                                mlir::IntegerAttr &begin,
                                mlir::IntegerAttr &end);
void printHalfOpen(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                   mlir::IntegerAttr begin, mlir::IntegerAttr end);

} // namespace flashcp::cp

#endif // FLASHCP_DIALECTS_CP_CPENTRIES_H
