// atom and red. Threads switch at calls of the engine only, but another launch of the process may
// use the same memory, so that these are the host's atomic operations. PTX ISA, "Parallel
// Synchronization and Communication Instructions: atom, red".

#include <map>

#include "support/status_macros.h"
#include "tests/emulator/translate_access.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Type;
using Operation = llvm::AtomicRMWInst::BinOp;
constexpr auto kOrdering = llvm::AtomicOrdering::SequentiallyConsistent;

struct Atomic {
  std::string name;
  Type type;
  int elements;
  AccessSite* access;
};

absl::StatusOr<Atomic> ReadAtomic(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  Atomic atomic;
  ASSIGN_OR_RETURN(atomic.type, modifiers.TakeType());
  atomic.access = &t.NewAccess(instruction);
  atomic.access->kind = AccessSite::Kind::kAtomic;
  atomic.access->space = TakeSpace(&modifiers);
  atomic.access->order = TakeOrder(&modifiers);
  if (atomic.access->order == AccessSite::Order::kWeak) {
    atomic.access->order = AccessSite::Order::kRelaxed;
  }
  modifiers.Ignore({"L2::cache_hint"});
  const std::string vector = modifiers.TakeOneOf({"v2", "v4"});
  atomic.elements = vector.empty() ? 1 : vector[1] - '0';
  atomic.name =
      modifiers.TakeOneOf({"and", "or", "xor", "exch", "cas", "add", "inc", "dec", "min", "max"});
  RETURN_IF_ERROR(modifiers.Finish());
  if (atomic.type.bits() != 32 && atomic.type.bits() != 64) {
    return Unsupported(instruction, "only 32 and 64 bits");
  }
  if (atomic.type.elements != 1) return Unsupported(instruction, "packed types");
  atomic.access->bytes = atomic.type.bits() / 8 * atomic.elements;
  atomic.access->alignment = atomic.access->bytes;
  return atomic;
}

absl::StatusOr<Operation> OperationOf(const Instruction& instruction, const Atomic& atomic) {
  using R = llvm::AtomicRMWInst;
  static const auto* const kOperations = new std::map<std::string, Operation>{
      {"and", R::And},      {"or", R::Or},   {"xor", R::Xor},      {"exch", R::Xchg},
      {"inc", R::UIncWrap}, {"add", R::Add}, {"dec", R::UDecWrap},
  };
  if (atomic.type.is_float()) {
    if (atomic.name == "add") return R::FAdd;
    return Unsupported(instruction, "floats can only be added");
  }
  const bool is_signed = atomic.type.is_signed();
  if (atomic.name == "min") return is_signed ? R::Min : R::UMin;
  if (atomic.name == "max") return is_signed ? R::Max : R::UMax;
  const auto found = kOperations->find(atomic.name);
  if (found == kOperations->end()) return Unsupported(instruction, "unknown atomic operation");
  return found->second;
}

llvm::Value* Swap(Translator& t, llvm::Value* pointer, llvm::Value* expected,
                  llvm::Value* desired) {
  llvm::Value* const pair = t.b().CreateAtomicCmpXchg(pointer, expected, desired,
                                                      llvm::MaybeAlign(), kOrdering, kOrdering);
  return t.b().CreateExtractValue(pair, 0);
}

// Emits the operation on every element; the old values come back.
absl::StatusOr<std::vector<llvm::Value*>> Emit(Translator& t, const Instruction& instruction,
                                               const Atomic& atomic, size_t first_operand) {
  const auto& operands = instruction.operands;
  const bool cas = atomic.name == "cas";
  if (operands.size() < first_operand + (cas ? 3 : 2)) {
    return Unsupported(instruction, "too few operands");
  }
  ASSIGN_OR_RETURN(llvm::Value* const address, t.ReadAddress(operands[first_operand]));
  ASSIGN_OR_RETURN(const std::vector<llvm::Value*> values,
                   t.ReadVector(operands[first_operand + 1], atomic.type));
  if (values.size() != static_cast<size_t>(atomic.elements)) {
    return Unsupported(instruction, "the vector has another length than the type");
  }
  t.CallAccess(*atomic.access, address);
  if (cas) {
    ASSIGN_OR_RETURN(llvm::Value* const desired, t.Read(operands[first_operand + 2], atomic.type));
    return std::vector<llvm::Value*>{Swap(t, t.Pointer(address), values[0], desired)};
  }
  ASSIGN_OR_RETURN(const Operation operation, OperationOf(instruction, atomic));
  std::vector<llvm::Value*> old;
  for (int i = 0; i < atomic.elements; ++i) {
    llvm::Value* const at = t.b().CreateAdd(address, t.Constant(64, i * atomic.type.bits() / 8));
    old.push_back(
        t.b().CreateAtomicRMW(operation, t.Pointer(at), values[i], llvm::MaybeAlign(), kOrdering));
  }
  return old;
}

// A loop of atom may wait for others, so that they run first.
absl::Status TranslateAtom(Translator& t, const Instruction& instruction) {
  ASSIGN_OR_RETURN(const Atomic atomic, ReadAtomic(t, instruction));
  t.CallPoll(instruction);
  ASSIGN_OR_RETURN(const std::vector<llvm::Value*> old, Emit(t, instruction, atomic, 1));
  return t.WriteVector(instruction.operands[0], old, atomic.type);
}

absl::Status TranslateRed(Translator& t, const Instruction& instruction) {
  if (instruction.Has("async")) return Unsupported(instruction, "red.async");
  ASSIGN_OR_RETURN(const Atomic atomic, ReadAtomic(t, instruction));
  return Emit(t, instruction, atomic, 0).status();
}

}  // namespace

void AddAtomics(TranslateTable* table) {
  (*table)["atom"] = TranslateAtom;
  (*table)["red"] = TranslateRed;
}

}  // namespace flashcp::emulator
