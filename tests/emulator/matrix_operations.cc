// A row of a matrix is 16 bytes, at an address that must be a multiple of that.

#include "tests/emulator/matrix_operations.h"

#include <array>

#include "absl/types/span.h"
#include "tests/emulator/race_tracker.h"

namespace flashcp::emulator {
namespace {

constexpr int kRowBytes = 16;
constexpr int kMostRows = 32;

bool HasWholeWarp(const Meeting& meeting) {
  if (meeting.mask == ~0u) return true;
  meeting.engine.FailMeeting(meeting, __builtin_ctz(meeting.mask),
                             "all 32 lanes of the warp must execute it");
  return false;
}

// Finds the rows that lanes 0 to 8 * matrices - 1 address, and access; false after an error.
bool FindRows(int matrices, AccessKind kind, const Meeting& meeting,
              std::array<std::byte*, kMostRows>* rows) {
  if (!HasWholeWarp(meeting)) return false;
  for (int lane = 0; lane < 8 * matrices; ++lane) {
    const uint64_t address = meeting.argument(lane, 0);
    (*rows)[lane] = meeting.engine.Shared(meeting, lane, address, kRowBytes, kRowBytes);
    if ((*rows)[lane] == nullptr) return false;
    if (RaceTracker* const races = meeting.engine.races()) {
      races->Access(meeting.thread(lane), *meeting.site.instruction, address, kRowBytes, kind);
    }
  }
  return true;
}

}  // namespace

void LoadMatrix(int matrices, bool transposed, const Meeting& meeting) {
  std::array<std::byte*, kMostRows> rows;
  if (!FindRows(matrices, AccessKind::kRead, meeting, &rows)) return;
  std::array<WarpRegister, 4> registers;
  LoadMatrices(absl::MakeConstSpan(rows.data(), 8 * matrices), transposed,
               absl::MakeSpan(registers.data(), matrices));
  for (int i = 0; i < matrices; ++i) meeting.Scatter(i, registers[i]);
}

void StoreMatrix(int matrices, bool transposed, const Meeting& meeting) {
  std::array<std::byte*, kMostRows> rows;
  if (!FindRows(matrices, AccessKind::kWrite, meeting, &rows)) return;
  std::array<WarpRegister, 4> registers;
  for (int i = 0; i < matrices; ++i) registers[i] = meeting.Gather(1 + i);
  StoreMatrices(absl::MakeConstSpan(registers.data(), matrices), transposed,
                absl::MakeConstSpan(rows.data(), 8 * matrices));
}

void MultiplyAccumulate(const MmaShape& shape, const Meeting& meeting) {
  if (!HasWholeWarp(meeting)) return;
  const int num_a = shape.a_registers();
  const int num_b = shape.b_registers();
  std::array<WarpRegister, 10> registers;
  const int inputs = num_a + num_b + kMmaAccumulators;
  for (int i = 0; i < inputs; ++i) registers[i] = meeting.Gather(i);
  WarpRegister* const c = registers.data() + num_a + num_b;
  MultiplyWarp(shape, absl::MakeConstSpan(registers.data(), num_a),
               absl::MakeConstSpan(registers.data() + num_a, num_b),
               absl::MakeConstSpan(c, kMmaAccumulators), absl::MakeSpan(c, kMmaAccumulators));
  for (int i = 0; i < kMmaAccumulators; ++i) meeting.Scatter(i, c[i]);
}

}  // namespace flashcp::emulator
