// What sm_80 added: cp.async, ldmatrix (sm_75) and mma.sync on bf16. stmatrix, of sm_90, is
// ldmatrix reversed and stands with it.

#include <utility>

#include "support/status_macros.h"
#include "tests/emulator/async_copy.h"
#include "tests/emulator/matrix_operations.h"
#include "tests/emulator/translate_access.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;

// Registers a site without operands.
absl::Status CallLane(Translator& t, const Instruction& instruction,
                      std::function<void(Thread&)> operation) {
  RETURN_IF_ERROR(ExpectOperands(instruction, 0));
  Site& site = t.NewSite(instruction);
  site.lane = [operation = std::move(operation)](Thread& thread, const uint64_t*, uint64_t*) {
    operation(thread);
  };
  t.CallSite(site, {}, 0);
  return absl::OkStatus();
}

absl::Status WaitGroup(Translator& t, const Instruction& instruction) {
  RETURN_IF_ERROR(ExpectOperands(instruction, 1));
  Site& site = t.NewSite(instruction);
  site.lane = [](Thread& thread, const uint64_t* arguments, uint64_t*) {
    WaitCopyGroups(thread, arguments[0]);
  };
  ASSIGN_OR_RETURN(llvm::Value* const pending, t.ReadInt(instruction.operands[0], 32));
  t.CallSite(site, {pending}, 0);
  return absl::OkStatus();
}

// Arguments: shared address, global address, bytes of the source.
void Copy(uint32_t bytes, Thread& thread, const uint64_t* arguments) {
  if (arguments[2] > bytes) thread.engine->Fail(thread, "the source has more bytes than the copy");
  AsyncCopy copy;
  copy.shared = thread.engine->Shared(thread, arguments[0], bytes, bytes);
  copy.bytes = bytes;
  copy.source_bytes = arguments[2];
  copy.global = copy.source_bytes == 0
                    ? nullptr
                    : thread.engine->Global(thread, arguments[1], copy.source_bytes, 1);
  if (arguments[1] % bytes != 0) {
    thread.engine->Fail(thread, "the global address is not a multiple of the copied bytes");
  }
  StartCopy(thread, copy);
}

// Reads the fourth operand: bytes of the source, or a predicate that ignores it.
absl::StatusOr<llvm::Value*> SourceBytes(Translator& t, const Instruction& instruction,
                                         uint32_t bytes) {
  if (instruction.operands.size() == 3) return t.Constant(32, bytes);
  const Operand& operand = instruction.operands[3];
  const bool predicate = operand.kind == Operand::Kind::kRegister &&
                         t.kernel().code.registers[operand.reg].type.bits() == 1;
  if (!predicate) return t.ReadInt(operand, 32);
  ASSIGN_OR_RETURN(llvm::Value* const ignore, t.ReadPredicate(operand));
  return t.b().CreateSelect(ignore, t.Constant(32, 0), t.Constant(32, bytes));
}

// cp.async.{ca,cg}.shared.global [dst], [src], bytes{, source bytes or ignore}
absl::Status StartAsyncCopy(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  modifiers.Take("async");
  const std::string cache = modifiers.TakeOneOf({"ca", "cg"});
  modifiers.Ignore({"shared", "shared::cta", "global", "L2::64B", "L2::128B", "L2::256B"});
  RETURN_IF_ERROR(modifiers.Finish());
  if (instruction.operands.size() != 4) RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  const uint64_t bytes = instruction.operands[2].bits;
  if (bytes != 16 && (cache != "ca" || (bytes != 4 && bytes != 8))) {
    return Unsupported(instruction, "expected 16 bytes, or 4 or 8 with .ca");
  }
  Site& site = t.NewSite(instruction);
  site.lane = [bytes](Thread& thread, const uint64_t* arguments, uint64_t*) {
    Copy(bytes, thread, arguments);
  };
  ASSIGN_OR_RETURN(llvm::Value* const shared, t.ReadAddress(instruction.operands[0]));
  ASSIGN_OR_RETURN(llvm::Value* const global, t.ReadAddress(instruction.operands[1]));
  ASSIGN_OR_RETURN(llvm::Value* const source_bytes, SourceBytes(t, instruction, bytes));
  t.CallSite(site, {shared, global, source_bytes}, 0);
  return absl::OkStatus();
}

absl::Status TranslateCopy(Translator& t, const Instruction& instruction) {
  if (instruction.Has("commit_group")) return CallLane(t, instruction, CommitCopies);
  if (instruction.Has("wait_group")) return WaitGroup(t, instruction);
  if (instruction.Has("wait_all")) return CallLane(t, instruction, WaitAllCopies);
  return StartAsyncCopy(t, instruction);
}

