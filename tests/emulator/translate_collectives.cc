// Instructions for which lanes of a warp meet: shfl, vote, redux, elect, barriers of warps and
// CTAs.

#include <cstddef>
#include <utility>

#include "support/status_macros.h"
#include "tests/emulator/translate.h"
#include "tests/emulator/warp_barriers.h"
#include "tests/emulator/warp_operations.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;

// Reads operands as 32-bit arguments.
absl::StatusOr<std::vector<llvm::Value*>> ReadArguments(Translator& t,
                                                        const Instruction& instruction,
                                                        const std::vector<int>& operands) {
  std::vector<llvm::Value*> arguments;
  for (int i : operands) {
    ASSIGN_OR_RETURN(llvm::Value* const argument, t.ReadInt(instruction.operands[i], 32));
    arguments.push_back(argument);
  }
  return arguments;
}

// Writes a value to "d" or "d|p", and the predicate of the latter.
absl::Status WritePair(Translator& t, const Operand& operand,
                       const std::vector<llvm::Value*>& results) {
  auto& b = t.b();
  llvm::Value* const value = b.CreateTrunc(results[0], t.Int(32));
  if (operand.kind != Operand::Kind::kPair) return t.WriteInt(operand, value);
  RETURN_IF_ERROR(t.WriteInt(operand.elements[0], value));
  return t.WriteInt(operand.elements[1], b.CreateTrunc(results[1], t.Int(1)));
}

// shfl.sync.MODE.b32 d|p, a, b, c, mask
absl::Status TranslateShuffle(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  RETURN_IF_ERROR(modifiers.TakeType().status());
  const bool sync = modifiers.Take("sync");
  const std::string name = modifiers.TakeOneOf({"up", "down", "bfly", "idx"});
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 5));
  if (!sync || name.empty()) return Unsupported(instruction, "expected shfl.sync with a mode");
  const ShuffleMode mode = name == "up"     ? ShuffleMode::kUp
                           : name == "down" ? ShuffleMode::kDown
                           : name == "bfly" ? ShuffleMode::kButterfly
                                            : ShuffleMode::kIndex;
  Site& site = t.NewSite(instruction);
  site.mask_argument = 3;
  site.warp = [mode](const Meeting& meeting) { Shuffle(mode, meeting); };
  ASSIGN_OR_RETURN(const auto arguments, ReadArguments(t, instruction, {1, 2, 3, 4}));
  return WritePair(t, instruction.operands[0], t.CallSite(site, arguments, 2));
}

// vote.sync.{all,any,uni}.pred p, a, mask and vote.sync.ballot.b32 d, a, mask
absl::Status TranslateVote(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  const bool sync = modifiers.Take("sync");
  const std::string name = modifiers.TakeOneOf({"all", "any", "uni", "ballot"});
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  if (!sync || name.empty()) return Unsupported(instruction, "expected vote.sync with a mode");
  const VoteMode mode = name == "all"   ? VoteMode::kAll
                        : name == "any" ? VoteMode::kAny
                        : name == "uni" ? VoteMode::kUniform
                                        : VoteMode::kBallot;
  Site& site = t.NewSite(instruction);
  site.mask_argument = 1;
  site.warp = [mode](const Meeting& meeting) { Vote(mode, meeting); };
  ASSIGN_OR_RETURN(llvm::Value* const predicate, t.ReadPredicate(instruction.operands[1]));
  ASSIGN_OR_RETURN(llvm::Value* const mask, t.ReadInt(instruction.operands[2], 32));
  const auto results = t.CallSite(site, {predicate, mask}, 1);
  return t.WriteInt(instruction.operands[0], t.b().CreateTrunc(results[0], t.Int(type.bits())));
}

absl::StatusOr<ReductionMode> ReductionOf(const Instruction& instruction, const std::string& name) {
  if (name == "add") return ReductionMode::kAdd;
  if (name == "min") return ReductionMode::kMin;
  if (name == "max") return ReductionMode::kMax;
  if (name == "and") return ReductionMode::kAnd;
  if (name == "or") return ReductionMode::kOr;
  if (name == "xor") return ReductionMode::kXor;
  return Unsupported(instruction, "unknown reduction");
}

