// Every chunk of a tile is checked against the allocations of global memory: a tensor map may reach
// beyond them.

#include "tests/emulator/tma_operations.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/emulator/engine.h"
#include "tests/emulator/race_tracker.h"
#include "tests/emulator/tensor_map.h"

namespace flashcp::emulator {
namespace {

constexpr size_t kMapBytes = 128;
constexpr size_t kMapAlignment = 64;
constexpr size_t kMbarrierBytes = 8;

BulkCopy NewCopy(Thread& thread, BulkCopy::Kind kind, const BulkAddresses& addresses,
                 uint32_t bytes) {
  BulkCopy copy;
  copy.kind = kind;
  copy.thread = &thread;
  copy.instruction = thread.site->instruction;
  copy.bytes = bytes;
  thread.engine->Shared(thread, addresses.shared, bytes, 1);
  if (kind == BulkCopy::Kind::kLoad) {
    copy.mbarrier = addresses.mbarrier;
    thread.engine->Shared(thread, copy.mbarrier, kMbarrierBytes, kMbarrierBytes);
  }
  return copy;
}

void Require(Thread& thread, const absl::Status& status) {
  if (!status.ok()) thread.engine->Fail(thread, status.message());
}

TensorMap MapAt(Thread& thread, uint64_t address) {
  const std::byte* const image = thread.engine->Global(thread, address, kMapBytes, kMapAlignment);
  const absl::StatusOr<TensorMap> map = DecodeTiled(image);
  Require(thread, map.status());
  return *map;
}

void TrackLoad(RaceTracker& races, BulkCopy* copy) {
  const Cta& cta = *copy->thread->cta;
  copy->actor = races.Fork(*copy->thread);
  for (const TileChunk& chunk : copy->chunks) {
    if (chunk.valid_bytes > 0) {
      races.Access(cta, copy->actor, *copy->instruction, reinterpret_cast<uintptr_t>(chunk.global),
                   chunk.valid_bytes, AccessKind::kRead, Proxy::kAsync);
    }
    races.Access(cta, copy->actor, *copy->instruction, chunk.shared, chunk.bytes,
                 AccessKind::kWrite, Proxy::kAsync);
  }
  races.Access(cta, copy->actor, *copy->instruction, copy->mbarrier, kMbarrierBytes,
               AccessKind::kAtomic, Proxy::kAsync);
}

// Reading and writing end at different waits, so that they are two operations.
void TrackStore(RaceTracker& races, BulkCopy* copy) {
  const Cta& cta = *copy->thread->cta;
  const Actor reader = races.Fork(*copy->thread);
  const Actor writer = races.Fork(*copy->thread);
  const AccessKind kind =
      copy->kind == BulkCopy::Kind::kStore ? AccessKind::kWrite : AccessKind::kAtomic;
  for (const TileChunk& chunk : copy->chunks) {
    races.Access(cta, reader, *copy->instruction, chunk.shared, chunk.bytes, AccessKind::kRead,
                 Proxy::kAsync);
    if (chunk.valid_bytes == 0) continue;
    races.Access(cta, writer, *copy->instruction, reinterpret_cast<uintptr_t>(chunk.global),
                 chunk.valid_bytes, kind, Proxy::kAsync);
  }
  BulkGroup& group = *copy->thread->bulk_groups.open;
  group.readers.push_back(reader);
  group.writers.push_back(writer);
}

void TrackAccesses(RaceTracker& races, BulkCopy* copy) {
  if (copy->kind == BulkCopy::Kind::kLoad) {
    TrackLoad(races, copy);
  } else {
    TrackStore(races, copy);
  }
}

void Start(Thread& thread, BulkCopy copy) {
  for (const TileChunk& chunk : copy.chunks) {
    if (chunk.valid_bytes == 0) continue;
    thread.engine->Global(thread, reinterpret_cast<uintptr_t>(chunk.global), chunk.valid_bytes, 1);
  }
  if (RaceTracker* const races = thread.engine->races()) TrackAccesses(*races, &copy);
  thread.engine->bulk_copies().Start(std::move(copy));
}

}  // namespace

void StartTile(Thread& thread, BulkCopy::Kind kind, const BulkAddresses& addresses,
               absl::Span<const int32_t> coordinates) {
  const TensorMap map = MapAt(thread, addresses.global);
  if (kind == BulkCopy::Kind::kReduceAdd && map.type != TensorMapType::kF32) {
    thread.engine->Fail(thread, "only tensors of f32 can be added to");
  }
  BulkCopy copy = NewCopy(thread, kind, addresses, map.box_bytes());
  Require(thread, VisitTile(map, coordinates, addresses.shared,
                            [&](const TileChunk& chunk) { copy.chunks.push_back(chunk); }));
  Start(thread, std::move(copy));
}

void StartBytes(Thread& thread, BulkCopy::Kind kind, const BulkAddresses& addresses,
                uint32_t bytes) {
  Require(thread, CheckBulkCopy(addresses.global, addresses.shared, bytes));
  BulkCopy copy = NewCopy(thread, kind, addresses, bytes);
  copy.chunks = {{reinterpret_cast<std::byte*>(addresses.global),
                  static_cast<uint32_t>(addresses.shared), bytes, bytes}};
  Start(thread, std::move(copy));
}

}  // namespace flashcp::emulator