// Takes ".sync.aligned.m8n8.xN{.trans}.shared.b16".
absl::StatusOr<std::pair<int, bool>> ReadMatrixShape(const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  const std::string count = modifiers.TakeOneOf({"x1", "x2", "x4"});
  const bool transposed = modifiers.Take("trans");
  const bool m8n8 = modifiers.Take("m8n8");
  modifiers.Ignore({"sync", "aligned", "shared", "shared::cta"});
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  if (!m8n8 || type.bits() != 16 || count.empty()) {
    return Unsupported(instruction, "only .m8n8 of .b16");
  }
  return std::pair<int, bool>(count[1] - '0', transposed);
}

absl::Status TranslateLoadMatrix(Translator& t, const Instruction& instruction) {
  ASSIGN_OR_RETURN(const auto shape, ReadMatrixShape(instruction));
  const auto [count, transposed] = shape;
  Site& site = t.NewSite(instruction);
  site.warp = [count = count, transposed = transposed](const Meeting& meeting) {
    LoadMatrix(count, transposed, meeting);
  };
  ASSIGN_OR_RETURN(llvm::Value* const address, t.ReadAddress(instruction.operands[1]));
  const std::vector<Operand>& registers = instruction.operands[0].elements;
  if (registers.size() != static_cast<size_t>(count)) {
    return Unsupported(instruction, "the vector has another length than .xN");
  }
  return t.Defer(&site, address, {}, registers);
}

absl::Status TranslateStoreMatrix(Translator& t, const Instruction& instruction) {
  ASSIGN_OR_RETURN(const auto shape, ReadMatrixShape(instruction));
  const auto [count, transposed] = shape;
  Site& site = t.NewSite(instruction);
  site.warp = [count = count, transposed = transposed](const Meeting& meeting) {
    StoreMatrix(count, transposed, meeting);
  };
  ASSIGN_OR_RETURN(llvm::Value* const address, t.ReadAddress(instruction.operands[0]));
  ASSIGN_OR_RETURN(const auto values,
                   t.ReadVector(instruction.operands[1], Type{Type::Kind::kBits, 32, 1}));
  if (values.size() != static_cast<size_t>(count)) {
    return Unsupported(instruction, "the vector has another length than .xN");
  }
  std::vector<llvm::Value*> arguments = {address};
  arguments.insert(arguments.end(), values.begin(), values.end());
  t.CallSite(site, arguments, 0);
  return absl::OkStatus();
}

// Reads ".sync.aligned.m16n8kK.row.col.f32.TYPE.TYPE.f32".
absl::StatusOr<MmaShape> ReadMmaShape(const Instruction& instruction) {
  Modifiers modifiers(instruction);
  MmaShape shape;
  shape.type = instruction.Has("bf16") ? ElementType::kBf16 : ElementType::kF16;
  const char* const element = instruction.Has("bf16") ? "bf16" : "f16";
  shape.k = modifiers.Take("m16n8k16") ? 16 : modifiers.Take("m16n8k8") ? 8 : 0;
  const bool known = shape.k != 0 && modifiers.Take("row") && modifiers.Take("col") &&
                     modifiers.Take("f32") && modifiers.Take("f32") && modifiers.Take(element) &&
                     modifiers.Take(element);
  modifiers.Ignore({"sync", "aligned"});
  RETURN_IF_ERROR(modifiers.Finish());
  if (!known) return Unsupported(instruction, "only m16n8k8 and m16n8k16, bf16 or f16 to f32");
  RETURN_IF_ERROR(ExpectOperands(instruction, 4));
  return shape;
}

absl::Status TranslateMma(Translator& t, const Instruction& instruction) {
  ASSIGN_OR_RETURN(const MmaShape shape, ReadMmaShape(instruction));
  const std::array<size_t, 4> counts = {
      static_cast<size_t>(kMmaAccumulators), static_cast<size_t>(shape.a_registers()),
      static_cast<size_t>(shape.b_registers()), static_cast<size_t>(kMmaAccumulators)};
  std::vector<Operand> inputs;
  for (int i = 0; i < 4; ++i) {
    const std::vector<Operand>& registers = instruction.operands[i].elements;
    if (registers.size() != counts[i]) return Unsupported(instruction, "wrong number of registers");
    if (i > 0) inputs.insert(inputs.end(), registers.begin(), registers.end());
  }
  Site& site = t.NewSite(instruction);
  site.warp = [shape](const Meeting& meeting) { MultiplyAccumulate(shape, meeting); };
  return t.Defer(&site, nullptr, inputs, instruction.operands[0].elements);
}

}  // namespace

void AddSm80(TranslateTable* table) {
  (*table)["cp"] = TranslateCopy;
  (*table)["ldmatrix"] = TranslateLoadMatrix;
  (*table)["stmatrix"] = TranslateStoreMatrix;
  (*table)["mma"] = TranslateMma;
}

}  // namespace flashcp::emulator
