// The place of a token or an element of a batch, in words for messages to a person.

#ifndef FLASHCP_SESSION_PLACE_H_
#define FLASHCP_SESSION_PLACE_H_

#include <cstdint>
#include <string>

#include "runtime/plan/plan.h"

namespace flashcp::session {

struct Place {
  int document;
  int64_t position;  // in the document
  int rank;          // owns the token
};

// Returns the place of a token in global order, below TotalTokens. The plan has passed VerifyPlan.
Place PlaceOf(const Plan& plan, int64_t token);

// Returns "document 3, position 17 (token 1234), head 2, element 5" for an element of a tensor
// [tokens, heads, dim] in global order. A tensor [tokens, heads] has dim 0 and no element.
std::string ElementText(const Plan& plan, int64_t index, int64_t heads, int64_t dim);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_PLACE_H_
