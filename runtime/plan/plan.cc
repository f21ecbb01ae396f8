// Checks what FlatBuffers can check, then version and hash, before anything reads a plan.

#include "runtime/plan/plan.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "flatbuffers/flatbuffers.h"
#include "support/files.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

// FlatBuffers pads a finished buffer to its largest scalar.
constexpr size_t kAlignment = 8;
// Root offset and file identifier.
constexpr size_t kHeaderBytes = 8;
// Longer strings live in memory from operator new, which is aligned for every field of a plan.
constexpr size_t kMinBytes = 64;
static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= kAlignment);
constexpr size_t kMaxBytes = FLATBUFFERS_MAX_BUFFER_SIZE - 1;

absl::Status Corrupt(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("truncated or corrupt FlashCP plan: ", what, "; compile the plan again"));
}

const flatbuffers::Table* RootTable(const void* data) {
  return flatbuffers::GetRoot<flatbuffers::Table>(data);
}

flatbuffers::Verifier MakeVerifier(absl::string_view bytes) {
  flatbuffers::Verifier::Options options;
  options.max_depth = 8;
  options.max_tables = 3 + 3 * kMaxPlanRanks;  // plan, cluster, tile table; a rank, its programs
  return flatbuffers::Verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                               options);
}

absl::Status CheckIdentifier(absl::string_view bytes) {
  if (bytes.size() < kHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat("not a FlashCP plan: ", bytes.size(),
                                                   " bytes are too few for a file identifier"));
  }
  if (!fbs::PlanBufferHasIdentifier(bytes.data())) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "not a FlashCP plan: file identifier '%s' expected, '%s' found", fbs::PlanIdentifier(),
        absl::CHexEscape(bytes.substr(kHeaderBytes - 4, 4))));
  }
  return absl::OkStatus();
}

// Reads the version before anything else: the rest of the structure may depend on it.
absl::Status CheckVersion(absl::string_view bytes) {
  flatbuffers::Verifier verifier = MakeVerifier(bytes);
  if (verifier.VerifyOffset(0) == 0) return Corrupt("the root offset leaves the file");
  const flatbuffers::Table* root = RootTable(bytes.data());
  if (!root->VerifyTableStart(verifier) ||
      !root->VerifyField<uint32_t>(verifier, fbs::Plan::VT_VERSION, alignof(uint32_t))) {
    return Corrupt("the root table leaves the file");
  }
  uint32_t version = root->GetField<uint32_t>(fbs::Plan::VT_VERSION, 0);
  if (version != kPlanVersion) {
    return absl::InvalidArgumentError(absl::StrCat("plan version ", version, ", this build reads ",
                                                   kPlanVersion, ": compile the plan again"));
  }
  return absl::OkStatus();
}

// Adds up vectors: FlatBuffers checks that each lies in the buffer, but neither the alignment of
// its elements nor that it is not the same memory as another. Shared memory would let a small file
// stand for an enormous plan.
class VectorAudit {
 public:
  template <typename T>
  void Add(absl::Span<const T> items) {
    if (items.empty()) return;  // FlatBuffers aligns elements, and there are none
    aligned_ &= reinterpret_cast<uintptr_t>(items.data()) % alignof(T) == 0;
    bytes_ += items.size() * sizeof(T);
  }
  bool aligned() const { return aligned_; }
  uint64_t bytes() const { return bytes_; }

 private:
  bool aligned_ = true;
  uint64_t bytes_ = 0;
};

