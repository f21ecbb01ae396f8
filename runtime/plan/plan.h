// A plan as a value: immutable bytes in the format of plan.fbs, checked to be well formed.
//
// The same value is replanned in process for each batch and saved to a file. Plan is cheap to copy
// (the bytes are shared) and safe to read from many threads.

#ifndef FLASHCP_RUNTIME_PLAN_PLAN_H_
#define FLASHCP_RUNTIME_PLAN_PLAN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "runtime/plan/plan_generated.h"

namespace flashcp {

// Version of plan.fbs that this build writes and reads.
inline constexpr uint32_t kPlanVersion = 6;

// Set in the tags of messages that carry gradients; the number of a message stays below it.
inline constexpr uint32_t kGradientTag = uint32_t{1} << 30;

// No plan has more ranks; a file that says so is refused as corrupt.
inline constexpr int kMaxPlanRanks = 4096;

class Plan {
 public:
  // Takes a finished FlatBuffer that the compiler built with content_hash 1, and seals it: computes
  // and stores the hash. Never fails on a well-formed buffer; checks only in debug builds.
  static Plan Seal(flatbuffers::DetachedBuffer buffer);

  // Reads a plan from untrusted bytes. InvalidArgument, each with what was expected and found:
  // not a plan file (identifier), truncated or corrupt (structure or content hash), another
  // version. A plan that loads is well formed; whether it is correct, VerifyPlan says.
  static absl::StatusOr<Plan> FromBytes(std::string bytes);

  // FromBytes of a file, "-" for standard input; errors start with its path. NotFound if it
  // cannot be opened.
  static absl::StatusOr<Plan> Load(const std::string& path);

  // Writes the bytes to `path`, whole or not at all; see WriteFile in support/files.h.
  absl::Status Save(const std::string& path) const;

  const fbs::Plan& operator*() const { return *root_; }
  const fbs::Plan* operator->() const { return root_; }

  absl::string_view bytes() const;
  uint64_t hash() const { return root_->content_hash(); }
  int num_ranks() const { return root_->ranks() ? root_->ranks()->size() : 0; }

 private:
  // The first of the bytes, and their owner; root_ points into them.
  std::shared_ptr<const void> owner_;
  const fbs::Plan* root_ = nullptr;
  size_t size_ = 0;
};

// The elements of a vector of a plan; an absent vector has none. Valid as long as the plan.
template <typename T>
absl::Span<const T> Items(const flatbuffers::Vector<const T*>* structs) {
  if (structs == nullptr) return {};
  return {reinterpret_cast<const T*>(structs->Data()), structs->size()};
}
template <typename T>
absl::Span<const T> Items(const flatbuffers::Vector<T>* scalars) {
  static_assert(FLATBUFFERS_LITTLEENDIAN && std::is_arithmetic_v<T>);
  if (scalars == nullptr) return {};
  return {scalars->data(), scalars->size()};
}

// Hashes a plan's bytes to 64 bits, with its content_hash field taken as 0, as docs/plan.md says.
// Two plans of one size that differ in one 64-bit word have different hashes; any others have equal
// ones with a probability of about 2^-64. It finds damage, not malice.
uint64_t ContentHash(const fbs::Plan& plan, absl::string_view bytes);

// Bytes of one element.
int DTypeBytes(fbs::DType dtype);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PLAN_PLAN_H_
