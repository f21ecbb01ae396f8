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

}  // namespace flashcp::model

#endif  // FLASHCP_MODEL_DOCUMENT_H_
