// The policy by which K/V reach the ranks that need them.

#ifndef FLASHCP_MODEL_EXCHANGE_H_
#define FLASHCP_MODEL_EXCHANGE_H_

#include <cstdint>

namespace flashcp::model {

enum class Exchange : uint8_t {
  kNeeded,     // a row goes to a rank once, and only if a query there sees it
  kAllGather,  // every row goes to every rank
};

// Their names on command lines and in reports, by number.
inline constexpr const char* kExchangeNames[] = {"needed", "all-gather"};

inline const char* NameOf(Exchange exchange) { return kExchangeNames[static_cast<int>(exchange)]; }

}  // namespace flashcp::model

#endif  // FLASHCP_MODEL_EXCHANGE_H_
