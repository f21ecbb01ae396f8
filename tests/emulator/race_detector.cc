#include "tests/emulator/race_detector.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace flashcp::emulator {
namespace {

using Access = RaceDetector::Access;
using Memory = RaceDetector::Memory;
using Race = RaceDetector::Race;

// What happened before, and which generic writes before are visible to the async proxy.
struct Knowledge {
  VectorClock order;
  VectorClock fenced_shared;
  VectorClock fenced_global;

  void Join(const Knowledge& other) {
    order.Join(other.order);
    fenced_shared.Join(other.fenced_shared);
    fenced_global.Join(other.fenced_global);
  }
};

struct ActorState {
  Knowledge knowledge;
  uint32_t time = 1;
  bool has_ended = false;  // Of an operation.
  // What a relaxed store publishes: what was known at the last fence.
  std::shared_ptr<const Knowledge> at_fence;
  // What relaxed loads saw, and the next fence learns.
  std::unique_ptr<Knowledge> seen;
};

struct CtaState {
  int threads = 0;
  std::vector<ActorState> actors;  // Threads, then operations; none once the CTA has ended.
  std::vector<Actor> starters;     // Of operations.
  AccessHistory shared;
};

struct Meeting {
  Knowledge arrived;    // In the current phase.
  Knowledge completed;  // In all before.
};

// Checks an access to a chunk of memory by an actor with this knowledge, and records it in place of
// those that it covers: of accesses that come before, and with which everything conflicts that
// conflicts with these.
class ChunkCheck {
 public:
  ChunkCheck(const ChunkAccess& later, const VectorClock& order, const VectorClock& fenced)
      : later_(later), order_(order), fenced_(fenced) {}

  // Returns whether the access may be done; otherwise the conflict is as said below.
  bool Run(MemoryChunk* chunk) {
    const bool reads = later_.kind == AccessKind::kRead;
    if (!CheckAll(&chunk->writes, !reads) || (!reads && !CheckAll(&chunk->reads, true))) {
      return false;
    }
    if (reads) {
      AddRead(&chunk->reads);
    } else {
      chunk->writes.push_back(later_);
    }
    return true;
  }

  const ChunkAccess& earlier() const { return earlier_; }
  uint32_t bytes() const { return earlier_.bytes & later_.bytes; }
  bool ordered() const { return IsOrdered(earlier_); }

 private:
  bool IsOrdered(const ChunkAccess& earlier) const {
    return earlier.time <= order_.Get(earlier.actor);
  }
  // A generic write, ordered or not, that the async proxy may not see.
  bool CrossesProxies(const ChunkAccess& earlier) const {
    return earlier.proxy == Proxy::kGeneric && later_.proxy == Proxy::kAsync &&
           earlier.kind != AccessKind::kRead && earlier.time > fenced_.Get(earlier.actor);
  }
  // Two accesses conflict unless both only read, or both are atomic.
  bool Conflicts(const ChunkAccess& earlier) const {
    return earlier.kind != later_.kind || later_.kind == AccessKind::kWrite;
  }

  template <typename Accesses>
  bool CheckAll(Accesses* accesses, bool may_cover) {
    for (const ChunkAccess& earlier : *accesses) {
      if ((earlier.bytes & later_.bytes) == 0 || !Conflicts(earlier)) continue;
      if (IsOrdered(earlier) && !CrossesProxies(earlier)) continue;
      earlier_ = earlier;
      return false;
    }
    if (may_cover) Cover(accesses);
    return true;
  }

  template <typename Accesses>
  void Cover(Accesses* accesses) {
    size_t kept = 0;
    for (ChunkAccess earlier : *accesses) {
      const bool covers = later_.kind == AccessKind::kWrite || later_.kind == earlier.kind;
      if (covers && (earlier.bytes & later_.bytes) != 0 && IsOrdered(earlier)) {
        earlier.bytes &= ~later_.bytes;
      }
      if (earlier.bytes != 0) (*accesses)[kept++] = earlier;
    }
    accesses->resize(kept);
  }

  // Looks for covered reads when their number has doubled only.
  template <typename Accesses>
  void AddRead(Accesses* reads) {
    if (!reads->empty()) {
      const ChunkAccess& last = reads->back();
      if (last.actor == later_.actor && last.time == later_.time && last.bytes == later_.bytes) {
        return;
      }
    }
    const size_t count = reads->size();
    if ((count & (count - 1)) == 0) Cover(reads);
    reads->push_back(later_);
  }

