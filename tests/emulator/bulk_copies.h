// Bulk copies in flight: tiles of tensor maps and plain runs of bytes, to shared memory or from it.
// A copy reads and writes when the schedule lets it: at issue, when nothing else can go on, or in
// between.

#ifndef FLASHCP_TESTS_EMULATOR_BULK_COPIES_H_
#define FLASHCP_TESTS_EMULATOR_BULK_COPIES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "tests/emulator/ptx.h"
#include "tests/emulator/tensor_map.h"
#include "tests/emulator/vector_clock.h"

namespace flashcp::emulator {

class Engine;
struct Cta;
struct Thread;

// Copies from shared memory that a thread has committed together, and what of them is left to do.
struct BulkGroup {
  int unread = 0;
  int unwritten = 0;
  // Of its copies, if races are looked for; a wait takes them.
  std::vector<Actor> readers;
  std::vector<Actor> writers;
};

struct BulkGroups {
  std::shared_ptr<BulkGroup> open = std::make_shared<BulkGroup>();
  std::deque<std::shared_ptr<BulkGroup>> committed;
};

struct BulkCopy {
  enum class Kind { kLoad, kStore, kReduceAdd };

  Kind kind = Kind::kLoad;
  Thread* thread = nullptr;
  const ptx::Instruction* instruction = nullptr;
  std::vector<TileChunk> chunks;
  // Of a load: what counts its bytes.
  uint64_t mbarrier = 0;
  uint32_t bytes = 0;
  Actor actor;  // If races are looked for.
  // Of others: their group, and what they have read.
  std::shared_ptr<BulkGroup> group;
  std::vector<std::byte> read;
};

class BulkCopies {
 public:
  explicit BulkCopies(Engine* engine) : engine_(*engine) {}

  // Starts a copy whose addresses have been checked. It completes at once if copies are early.
  void Start(BulkCopy copy);
  // Makes a step of one copy: a load completes, others read, then write. Returns whether there was
  // one.
  bool Step();
  // Makes some steps, if copies may land at any time.
  void StepSome();
  // Ends the copies of a CTA that exits: writes to global memory complete. Returns a copy that
  // still needs its shared memory, or null.
  const BulkCopy* Finish(const Cta& cta);

 private:
  size_t Choose();
  bool Advance(BulkCopy* copy);
  void Load(const BulkCopy& copy);

  Engine& engine_;
  std::deque<BulkCopy> in_flight_;
};

// cp.async.bulk.commit_group, and .wait_group{.read}: waits until all but the last `pending` groups
// have read, and also written unless `read`.
void CommitBulkGroup(Thread& thread);
void WaitBulkGroups(Thread& thread, uint32_t pending, bool read);

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_BULK_COPIES_H_
