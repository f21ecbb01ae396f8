// From translated code into the engine: these run on the fiber of a thread.

#include "tests/emulator/runtime_calls.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tests/emulator/engine.h"

namespace flashcp::emulator {
namespace {

void Access(Thread* thread, uint64_t address, const AccessSite* site) {
  thread->engine->Check(*thread, address, *site);
}

void CallSite(Thread* thread, const Site* site, const uint64_t* arguments, uint64_t* results) {
  thread->site = site;
  thread->arguments = arguments;
  thread->results = results;
  if (site->lane) {
    site->lane(*thread, arguments, results);
    thread->engine->StopIfFailed(*thread);
  } else {
    thread->engine->MeetWarp(*thread);
  }
}

void Poll(Thread* thread, const Site* site) {
  thread->site = site;
  thread->engine->Poll(*thread);
}

float HalfToFloat(uint16_t bits) {
  _Float16 half;
  std::memcpy(&half, &bits, sizeof(half));
  return half;
}

template <typename T>
uint16_t ToHalf(T value) {
  const _Float16 half = static_cast<_Float16>(value);
  uint16_t bits;
  std::memcpy(&bits, &half, sizeof(bits));
  return bits;
}

// Rounds once: to f32 towards zero, with a sticky last bit, then to nearest even.
uint16_t DoubleToBfloat(double value) {
  float near = static_cast<float>(value);
  if (std::abs(static_cast<double>(near)) > std::abs(value)) near = std::nextafter(near, 0.0f);
  uint32_t bits;
  std::memcpy(&bits, &near, sizeof(bits));
  if (static_cast<double>(near) != value) bits |= 1;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

}  // namespace

std::vector<std::pair<const char*, void*>> RuntimeCalls() {
  return {
      {kAccessCall, reinterpret_cast<void*>(Access)},
      {kSiteCall, reinterpret_cast<void*>(CallSite)},
      {kPollCall, reinterpret_cast<void*>(Poll)},
      {kHalfToFloatCall, reinterpret_cast<void*>(HalfToFloat)},
      {kFloatToHalfCall, reinterpret_cast<void*>(ToHalf<float>)},
      {kDoubleToHalfCall, reinterpret_cast<void*>(ToHalf<double>)},
      {kDoubleToBfloatCall, reinterpret_cast<void*>(DoubleToBfloat)},
  };
}

}  // namespace flashcp::emulator