// redux.sync.OP.TYPE d, a, mask
absl::Status TranslateReduction(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  ASSIGN_OR_RETURN(const Type type, modifiers.TakeType());
  modifiers.Ignore({"sync"});
  const std::string name = modifiers.TakeOneOf({"add", "min", "max", "and", "or", "xor"});
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 3));
  if (type.bits() != 32 || type.is_float()) return Unsupported(instruction, "only integers");
  ASSIGN_OR_RETURN(const ReductionMode mode, ReductionOf(instruction, name));
  Site& site = t.NewSite(instruction);
  site.mask_argument = 1;
  site.warp = [mode, is_signed = type.is_signed()](const Meeting& meeting) {
    Reduce(mode, is_signed, meeting);
  };
  ASSIGN_OR_RETURN(const auto arguments, ReadArguments(t, instruction, {1, 2}));
  return WritePair(t, instruction.operands[0], t.CallSite(site, arguments, 1));
}

// elect.sync d|p, mask
absl::Status TranslateElect(Translator& t, const Instruction& instruction) {
  Modifiers modifiers(instruction);
  modifiers.Ignore({"sync"});
  RETURN_IF_ERROR(modifiers.Finish());
  RETURN_IF_ERROR(ExpectOperands(instruction, 2));
  Site& site = t.NewSite(instruction);
  site.mask_argument = 0;
  site.warp = Elect;
  ASSIGN_OR_RETURN(const auto arguments, ReadArguments(t, instruction, {1}));
  return WritePair(t, instruction.operands[0], t.CallSite(site, arguments, 2));
}

// bar.warp.sync mask
absl::Status TranslateWarpBarrier(Translator& t, const Instruction& instruction) {
  RETURN_IF_ERROR(ExpectOperands(instruction, 1));
  Site& site = t.NewSite(instruction);
  site.mask_argument = 0;
  site.warp = [](const Meeting& meeting) {
    if (RaceTracker* const races = meeting.engine.races()) races->Synchronize(meeting);
  };
  ASSIGN_OR_RETURN(const auto arguments, ReadArguments(t, instruction, {0}));
  t.CallSite(site, arguments, 0);
  return absl::OkStatus();
}

// bar.sync id{, threads}, bar.arrive id, threads, and barrier.cta of both. The warp arrives as one,
// also without .aligned.
absl::Status TranslateBarrier(Translator& t, const Instruction& instruction) {
  if (instruction.Has("warp")) return TranslateWarpBarrier(t, instruction);
  Modifiers modifiers(instruction);
  const std::string name = modifiers.TakeOneOf({"sync", "arrive"});
  modifiers.Ignore({"cta", "aligned"});
  RETURN_IF_ERROR(modifiers.Finish());
  if (name.empty()) return Unsupported(instruction, "only .sync and .arrive");
  const bool counted = instruction.operands.size() == 2;
  if (!counted) RETURN_IF_ERROR(ExpectOperands(instruction, 1));
  Site& site = t.NewSite(instruction);
  site.warp = [wait = name == "sync"](const Meeting& meeting) { ArriveAtBarrier(wait, meeting); };
  ASSIGN_OR_RETURN(auto arguments, ReadArguments(t, instruction, {0}));
  llvm::Value* count = t.Constant(32, 0);
  if (counted) {
    ASSIGN_OR_RETURN(count, t.ReadInt(instruction.operands[1], 32));
  }
  arguments.push_back(count);
  t.CallSite(site, arguments, 0);
  return absl::OkStatus();
}

// Lanes are never converged here, which the ISA allows: each is alone.
absl::Status TranslateActiveMask(Translator& t, const Instruction& instruction) {
  RETURN_IF_ERROR(ExpectOperands(instruction, 1));
  llvm::Value* const lane = t.LoadContext(offsetof(ThreadContext, laneid), 32);
  return t.WriteInt(instruction.operands[0], t.b().CreateShl(t.Constant(32, 1), lane));
}

}  // namespace

void AddCollectives(TranslateTable* table) {
  (*table)["shfl"] = TranslateShuffle;
  (*table)["vote"] = TranslateVote;
  (*table)["redux"] = TranslateReduction;
  (*table)["elect"] = TranslateElect;
  (*table)["bar"] = TranslateBarrier;
  (*table)["barrier"] = TranslateBarrier;
  (*table)["activemask"] = TranslateActiveMask;
}

}  // namespace flashcp::emulator