// One step of SplitMix64, with the output function of Stafford's variant 13: a bijection in which
// each bit of the argument changes about half of the bits of the result.
uint64_t SplitMix64(uint64_t word) {
  word += 0x9e3779b97f4a7c15;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

absl::Status CheckVectors(const fbs::Plan& plan, size_t size) {
  VectorAudit audit;
  audit.Add(Items(plan.documents()));
  const fbs::TileTable& tiles = *plan.cluster()->tiles();
  audit.Add(Items(tiles.columns()));
  audit.Add(Items(tiles.forward_us()));
  audit.Add(Items(tiles.backward_us()));
  const int num_ranks = plan.ranks() ? plan.ranks()->size() : 0;
  for (int r = 0; r < num_ranks; ++r) {
    const fbs::RankPlan& rank = *plan.ranks()->Get(r);
    const fbs::Program& program = *rank.forward();
    audit.Add(Items(rank.layout()));
    audit.Add(Items(rank.buffers()));
    audit.Add(Items(program.instructions()));
    audit.Add(Items(program.waits()));
    audit.Add(Items(program.tiles()));
    audit.Add(Items(program.messages()));
    audit.Add(Items(program.parts()));
    audit.Add(Items(program.slices()));
    audit.Add(Items(rank.backward()->instructions()));
    audit.Add(Items(rank.backward()->waits()));
  }
  if (!audit.aligned()) return Corrupt("a table is not aligned");
  if (audit.bytes() > size) return Corrupt("tables share memory");
  return absl::OkStatus();
}

absl::Status CheckStructure(absl::string_view bytes) {
  if (bytes.size() < kMinBytes || bytes.size() > kMaxBytes || bytes.size() % kAlignment != 0) {
    return Corrupt(absl::StrFormat("%d to %d bytes, a multiple of %d, expected, %d found",
                                   kMinBytes, kMaxBytes, kAlignment, bytes.size()));
  }
  RETURN_IF_ERROR(CheckVersion(bytes));
  flatbuffers::Verifier verifier = MakeVerifier(bytes);
  if (!fbs::VerifyPlanBuffer(verifier)) {
    return Corrupt(
        absl::StrCat("a table leaves the file, or there are more than ", kMaxPlanRanks, " ranks"));
  }
  const fbs::Plan& plan = *fbs::GetPlan(bytes.data());
  RETURN_IF_ERROR(CheckVectors(plan, bytes.size()));
  uint64_t hash = ContentHash(plan, bytes);
  if (hash != plan.content_hash()) {
    return Corrupt(
        absl::StrFormat("content hash %016x expected, %016x found", plan.content_hash(), hash));
  }
  return absl::OkStatus();
}

}  // namespace

Plan Plan::Seal(flatbuffers::DetachedBuffer buffer) {
  auto owner = std::make_shared<flatbuffers::DetachedBuffer>(std::move(buffer));
  fbs::Plan* root = fbs::GetMutablePlan(owner->data());
  Plan plan;
  plan.root_ = root;
  plan.size_ = owner->size();
  plan.owner_ = std::shared_ptr<const void>(owner, owner->data());
  bool stored = root->mutate_content_hash(ContentHash(*root, plan.bytes()));
  assert(stored && "a plan is built with a content hash other than 0, so that it has the field");
  (void)stored;
  return plan;
}

absl::StatusOr<Plan> Plan::FromBytes(std::string bytes) {
  RETURN_IF_ERROR(CheckIdentifier(bytes));
  RETURN_IF_ERROR(CheckStructure(bytes));
  auto owner = std::make_shared<std::string>(std::move(bytes));
  Plan plan;
  plan.root_ = fbs::GetPlan(owner->data());
  plan.size_ = owner->size();
  plan.owner_ = std::shared_ptr<const void>(owner, owner->data());
  return plan;
}

absl::StatusOr<Plan> Plan::Load(const std::string& path) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxBytes));
  absl::StatusOr<Plan> plan = FromBytes(std::move(bytes));
  if (plan.ok()) return plan;
  return absl::Status(plan.status().code(), absl::StrCat(path, ": ", plan.status().message()));
}

absl::Status Plan::Save(const std::string& path) const { return WriteFile(path, bytes()); }

absl::string_view Plan::bytes() const { return {static_cast<const char*>(owner_.get()), size_}; }

uint64_t ContentHash(const fbs::Plan& plan, absl::string_view bytes) {
  const uint8_t* field =
      reinterpret_cast<const flatbuffers::Table&>(plan).GetAddressOf(fbs::Plan::VT_CONTENT_HASH);
  uint64_t hash = bytes.size();
  for (size_t i = 0; i < bytes.size(); i += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min(sizeof(word), bytes.size() - i));
    bool is_hash = reinterpret_cast<const char*>(field) == bytes.data() + i;
    hash = SplitMix64(hash ^ (is_hash ? 0 : flatbuffers::EndianScalar(word)));
  }
  return hash;
}

int DTypeBytes(fbs::DType dtype) { return dtype == fbs::DType::f32 ? 4 : 2; }

}  // namespace flashcp
