#include "tests/emulator/mbarrier.h"

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp::emulator {

// The layout of an object, from its low bits: expected arrivals (20), pending arrivals (20), bytes
// that are expected and not there yet (21, signed), phase (1), mark (2). Neither zeros nor poison,
// which is all ones, have the mark.
struct Mbarrier::Fields {
  static constexpr uint64_t kMark = 2;

  uint32_t expected;
  uint32_t pending;
  int32_t bytes;
  uint32_t phase;

  static bool IsMarked(uint64_t object) { return object >> 62 == kMark; }
  static Fields Unpack(uint64_t object) {
    const uint64_t bytes = object >> 40 & 0x1fffff;
    return {static_cast<uint32_t>(object & 0xfffff), static_cast<uint32_t>(object >> 20 & 0xfffff),
            static_cast<int32_t>(bytes) - (bytes >> 20 ? 1 << 21 : 0),
            static_cast<uint32_t>(object >> 61 & 1)};
  }
  uint64_t Pack() const {
    return expected | uint64_t{pending} << 20 | (static_cast<uint64_t>(bytes) & 0x1fffff) << 40 |
           uint64_t{phase} << 61 | kMark << 62;
  }
};

namespace {

absl::Status CheckBytes(int64_t bytes) {
  if (bytes >= -int64_t{Mbarrier::kMaxCount} && bytes <= Mbarrier::kMaxCount) {
    return absl::OkStatus();
  }
  return absl::OutOfRangeError(absl::StrCat("mbarrier: a tx-count of ", bytes,
                                            " bytes; the limit is ", Mbarrier::kMaxCount));
}

}  // namespace

absl::StatusOr<Mbarrier::Fields> Mbarrier::Load() const {
  if (Fields::IsMarked(*object_)) return Fields::Unpack(*object_);
  return absl::FailedPreconditionError(
      "mbarrier: the object is not initialised, was invalidated, or has been overwritten");
}

bool Mbarrier::Store(Fields fields) {
  const bool completed = fields.pending == 0 && fields.bytes == 0;
  if (completed) {
    fields.pending = fields.expected;
    fields.phase ^= 1;
  }
  *object_ = fields.Pack();
  return completed;
}

absl::Status Mbarrier::Init(uint32_t count) {
  if (count == 0 || count > kMaxCount) {
    return absl::InvalidArgumentError(
        absl::StrCat("mbarrier.init: count ", count, "; it must be in [1, ", kMaxCount, "]"));
  }
  *object_ = Fields{count, count, 0, 0}.Pack();
  return absl::OkStatus();
}

absl::Status Mbarrier::Invalidate() {
  RETURN_IF_ERROR(Load().status());
  *object_ = 0;
  return absl::OkStatus();
}

absl::StatusOr<bool> Mbarrier::Arrive(uint32_t count) {
  ASSIGN_OR_RETURN(Fields fields, Load());
  if (count == 0 || count > fields.pending) {
    return absl::FailedPreconditionError(
        absl::StrCat("mbarrier.arrive: ", count, " arrivals, but the phase waits for ",
                     fields.pending, " of ", fields.expected, " only"));
  }
  fields.pending -= count;
  return Store(fields);
}

absl::StatusOr<bool> Mbarrier::ExpectTx(uint32_t bytes) {
  ASSIGN_OR_RETURN(Fields fields, Load());
  RETURN_IF_ERROR(CheckBytes(int64_t{fields.bytes} + bytes));
  fields.bytes += bytes;
  return Store(fields);
}

absl::StatusOr<bool> Mbarrier::ArriveExpectTx(uint32_t bytes) {
  // Completes nothing before the arrival: that is still pending.
  RETURN_IF_ERROR(ExpectTx(bytes).status());
  return Arrive();
}

absl::StatusOr<bool> Mbarrier::CompleteTx(uint32_t bytes) {
  ASSIGN_OR_RETURN(Fields fields, Load());
  RETURN_IF_ERROR(CheckBytes(int64_t{fields.bytes} - bytes));
  fields.bytes -= bytes;
  return Store(fields);
}

absl::StatusOr<uint64_t> Mbarrier::State() const {
  RETURN_IF_ERROR(Load().status());
  return *object_;
}

absl::StatusOr<bool> Mbarrier::Test(uint64_t state) const {
  if (!Fields::IsMarked(state)) {
    return absl::InvalidArgumentError(
        "mbarrier.test_wait: the state is not one that an arrive gave");
  }
  return TestParity(Fields::Unpack(state).phase);
}

absl::StatusOr<bool> Mbarrier::TestParity(uint32_t parity) const {
  if (parity > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("mbarrier.test_wait.parity: parity ", parity, "; it is 0 or 1"));
  }
  ASSIGN_OR_RETURN(const Fields fields, Load());
  return fields.phase != parity;
}

std::string Mbarrier::Describe() const {
  const absl::StatusOr<Fields> fields = Load();
  if (!fields.ok()) return "no mbarrier";
  std::string text = absl::StrCat("its phase of parity ", fields->phase, " lacks ", fields->pending,
                                  " of ", fields->expected, " arrivals");
  if (fields->bytes != 0) absl::StrAppend(&text, " and ", fields->bytes, " bytes");
  return text;
}

}  // namespace flashcp::emulator