  const ChunkAccess& later_;
  const VectorClock& order_;
  const VectorClock& fenced_;
  ChunkAccess earlier_;
};

// The race of an access with the one that a check of a chunk found.
Race RaceOf(const ChunkCheck& check, const Access& later, uint64_t chunk) {
  const ChunkAccess& earlier = check.earlier();
  const uint64_t first = chunk + __builtin_ctz(check.bytes());
  const uint32_t count = __builtin_popcount(check.bytes());
  return {{earlier.actor, later.memory, first, count, earlier.kind, earlier.proxy,
           static_cast<int>(earlier.line)},
          later,
          check.ordered()};
}

bool Acquires(MemoryOrder order) {
  return order == MemoryOrder::kAcquire || order == MemoryOrder::kAcquireRelease;
}
bool Releases(MemoryOrder order) {
  return order == MemoryOrder::kRelease || order == MemoryOrder::kAcquireRelease;
}

}  // namespace

struct RaceDetector::State {
  std::vector<std::unique_ptr<CtaState>> ctas;  // By number; null before their start.
  AccessHistory global;
  std::map<std::pair<uint16_t, uint64_t>, Meeting> meetings;
  // What the last stores to an address published.
  std::map<std::pair<Memory, uint64_t>, std::shared_ptr<const Knowledge>> published;

  ActorState& Of(Actor actor) { return ctas[actor.cta]->actors[actor.index]; }
  AccessHistory& HistoryOf(Memory memory) {
    return memory == kGlobal ? global : ctas[memory]->shared;
  }
  Meeting& Of(SyncObject object) { return meetings[{object.cta, object.number}]; }

  // What the actor does next is not part of what it has published.
  void Advance(Actor actor) {
    ActorState& state = Of(actor);
    state.knowledge.order.Set(actor, ++state.time);
  }
  void Acquire(ActorState* actor, const Access& access, MemoryOrder order);
  void Release(ActorState* actor, const Access& access, AtomicKind kind, MemoryOrder order);
};

RaceDetector::RaceDetector() : state_(std::make_unique<State>()) {}
RaceDetector::~RaceDetector() = default;

void RaceDetector::StartCta(uint16_t cta, int threads) {
  if (state_->ctas.size() <= cta) state_->ctas.resize(cta + 1);
  state_->ctas[cta] = std::make_unique<CtaState>();
  CtaState& state = *state_->ctas[cta];
  state.threads = threads;
  state.actors = std::vector<ActorState>(threads);
  for (int i = 0; i < threads; ++i) {
    const Actor thread = {cta, static_cast<uint16_t>(i)};
    state.actors[i].knowledge.order.Set(thread, state.actors[i].time);
  }
}

void RaceDetector::EndCta(uint16_t cta) {
  state_->meetings.erase(state_->meetings.lower_bound({cta, 0}),
                         state_->meetings.upper_bound({cta, ~uint64_t{0}}));
  state_->ctas[cta]->shared = AccessHistory();
  state_->ctas[cta]->actors = std::vector<ActorState>();
}

// An operation takes the place of one that it comes after, if there is one: its accesses then cover
// those of the other, and clocks stay short.
Actor RaceDetector::Fork(absl::Span<const Actor> threads) {
  const uint16_t cta = threads[0].cta;
  CtaState& state = *state_->ctas[cta];
  Knowledge knowledge;
  for (const Actor thread : threads) knowledge.Join(state_->Of(thread).knowledge);
  Actor operation = {cta, static_cast<uint16_t>(state.threads)};
  for (; operation.index < state.actors.size(); ++operation.index) {
    const ActorState& other = state.actors[operation.index];
    if (other.has_ended && knowledge.order.Get(operation) >= other.time) break;
  }
  if (operation.index == state.actors.size()) {
    state.actors.emplace_back().time = 0;
    state.starters.emplace_back();
  }
  state.starters[operation.index - state.threads] = threads[0];
  ActorState& started = state.actors[operation.index];
  const uint32_t time = started.time + 1;
  started = ActorState();
  started.time = time;
  started.knowledge = std::move(knowledge);
  started.knowledge.order.Set(operation, time);
  for (const Actor thread : threads) state_->Advance(thread);
  return operation;
}

void RaceDetector::Follow(Actor operation, absl::Span<const Actor> threads) {
  ActorState& state = state_->Of(operation);
  assert(!state.has_ended);
  for (const Actor thread : threads) {
    state.knowledge.Join(state_->Of(thread).knowledge);
    state_->Advance(thread);
  }
}

void RaceDetector::Join(absl::Span<const Actor> threads, Actor operation) {
  ActorState& state = state_->Of(operation);
  state.has_ended = true;
  for (const Actor thread : threads) state_->Of(thread).knowledge.Join(state.knowledge);
}

