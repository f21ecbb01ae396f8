// What sm_90 added: mbarriers (sm_80, with the bytes of sm_90), bulk copies and tiles of tensor
// maps, wgmma. PTX ISA, "mbarrier", "Data Movement and Conversion Instructions: Bulk copy", "Tensor
// copy", "Asynchronous Warpgroup Level Matrix Instructions".

#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "support/status_macros.h"
#include "tests/emulator/mbarrier_operations.h"
#include "tests/emulator/tma_operations.h"
#include "tests/emulator/translate.h"
#include "tests/emulator/translate_access.h"
#include "tests/emulator/wgmma_operations.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;

// mbarrier operations act on shared memory of the CTA, whatever the way to say so.
void IgnoreSpaceAndScope(Modifiers* modifiers) {
  modifiers->Ignore({"shared", "shared::cta", "shared::cluster", "cta", "cluster", "b64"});
}

// Calls the engine with an address and 32-bit operands from the second on; `absent` stands for
// operands that are not there.
absl::StatusOr<std::vector<llvm::Value*>> ReadBarrierOperands(Translator& t,
                                                              const Instruction& instruction,
                                                              size_t address, size_t count,
                                                              uint64_t absent) {
  std::vector<llvm::Value*> arguments;
  ASSIGN_OR_RETURN(llvm::Value* const at, t.ReadAddress(instruction.operands[address]));
  arguments.push_back(at);
  for (size_t i = address + 1; i <= address + count; ++i) {
    if (i >= instruction.operands.size()) {
      arguments.push_back(t.Constant(64, absent));
      continue;
    }
    ASSIGN_OR_RETURN(llvm::Value* const value, t.ReadInt(instruction.operands[i], 32));
    arguments.push_back(value);
  }
  return arguments;
}

// mbarrier.init [address], count, mbarrier.inval [address], mbarrier.expect_tx and .complete_tx
// [address], bytes
absl::Status TranslateBarrierUpdate(Translator& t, const Instruction& instruction,
                                    void (*update)(Thread&, uint64_t, uint32_t), size_t operands) {
  RETURN_IF_ERROR(ExpectOperands(instruction, operands));
  Site& site = t.NewSite(instruction);
  site.lane = [update](Thread& thread, const uint64_t* arguments, uint64_t*) {
    update(thread, arguments[0], arguments[1]);
  };
  ASSIGN_OR_RETURN(const auto arguments, ReadBarrierOperands(t, instruction, 0, 1, 0));
  t.CallSite(site, arguments, 0);
  return absl::OkStatus();
}

// mbarrier.arrive{.expect_tx} {state or _,} [address]{, count or bytes}
absl::Status TranslateArrive(Translator& t, const Instruction& instruction, bool expects) {
  const bool has_state = instruction.operands[0].kind != Operand::Kind::kAddress;
  Site& site = t.NewSite(instruction);
  site.lane = [expects](Thread& thread, const uint64_t* arguments, uint64_t* results) {
    const uint32_t operand = arguments[1];
    results[0] = expects ? ArriveAtMbarrier(thread, arguments[0], 1, operand)
                         : ArriveAtMbarrier(thread, arguments[0], operand, 0);
  };
  ASSIGN_OR_RETURN(const auto arguments,
                   ReadBarrierOperands(t, instruction, has_state ? 1 : 0, 1, /*absent=*/1));
  const auto results = t.CallSite(site, arguments, 1);
  if (!has_state || instruction.operands[0].kind == Operand::Kind::kSink) return absl::OkStatus();
  return t.WriteInt(instruction.operands[0], results[0]);
}

// mbarrier.{test,try}_wait{.parity} predicate, [address], state or parity{, time}
absl::Status TranslateWait(Translator& t, const Instruction& instruction, bool parity, bool tries) {
  if (instruction.operands.size() != 4) RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  if (!tries) t.CallPoll(instruction);  // It may be in a loop.
  Site& site = t.NewSite(instruction);
  site.lane = [parity, tries](Thread& thread, const uint64_t* arguments, uint64_t* results) {
    const MbarrierPhase phase = {arguments[1], parity};
    results[0] = tries ? TryMbarrier(thread, arguments[0], phase)
                       : TestMbarrier(thread, arguments[0], phase);
  };
  ASSIGN_OR_RETURN(llvm::Value* const address, t.ReadAddress(instruction.operands[1]));
  ASSIGN_OR_RETURN(llvm::Value* const phase, t.ReadInt(instruction.operands[2], parity ? 32 : 64));
  const auto results = t.CallSite(site, {address, phase}, 1);
  return t.WriteInt(instruction.operands[0], t.b().CreateTrunc(results[0], t.Int(1)));
}

