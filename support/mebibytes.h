// Amounts of memory as text in MiB, the unit of all tables, messages and flags.

#ifndef FLASHCP_SUPPORT_MEBIBYTES_H_
#define FLASHCP_SUPPORT_MEBIBYTES_H_

#include <cstdint>
#include <string>

namespace flashcp {

// Returns "1.43".
std::string FormatMib(double bytes);
// Returns "1.43 MiB".
std::string FormatBytes(uint64_t bytes);

}  // namespace flashcp

#endif  // FLASHCP_SUPPORT_MEBIBYTES_H_
