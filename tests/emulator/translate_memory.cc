// ld and st. Each access is checked by the engine, then done by translated code. Loads that may
// wait for another thread's store (volatile, relaxed, acquire) let others run first. PTX ISA, "Data
// Movement and Conversion Instructions: ld, st".

#include "absl/strings/str_cat.h"
#include "support/status_macros.h"
#include "tests/emulator/translate_access.h"

namespace flashcp::emulator {

using ptx::Instruction;
using ptx::Operand;
using ptx::Space;
using ptx::Type;

Space TakeSpace(Modifiers* modifiers) {
  static const auto* const kSpaces = new std::vector<std::pair<const char*, Space>>{
      {"global", Space::kGlobal},      {"shared", Space::kShared},
      {"shared::cta", Space::kShared}, {"shared::cluster", Space::kShared},
      {"local", Space::kLocal},        {"const", Space::kConst},
      {"param", Space::kParam},        {"param::entry", Space::kParam},
  };
  for (const auto& [name, space] : *kSpaces) {
    if (modifiers->Take(name)) return space;
  }
  return Space::kGeneric;
}

AccessSite::Order TakeOrder(Modifiers* modifiers) {
  using Order = AccessSite::Order;
  modifiers->Ignore({"weak", "cta", "cluster", "gpu", "sys"});
  if (modifiers->Take("acquire")) return Order::kAcquire;
  if (modifiers->Take("release")) return Order::kRelease;
  if (modifiers->Take("acq_rel")) return Order::kAcquireRelease;
  const bool relaxed = modifiers->Take("relaxed");
  return modifiers->Take("volatile") || relaxed ? Order::kRelaxed : Order::kWeak;
}

void IgnoreCacheHints(Modifiers* modifiers) {
  modifiers->Ignore({"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "unified", "L1::evict_normal",
                     "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate",
                     "L2::64B", "L2::128B", "L2::256B", "L2::cache_hint"});
}

namespace {

struct Shape {
  Space space;
  AccessSite::Order order;
  Type type;
  int elements;

  int bytes() const { return type.bits() / 8 * elements; }
};

absl::StatusOr<Shape> ReadShape(const Instruction& instruction) {
  Modifiers modifiers(instruction);
  Shape shape;
  ASSIGN_OR_RETURN(shape.type, modifiers.TakeType());
  shape.space = TakeSpace(&modifiers);
  shape.order = TakeOrder(&modifiers);
  IgnoreCacheHints(&modifiers);
  const std::string vector = modifiers.TakeOneOf({"v2", "v4", "v8"});
  shape.elements = vector.empty() ? 1 : vector[1] - '0';
  RETURN_IF_ERROR(modifiers.Finish());
  return shape;
}

// Returns the integer type in which an element is moved.
Type MovedAs(const Type& type) {
  return {type.is_signed() ? Type::Kind::kSigned : Type::Kind::kBits, type.bits(), 1};
}

llvm::Value* ElementPointer(Translator& t, llvm::Value* address, const Shape& shape, int i) {
  return t.Pointer(t.b().CreateAdd(address, t.Constant(64, i * shape.type.bits() / 8)));
}

absl::Status LoadElements(Translator& t, const Operand& destination, llvm::Value* address,
                          const Shape& shape) {
  std::vector<llvm::Value*> values;
  for (int i = 0; i < shape.elements; ++i) {
    values.push_back(
        t.b().CreateLoad(t.Int(shape.type.bits()), ElementPointer(t, address, shape, i)));
  }
  return t.WriteVector(destination, values, MovedAs(shape.type));
}

// Checks a load of a parameter that is named; others have their address from such a name.
absl::Status CheckParameter(Translator& t, const Instruction& instruction, const Shape& shape) {
  const Operand& address = instruction.operands[1];
  if (address.kind != Operand::Kind::kAddress) return absl::OkStatus();
  for (const ptx::Parameter& parameter : t.kernel().code.parameters) {
    if (parameter.name != address.elements[0].name) continue;
    if (address.offset < 0 ||
        static_cast<uint64_t>(address.offset + shape.bytes()) > parameter.bytes) {
      return Unsupported(instruction, absl::StrCat("it reads past the ", parameter.bytes,
                                                   " bytes of the parameter"));
    }
  }
  return absl::OkStatus();
}

absl::Status Load(Translator& t, const Instruction& instruction) {
  ASSIGN_OR_RETURN(const Shape shape, ReadShape(instruction));
  if (instruction.operands.size() != 3) RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  ASSIGN_OR_RETURN(llvm::Value* const address, t.ReadAddress(instruction.operands[1]));
  if (shape.space == Space::kParam) {
    RETURN_IF_ERROR(CheckParameter(t, instruction, shape));
    return LoadElements(t, instruction.operands[0], address, shape);
  }
  if (shape.order != AccessSite::Order::kWeak) t.CallPoll(instruction);
  AccessSite& access = t.NewAccess(instruction);
  access.kind = AccessSite::Kind::kRead;
  access.order = shape.order;
  access.space = shape.space;
  access.bytes = access.alignment = shape.bytes();
  t.CallAccess(access, address);
  return LoadElements(t, instruction.operands[0], address, shape);
}

absl::Status Store(Translator& t, const Instruction& instruction) {
  ASSIGN_OR_RETURN(const Shape shape, ReadShape(instruction));
  if (instruction.operands.size() != 3) RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  ASSIGN_OR_RETURN(llvm::Value* const address, t.ReadAddress(instruction.operands[0]));
  ASSIGN_OR_RETURN(const std::vector<llvm::Value*> values,
                   t.ReadVector(instruction.operands[1], MovedAs(shape.type)));
  if (values.size() != static_cast<size_t>(shape.elements)) {
    return Unsupported(instruction, "the vector has another length than the type");
  }
  AccessSite& access = t.NewAccess(instruction);
  access.kind = AccessSite::Kind::kWrite;
  access.order = shape.order;
  access.space = shape.space;
  access.bytes = access.alignment = shape.bytes();
  t.CallAccess(access, address);
  for (int i = 0; i < shape.elements; ++i) {
    t.b().CreateStore(values[i], ElementPointer(t, address, shape, i));
  }
  return absl::OkStatus();
}

// isspacep: windows of shared memory have addresses that nothing else has.
absl::Status IsSpace(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  const Space space = TakeSpace(&modifiers);
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  if (space != Space::kShared && space != Space::kGlobal) {
    return Unsupported(instruction, "only .shared and .global");
  }
  ASSIGN_OR_RETURN(llvm::Value* const address, t.ReadInt(instruction.operands[1], 64));
  llvm::Value* const offset = t.b().CreateSub(address, t.Constant(64, SharedWindows::kBase));
  const uint64_t bytes = SharedWindows::kMostWindows * SharedWindows::kWindowBytes;
  llvm::Value* const shared = t.b().CreateICmpULT(offset, t.Constant(64, bytes));
  return t.WriteInt(instruction.operands[0],
                    space == Space::kShared ? shared : t.b().CreateNot(shared));
}

absl::Status Prefetch(Translator&, const Instruction&) { return absl::OkStatus(); }

}  // namespace

void AddMemory(TranslateTable* table) {
  (*table)["ld"] = Load;
  (*table)["ldu"] = Load;
  (*table)["st"] = Store;
  (*table)["isspacep"] = IsSpace;
  (*table)["prefetch"] = Prefetch;
  (*table)["prefetchu"] = Prefetch;
}

}  // namespace flashcp::emulator
