// The functions that translated code calls, by the names under which the JIT finds them.

#ifndef FLASHCP_TESTS_EMULATOR_RUNTIME_CALLS_H_
#define FLASHCP_TESTS_EMULATOR_RUNTIME_CALLS_H_

#include <utility>
#include <vector>

namespace flashcp::emulator {

// void (thread, address, access site): checks an access before translated code does it.
inline constexpr char kAccessCall[] = "flashcp_emulator_access";
// void (thread, site, arguments, results): executes an instruction.
inline constexpr char kSiteCall[] = "flashcp_emulator_site";
// void (thread, site): lets others run; the thread may be in a loop that waits for them.
inline constexpr char kPollCall[] = "flashcp_emulator_poll";
// f32 (i16), and back from f32 or f64, rounded to nearest even.
inline constexpr char kHalfToFloatCall[] = "flashcp_emulator_f16_to_f32";
inline constexpr char kFloatToHalfCall[] = "flashcp_emulator_f32_to_f16";
inline constexpr char kDoubleToHalfCall[] = "flashcp_emulator_f64_to_f16";
inline constexpr char kDoubleToBfloatCall[] = "flashcp_emulator_f64_to_bf16";

// Names and addresses.
std::vector<std::pair<const char*, void*>> RuntimeCalls();

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_RUNTIME_CALLS_H_
