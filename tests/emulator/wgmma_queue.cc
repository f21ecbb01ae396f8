#include "tests/emulator/wgmma_queue.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp::emulator {
namespace {

WarpRegister Poison() {
  WarpRegister poison;
  poison.fill(WgmmaQueue::kPoison);
  return poison;
}

std::string NameOf(const WgmmaInstruction& instruction) {
  return absl::StrCat("wgmma.mma_async of line ", instruction.line);
}

}  // namespace

WgmmaQueue::WgmmaQueue(int warp, absl::Span<WarpRegister> frame, absl::Span<const std::byte> window,
                       Timing timing)
    : warp_(warp),
      frame_(frame),
      window_(window),
      timing_(timing),
      sums_of_(frame.size()),
      reads_of_(frame.size()) {}

void WgmmaQueue::Put(uint16_t index, const WarpRegister& value) {
  frame_[index] = value;
  fenced_[index] = value;
}

void WgmmaQueue::Fence() { fenced_.assign(frame_.begin(), frame_.end()); }

// A register must be as it was at the fence. A read after the fence goes unnoticed.
absl::Status WgmmaQueue::CheckFenced(const WgmmaInstruction& instruction, uint16_t index,
                                     const std::string& name) const {
  if (frame_[index] == fenced_[index]) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      NameOf(instruction), ": ", name, " was written after the last wgmma.fence; fence again"));
}

absl::StatusOr<WgmmaOperands> WgmmaQueue::OperandsOf(const WgmmaInstruction& instruction,
                                                     uint64_t a, uint64_t b) const {
  WgmmaOperands operands;
  operands.warp = warp_;
  ASSIGN_OR_RETURN(operands.b, MatrixDescriptor::Decode(b));
  if (!instruction.shape.a_in_registers) {
    ASSIGN_OR_RETURN(operands.a, MatrixDescriptor::Decode(a));
    return operands;
  }
  for (int r = 0; r < kWgmmaARegisters; ++r) {
    const std::string name = absl::StrCat("register ", r, " of A");
    if (sums_of_[instruction.a[r]] != nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat(NameOf(instruction), ": ", name,
                       " is an accumulator in flight; wait for its group first"));
    }
    RETURN_IF_ERROR(CheckFenced(instruction, instruction.a[r], name));
    operands.a_registers[r] = frame_[instruction.a[r]];
  }
  return operands;
}

// Returns the sums that the product adds to: those in flight if it chains on them, or new ones,
// whose registers hold poison from now on.
absl::StatusOr<std::shared_ptr<WgmmaQueue::Sums>> WgmmaQueue::SumsOf(
    const WgmmaInstruction& instruction) {
  const std::vector<uint16_t>& registers = instruction.accumulators;
  const std::shared_ptr<Sums> chained = sums_of_[registers[0]];
  if (chained != nullptr && chained->registers == registers) {
    for (size_t i = 0; i < registers.size(); ++i) {
      if (frame_[registers[i]] != Poison()) {
        return absl::FailedPreconditionError(
            absl::StrCat(NameOf(instruction), ": accumulator ", i,
                         " was written while a product before it is in flight; wait first"));
      }
    }
    return chained;
  }
  auto sums = std::make_shared<Sums>();
  sums->registers = registers;
  for (size_t i = 0; i < registers.size(); ++i) {
    if (sums_of_[registers[i]] != nullptr || reads_of_[registers[i]] > 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(NameOf(instruction), ": accumulator ", i,
                       " belongs to a product of another shape in flight; wait for that first"));
    }
    RETURN_IF_ERROR(CheckFenced(instruction, registers[i], absl::StrCat("accumulator ", i)));
    sums->values.push_back(frame_[registers[i]]);
  }
  for (const uint16_t index : registers) {
    sums_of_[index] = sums;
    Put(index, Poison());
  }
  return sums;
}

absl::Status WgmmaQueue::Issue(const WgmmaInstruction& instruction, uint64_t a, uint64_t b,
                               bool accumulate) {
  assert(instruction.accumulators.size() == instruction.shape.accumulators());
  if (fenced_.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(NameOf(instruction), " comes before the first wgmma.fence"));
  }
  Product product = {&instruction, {}, accumulate, nullptr};
  ASSIGN_OR_RETURN(product.operands, OperandsOf(instruction, a, b));
  ASSIGN_OR_RETURN(product.sums, SumsOf(instruction));
  ++product.sums->users;
  if (instruction.shape.a_in_registers) {
    for (const uint16_t index : instruction.a) ++reads_of_[index];
  }
  last_operands_ = product.operands;
  if (timing_ == Timing::kAtIssue) RETURN_IF_ERROR(Compute(product));
  open_.push_back(std::move(product));
  return absl::OkStatus();
}

int WgmmaQueue::Commit() {
  groups_.push_back(std::exchange(open_, {}));
  return num_committed_++;
}

absl::StatusOr<int> WgmmaQueue::Wait(int pending) {
  while (groups_.size() > pending) {
    RETURN_IF_ERROR(Complete(groups_.front()));
    groups_.pop_front();
  }
  return num_committed_ - static_cast<int>(groups_.size());
}

absl::Status WgmmaQueue::Compute(const Product& product) const {
  return MultiplyWarp(product.instruction->shape, product.operands, window_, product.accumulate,
                      absl::MakeSpan(product.sums->values));
}

absl::Status WgmmaQueue::Complete(const Group& group) {
  if (timing_ == Timing::kAtWait) {
    for (const Product& product : group) RETURN_IF_ERROR(Compute(product));
  }
  for (const Product& product : group) RETURN_IF_ERROR(Release(product));
  return absl::OkStatus();
}

// Gives registers back, sums once no later product adds to them. They must be as the product left
// them.
absl::Status WgmmaQueue::Release(const Product& product) {
  const WgmmaInstruction& instruction = *product.instruction;
  for (int r = 0; instruction.shape.a_in_registers && r < kWgmmaARegisters; ++r) {
    if (frame_[instruction.a[r]] != product.operands.a_registers[r]) {
      return absl::FailedPreconditionError(
          absl::StrCat(NameOf(instruction), ": register ", r,
                       " of A was written while the product is in flight"));
    }
    --reads_of_[instruction.a[r]];
  }
  if (--product.sums->users > 0) return absl::OkStatus();
  for (size_t i = 0; i < product.sums->registers.size(); ++i) {
    const uint16_t index = product.sums->registers[i];
    if (frame_[index] != Poison()) {
      return absl::FailedPreconditionError(absl::StrCat(
          NameOf(instruction), ": accumulator ", i, " was written while the product is in flight"));
    }
    Put(index, product.sums->values[i]);
    sums_of_[index] = nullptr;
  }
  return absl::OkStatus();
}

absl::Status WgmmaQueue::Finish() const {
  const Group* group = !groups_.empty() ? &groups_.front() : &open_;
  if (group->empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the warp exits with the ", NameOf(*group->front().instruction), " in flight"));
}

}  // namespace flashcp::emulator