std::optional<Race> RaceDetector::Check(const Access& access) {
  const ActorState& actor = state_->Of(access.actor);
  assert(!actor.has_ended);
  const Knowledge& knowledge = actor.knowledge;
  AccessHistory& history = state_->HistoryOf(access.memory);
  ChunkAccess later = {access.actor, actor.time,  static_cast<uint32_t>(access.line), 0,
                       access.kind,  access.proxy};
  const uint64_t end = access.address + access.bytes;
  constexpr uint64_t kBytes = MemoryChunk::kBytes;
  for (uint64_t chunk = access.address / kBytes * kBytes; chunk < end; chunk += kBytes) {
    const uint64_t first = std::max(chunk, access.address) - chunk;
    const uint64_t last = std::min(chunk + kBytes, end) - chunk;
    later.bytes = static_cast<uint16_t>((1u << last) - (1u << first));
    ChunkCheck check(later, knowledge.order,
                     access.memory == kGlobal ? knowledge.fenced_global : knowledge.fenced_shared);
    if (!check.Run(&history.At(chunk))) return RaceOf(check, access, chunk);
  }
  return std::nullopt;
}

std::optional<Race> RaceDetector::CheckAtomic(const Access& access, AtomicKind kind,
                                              MemoryOrder order) {
  if (auto race = Check(access)) return race;
  ActorState& actor = state_->Of(access.actor);
  if (kind == AtomicKind::kLoad || kind == AtomicKind::kReadModifyWrite) {
    state_->Acquire(&actor, access, order);
  }
  if (kind != AtomicKind::kLoad) state_->Release(&actor, access, kind, order);
  return std::nullopt;
}

void RaceDetector::State::Acquire(ActorState* actor, const Access& access, MemoryOrder order) {
  const auto found = published.find({access.memory, access.address});
  if (found == published.end() || found->second == nullptr) return;
  if (Acquires(order)) {
    actor->knowledge.Join(*found->second);
    return;
  }
  if (actor->seen == nullptr) actor->seen = std::make_unique<Knowledge>();
  actor->seen->Join(*found->second);
}

// A store replaces what was published at its address; other operations continue a release sequence.
void RaceDetector::State::Release(ActorState* actor, const Access& access, AtomicKind kind,
                                  MemoryOrder order) {
  std::shared_ptr<const Knowledge> release = actor->at_fence;
  if (Releases(order)) {
    release = std::make_shared<Knowledge>(actor->knowledge);
    Advance(access.actor);
  }
  if (kind == AtomicKind::kStore) {
    published[{access.memory, access.address}] = std::move(release);
    return;
  }
  if (release == nullptr) return;
  std::shared_ptr<const Knowledge>& before = published[{access.memory, access.address}];
  if (before == release) return;
  if (before != nullptr) {
    auto both = std::make_shared<Knowledge>(*before);
    both->Join(*release);
    release = std::move(both);
  }
  before = std::move(release);
}

void RaceDetector::Arrive(Actor actor, SyncObject object) {
  ActorState& state = state_->Of(actor);
  state_->Of(object).arrived.Join(state.knowledge);
  if (IsThread(actor)) {
    state_->Advance(actor);
  } else {
    state.has_ended = true;
  }
}

void RaceDetector::Complete(SyncObject object) {
  Meeting& meeting = state_->Of(object);
  meeting.completed.Join(meeting.arrived);
  meeting.arrived = {};
}

void RaceDetector::Wait(Actor thread, SyncObject object) {
  state_->Of(thread).knowledge.Join(state_->Of(object).completed);
}

void RaceDetector::Synchronize(absl::Span<const Actor> threads) {
  Knowledge all;
  for (const Actor thread : threads) all.Join(state_->Of(thread).knowledge);
  for (const Actor thread : threads) {
    state_->Of(thread).knowledge.Join(all);
    state_->Advance(thread);
  }
}

void RaceDetector::Fence(Actor thread) {
  ActorState& state = state_->Of(thread);
  if (state.seen != nullptr) state.knowledge.Join(*state.seen);
  state.seen = nullptr;
  state.at_fence = std::make_shared<Knowledge>(state.knowledge);
  state_->Advance(thread);
}

void RaceDetector::ProxyFence(Actor thread, FenceSpace space) {
  ActorState& state = state_->Of(thread);
  if (space != FenceSpace::kGlobal) state.knowledge.fenced_shared.Set(thread, state.time);
  if (space != FenceSpace::kShared) state.knowledge.fenced_global.Set(thread, state.time);
  state_->Advance(thread);
}

bool RaceDetector::IsThread(Actor actor) const {
  return actor.index < state_->ctas[actor.cta]->threads;
}

Actor RaceDetector::StartedBy(Actor operation) const {
  const CtaState& cta = *state_->ctas[operation.cta];
  return cta.starters[operation.index - cta.threads];
}

std::string Describe(const RaceDetector::Access& access) {
  const char* kind = access.kind == AccessKind::kRead    ? "read"
                     : access.kind == AccessKind::kWrite ? "write"
                                                         : "atomic operation";
  return absl::StrCat(access.proxy == Proxy::kAsync ? "async " : "", kind, " of ", access.bytes,
                      access.bytes == 1 ? " byte" : " bytes");
}

}  // namespace flashcp::emulator
