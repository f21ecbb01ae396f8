// A document of a batch: tokens that attend to each other only, and what its mask says of them.

#ifndef FLASHCP_MODEL_DOCUMENT_H_
#define FLASHCP_MODEL_DOCUMENT_H_

#include <cstdint>

#include "model/band.h"
#include "model/mask.h"

namespace flashcp::model {

struct Document {
  int64_t length = 0;  // tokens; 0 is allowed
  Mask mask;
};

// (query, key) pairs that the mask allows among queries [begin, end).
inline int64_t CountPairs(const Document& document, int64_t begin, int64_t end) {
  return CountPairs(document.mask.band(), {begin, end}, {0, document.length});
}

// Keys that queries [begin, end) see; empty for no query.
inline TokenRange KeysNeeded(const Document& document, int64_t begin, int64_t end) {
  return KeysSeen(document.mask.band(), {begin, end}, document.length);
}

// Queries that see one of the keys [begin, end) at least; empty for no key.
inline TokenRange QueriesThatSee(const Document& document, int64_t begin, int64_t end) {
  return KeysSeen(Reversed(document.mask.band()), {begin, end}, document.length);
}

// True if the lower limit hides no key of the document.
inline bool SeesBackToStart(const Document& document) {
  return document.mask.band().lower <= 1 - document.length;
}

// True if the upper limit hides no key of the document.
inline bool SeesOnToEnd(const Document& document) {
  return document.mask.band().upper >= document.length - 1;
}

}  // namespace flashcp::model

#endif  // FLASHCP_MODEL_DOCUMENT_H_
