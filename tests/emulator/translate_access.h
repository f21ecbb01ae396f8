// What loads, stores, atomic operations and copies share: how their modifiers name a state space
// and a memory order.

#ifndef FLASHCP_TESTS_EMULATOR_TRANSLATE_ACCESS_H_
#define FLASHCP_TESTS_EMULATOR_TRANSLATE_ACCESS_H_

#include "tests/emulator/translate.h"

namespace flashcp::emulator {

// Takes ".shared::cta" and the like; kGeneric if there is none.
ptx::Space TakeSpace(Modifiers* modifiers);

// Takes ".acquire.gpu" and the like; kWeak if there is none.
AccessSite::Order TakeOrder(Modifiers* modifiers);

// Takes hints for caches, which change nothing.
void IgnoreCacheHints(Modifiers* modifiers);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_TRANSLATE_ACCESS_H_
