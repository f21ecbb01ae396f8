// What starts bulk copies: the operands are checked, the copy is handed to the engine.

#ifndef FLASHCP_TESTS_EMULATOR_TMA_OPERATIONS_H_
#define FLASHCP_TESTS_EMULATOR_TMA_OPERATIONS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "tests/emulator/bulk_copies.h"

namespace flashcp::emulator {

struct Thread;

// Addresses of a copy: the mbarrier is that of loads.
struct BulkAddresses {
  uint64_t shared = 0;
  uint64_t global = 0;  // Of a tile: its tensor map.
  uint64_t mbarrier = 0;
};

// cp.async.bulk.tensor and cp.reduce.async.bulk.tensor.add.
void StartTile(Thread& thread, BulkCopy::Kind kind, const BulkAddresses& addresses,
               absl::Span<const int32_t> coordinates);

// cp.async.bulk and cp.reduce.async.bulk.add.f32.
void StartBytes(Thread& thread, BulkCopy::Kind kind, const BulkAddresses& addresses,
                uint32_t bytes);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_TMA_OPERATIONS_H_