absl::Status TranslateMbarrier(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  const std::string name = modifiers.TakeOneOf(
      {"init", "inval", "arrive", "test_wait", "try_wait", "expect_tx", "complete_tx"});
  const bool expects = name == "arrive" && modifiers.Take("expect_tx");
  const bool parity = modifiers.Take("parity");
  modifiers.Ignore({"release", "acquire", "relaxed"});
  IgnoreSpaceAndScope(&modifiers);
  RETURN_IF_ERROR(modifiers.Finish());
  if (name == "init") return TranslateBarrierUpdate(t, instruction, InitMbarrier, 2);
  if (name == "expect_tx") return TranslateBarrierUpdate(t, instruction, ExpectBytes, 2);
  if (name == "complete_tx") return TranslateBarrierUpdate(t, instruction, CompleteBytes, 2);
  if (name == "inval") {
    const auto invalidate = [](Thread& thread, uint64_t address, uint32_t) {
      InvalidateMbarrier(thread, address);
    };
    return TranslateBarrierUpdate(t, instruction, invalidate, 1);
  }
  if (name == "arrive") return TranslateArrive(t, instruction, expects);
  if (name.empty()) return Unsupported(instruction, "unknown operation of an mbarrier");
  return TranslateWait(t, instruction, parity, name == "try_wait");
}

// Modifiers of a bulk copy: its direction is that of its state spaces.
struct BulkForm {
  BulkCopy::Kind kind;
  int rank = 0;  // Of a tensor; 0 for plain bytes.
};

absl::StatusOr<BulkForm> ReadBulkForm(const Instruction& instruction, bool reduces) {
  Modifiers modifiers(instruction);
  BulkForm form;
  modifiers.Ignore({"async", "reduce", "bulk", "tile", "L2::cache_hint"});
  const bool load = modifiers.Take("mbarrier::complete_tx::bytes");
  const bool store = modifiers.Take("bulk_group");
  const bool from_shared = instruction.Has("shared::cta") && store;
  modifiers.Ignore({"global", "shared::cta", "shared::cluster"});
  if (modifiers.Take("tensor")) {
    const std::string rank = modifiers.TakeOneOf({"1d", "2d", "3d", "4d", "5d"});
    if (rank.empty()) return Unsupported(instruction, "a tensor without a rank");
    form.rank = rank[0] - '0';
  }
  if (reduces) {
    if (!modifiers.Take("add")) return Unsupported(instruction, "only .add");
    if (form.rank == 0 && !modifiers.Take("f32")) return Unsupported(instruction, "only .f32");
  }
  RETURN_IF_ERROR(modifiers.Finish());
  if (load == from_shared || (reduces && load)) {
    return Unsupported(instruction,
                       "only copies from global to shared memory of the CTA with an "
                       "mbarrier, and back with .bulk_group");
  }
  form.kind = load      ? BulkCopy::Kind::kLoad
              : reduces ? BulkCopy::Kind::kReduceAdd
                        : BulkCopy::Kind::kStore;
  return form;
}

// cp.async.bulk.tensor.Nd [shared], [map, {coordinates}], [mbarrier] and [map, {coordinates}],
// [shared]
absl::Status TranslateTile(Translator& t, const Instruction& instruction, const BulkForm& form) {
  const bool load = form.kind == BulkCopy::Kind::kLoad;
  const auto& operands = instruction.operands;
  if (operands.size() < (load ? 3 : 2)) return Unsupported(instruction, "too few operands");
  const Operand& tensor = operands[load ? 1 : 0];
  if (tensor.kind != Operand::Kind::kAddress || tensor.elements.size() != 2) {
    return Unsupported(instruction, "expected [map, {coordinates}]");
  }
  std::vector<llvm::Value*> arguments;
  ASSIGN_OR_RETURN(llvm::Value* const shared, t.ReadAddress(operands[load ? 0 : 1]));
  ASSIGN_OR_RETURN(llvm::Value* const map, t.ReadInt(tensor.elements[0], 64));
  arguments = {shared, map, t.Constant(64, 0)};
  if (load) {
    ASSIGN_OR_RETURN(arguments[2], t.ReadAddress(operands[2]));
  }
  ASSIGN_OR_RETURN(const auto coordinates,
                   t.ReadVector(tensor.elements[1], Type{Type::Kind::kBits, 32, 1}));
  if (coordinates.size() != static_cast<size_t>(form.rank)) {
    return Unsupported(instruction, absl::StrCat(coordinates.size(), " coordinates"));
  }
  arguments.insert(arguments.end(), coordinates.begin(), coordinates.end());
  Site& site = t.NewSite(instruction);
  site.lane = [form](Thread& thread, const uint64_t* arguments, uint64_t*) {
    int32_t coordinates[TensorMap::kMaxRank];
    for (int i = 0; i < form.rank; ++i) coordinates[i] = static_cast<int32_t>(arguments[3 + i]);
    StartTile(thread, form.kind, {arguments[0], arguments[1], arguments[2]},
              absl::MakeConstSpan(coordinates, form.rank));
  };
  t.CallSite(site, arguments, 0);
  return absl::OkStatus();
}

