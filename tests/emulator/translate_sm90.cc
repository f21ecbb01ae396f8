// What sm_90 added.

#include "tests/emulator/translate.h"

namespace flashcp::emulator {

void AddSm90(TranslateTable*) {}

}  // namespace flashcp::emulator