// cp.async.bulk [shared], [global], bytes, [mbarrier] and [global], [shared], bytes
absl::Status TranslateBytes(Translator& t, const Instruction& instruction, const BulkForm& form) {
  const bool load = form.kind == BulkCopy::Kind::kLoad;
  const auto& operands = instruction.operands;
  if (operands.size() < (load ? 4 : 3)) return Unsupported(instruction, "too few operands");
  ASSIGN_OR_RETURN(llvm::Value* const shared, t.ReadAddress(operands[load ? 0 : 1]));
  ASSIGN_OR_RETURN(llvm::Value* const global, t.ReadAddress(operands[load ? 1 : 0]));
  ASSIGN_OR_RETURN(llvm::Value* const bytes, t.ReadInt(operands[2], 32));
  llvm::Value* mbarrier = t.Constant(64, 0);
  if (load) {
    ASSIGN_OR_RETURN(mbarrier, t.ReadAddress(operands[3]));
  }
  Site& site = t.NewSite(instruction);
  site.lane = [form](Thread& thread, const uint64_t* arguments, uint64_t*) {
    StartBytes(thread, form.kind, {arguments[0], arguments[1], arguments[2]}, arguments[3]);
  };
  t.CallSite(site, {shared, global, mbarrier, bytes}, 0);
  return absl::OkStatus();
}

// Reads the number of groups that a wait leaves pending.
absl::StatusOr<int> ReadPending(const Instruction& instruction) {
  RETURN_IF_ERROR(ExpectOperands(instruction, 1));
  const Operand& operand = instruction.operands[0];
  if (operand.kind == Operand::Kind::kImmediate) return static_cast<int>(operand.bits);
  return Unsupported(instruction, "expected a number of groups");
}

absl::Status TranslateBulk(Translator& t, const Instruction& instruction, bool reduces) {
  if (instruction.Has("prefetch")) return absl::OkStatus();
  const bool commits = instruction.Has("commit_group");
  if (!commits && !instruction.Has("wait_group")) {
    ASSIGN_OR_RETURN(const BulkForm form, ReadBulkForm(instruction, reduces));
    return form.rank > 0 ? TranslateTile(t, instruction, form)
                         : TranslateBytes(t, instruction, form);
  }
  int pending = 0;
  if (!commits) {
    ASSIGN_OR_RETURN(pending, ReadPending(instruction));
  }
  const bool read = instruction.Has("read");
  Site& site = t.NewSite(instruction);
  site.lane = [commits, pending, read](Thread& thread, const uint64_t*, uint64_t*) {
    if (commits) {
      CommitBulkGroup(thread);
    } else {
      WaitBulkGroups(thread, pending, read);
    }
  };
  t.CallSite(site, {}, 0);
  return absl::OkStatus();
}

// The sign that an immediate gives to an operand: 1 or -1.
absl::StatusOr<bool> ReadNegation(const Instruction& instruction, const Operand& operand) {
  const int64_t sign = static_cast<int32_t>(operand.bits);
  if (operand.kind != Operand::Kind::kImmediate || (sign != 1 && sign != -1)) {
    return Unsupported(instruction, "the signs of A and B must be 1 or -1");
  }
  return sign == -1;
}

absl::StatusOr<Major> ReadMajor(const Instruction& instruction, const Operand& operand) {
  if (operand.kind != Operand::Kind::kImmediate || operand.bits > 1) {
    return Unsupported(instruction, "a transposition must be 0 or 1");
  }
  return operand.bits == 1 ? Major::kMn : Major::kK;
}

// Takes ".mma_async.sync.aligned.m64nNk16.f32.TYPE.TYPE".
absl::StatusOr<WgmmaShape> ReadWgmmaShape(const Instruction& instruction) {
  Modifiers modifiers(instruction);
  modifiers.Ignore({"mma_async", "sync", "aligned"});
  WgmmaShape shape;
  shape.type = instruction.Has("bf16") ? ElementType::kBf16 : ElementType::kF16;
  const char* const element = instruction.Has("bf16") ? "bf16" : "f16";
  bool known = modifiers.Take("f32") && modifiers.Take(element) && modifiers.Take(element);
  shape.n = 0;
  for (int n = 8; n <= kWgmmaMaxN; n += 8) {
    if (modifiers.Take(absl::StrCat("m64n", n, "k16"))) shape.n = n;
  }
  RETURN_IF_ERROR(modifiers.Finish());
  if (!known || shape.n == 0) {
    return Unsupported(instruction, "only m64nNk16 of bf16 or f16, to f32");
  }
  return shape;
}

// Reads the operands D, A, B, scale-d, sign of A, sign of B, {transposition of A,} that of B.
absl::StatusOr<WgmmaInstruction> ReadWgmma(Translator& t, const Instruction& instruction) {
  WgmmaInstruction wgmma;
  wgmma.line = instruction.line;
  ASSIGN_OR_RETURN(wgmma.shape, ReadWgmmaShape(instruction));
  const auto& operands = instruction.operands;
  wgmma.shape.a_in_registers = operands.size() > 1 && operands[1].kind == Operand::Kind::kVector;
  RETURN_IF_ERROR(ExpectOperands(instruction, wgmma.shape.a_in_registers ? 7 : 8));
  ASSIGN_OR_RETURN(wgmma.shape.negate_a, ReadNegation(instruction, operands[4]));
  ASSIGN_OR_RETURN(wgmma.shape.negate_b, ReadNegation(instruction, operands[5]));
  ASSIGN_OR_RETURN(wgmma.shape.b_major, ReadMajor(instruction, operands.back()));
  if (!wgmma.shape.a_in_registers) {
    ASSIGN_OR_RETURN(wgmma.shape.a_major, ReadMajor(instruction, operands[6]));
  }
  for (const Operand& element : operands[0].elements) {
    ASSIGN_OR_RETURN(const uint16_t index, t.FrameRegister(element));
    wgmma.accumulators.push_back(index);
  }
  if (wgmma.accumulators.size() != static_cast<size_t>(wgmma.shape.accumulators())) {
    return Unsupported(instruction, "another number of accumulators than the shape has");
  }
  if (!wgmma.shape.a_in_registers) return wgmma;
  if (operands[1].elements.size() != wgmma.a.size()) {
    return Unsupported(instruction, "A takes four registers");
  }
  for (size_t i = 0; i < wgmma.a.size(); ++i) {
    ASSIGN_OR_RETURN(wgmma.a[i], t.FrameRegister(operands[1].elements[i]));
  }
  return wgmma;
}

absl::Status TranslateProduct(Translator& t, const Instruction& instruction) {
  ASSIGN_OR_RETURN(WgmmaInstruction read, ReadWgmma(t, instruction));
  const auto wgmma = std::make_shared<const WgmmaInstruction>(std::move(read));
  Site& site = t.NewSite(instruction);
  site.warp = [wgmma](const Meeting& meeting) { IssueProduct(*wgmma, meeting); };
  llvm::Value* a = t.Constant(64, 0);
  if (!wgmma->shape.a_in_registers) {
    ASSIGN_OR_RETURN(a, t.ReadInt(instruction.operands[1], 64));
  }
  ASSIGN_OR_RETURN(llvm::Value* const b, t.ReadInt(instruction.operands[2], 64));
  ASSIGN_OR_RETURN(llvm::Value* const accumulate, t.ReadPredicate(instruction.operands[3]));
  t.CallSite(site, {a, b, accumulate}, 0);
  return absl::OkStatus();
}

absl::Status TranslateWgmma(Translator& t, const Instruction& instruction) {
  if (instruction.Has("mma_async")) return TranslateProduct(t, instruction);
  std::function<void(const Meeting&)> operation;
  if (instruction.Has("fence")) {
    operation = FenceProducts;
  } else if (instruction.Has("commit_group")) {
    operation = CommitProducts;
  } else if (instruction.Has("wait_group")) {
    ASSIGN_OR_RETURN(const int pending, ReadPending(instruction));
    operation = [pending](const Meeting& meeting) { WaitProducts(pending, meeting); };
  } else {
    return Unsupported(instruction, "unknown wgmma instruction");
  }
  Site& site = t.NewSite(instruction);
  site.warp = std::move(operation);
  t.CallSite(site, {}, 0);
  return absl::OkStatus();
}

}  // namespace

void AddSm90(TranslateTable* table) {
  (*table)["mbarrier"] = TranslateMbarrier;
  (*table)["wgmma"] = TranslateWgmma;
  const Translate copy = (*table)["cp"];
  (*table)["cp"] = [copy](Translator& t, const Instruction& instruction) {
    const bool reduces = instruction.Has("reduce");
    return instruction.Has("bulk") ? TranslateBulk(t, instruction, reduces) : copy(t, instruction);
  };
}

}  // namespace flashcp::emulator
