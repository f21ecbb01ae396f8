// The frame of a translation: variables, registers, blocks, guards, operands, calls of the engine.

#include "tests/emulator/translate.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/Metadata.h"
#include "support/status_macros.h"
#include "tests/emulator/engine.h"
#include "tests/emulator/register_use.h"
#include "tests/emulator/runtime_calls.h"

namespace flashcp::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;

constexpr int kMostSlots = 24;

const TranslateTable& Table() {
  static const TranslateTable* const table = [] {
    auto* const table = new TranslateTable;
    AddDataMovement(table);
    AddIntegerArithmetic(table);
    AddBitOperations(table);
    AddFloatArithmetic(table);
    AddComparisons(table);
    AddConversions(table);
    AddMemory(table);
    AddAtomics(table);
    AddCollectives(table);
    AddControl(table);
    AddSm80(table);
    AddSm90(table);
    return table;
  }();
  return *table;
}

// Returns the least offset from `end` that has the alignment but no higher one: code that needs
// more than what is declared is found out.
uint64_t AlignNoMore(uint64_t end, uint64_t alignment) {
  const uint64_t aligned = (end + alignment - 1) / alignment * alignment;
  return aligned / alignment % 2 == 0 ? aligned + alignment : aligned;
}

// Bits of a register that was never written.
uint64_t PoisonBits(int bits) {
  const uint64_t pattern = uint64_t{kPoisonWord} << 32 | kPoisonWord;
  return bits == 64 ? pattern : pattern & ((uint64_t{1} << bits) - 1);
}

// Whether the engine works on registers of the instruction, rather than on copies.
bool IsMatrixInstruction(const Instruction& instruction) {
  return instruction.opcode == "mma" || instruction.opcode == "ldmatrix" ||
         (instruction.opcode == "wgmma" && instruction.Has("mma_async"));
}

// Errors about an operand do not know the instruction.
absl::Status WithPlace(const Instruction& instruction, const absl::Status& status) {
  if (status.ok() || absl::StartsWith(status.message(), "PTX line")) return status;
  return Unsupported(instruction, status.message());
}

}  // namespace

bool IsFloatInstruction(const Instruction& instruction) {
  Type type;
  return !instruction.modifiers.empty() && ptx::ParseType(instruction.modifiers.back(), &type) &&
         type.is_float();
}

bool Modifiers::Take(absl::string_view modifier) {
  const auto found = std::find(left_.begin(), left_.end(), modifier);
  if (found == left_.end()) return false;
  left_.erase(found);
  return true;
}

void Modifiers::Ignore(const std::vector<absl::string_view>& modifiers) {
  for (absl::string_view modifier : modifiers) Take(modifier);
}

std::string Modifiers::TakeOneOf(const std::vector<absl::string_view>& choices) {
  for (absl::string_view choice : choices) {
    if (Take(choice)) return std::string(choice);
  }
  return "";
}

absl::StatusOr<Type> Modifiers::TakeType() {
  Type type;
  if (left_.empty() || !ptx::ParseType(left_.back(), &type)) {
    return Unsupported(instruction_, "the last modifier is not a known type");
  }
  left_.pop_back();
  return type;
}

absl::Status Modifiers::Finish() const {
  if (left_.empty()) return absl::OkStatus();
  return Unsupported(instruction_, absl::StrCat("the modifier .", left_.front()));
}

absl::Status Unsupported(const Instruction& instruction, absl::string_view what) {
  return absl::UnimplementedError(absl::StrCat("PTX line ", instruction.line,
                                               ": unsupported instruction \"", instruction.text,
                                               "\": ", what));
}

absl::Status ExpectOperands(const Instruction& instruction, size_t count) {
  if (instruction.operands.size() == count) return absl::OkStatus();
  return Unsupported(instruction, absl::StrCat("it has ", instruction.operands.size(),
                                               " operands, expected ", count));
}

Translator::Translator(Kernel* kernel, const std::vector<ptx::Variable>& module_variables,
                       const Variables& addresses, llvm::Module* module)
    : kernel_(*kernel),
      module_variables_(module_variables),
      addresses_(addresses),
      module_(*module),
      builder_(module->getContext()) {}

absl::Status Translator::Run() {
  RETURN_IF_ERROR(LayOut(module_variables_));
  llvm::Type* const pointer = builder_.getPtrTy();
  auto* const type = llvm::FunctionType::get(builder_.getVoidTy(), {pointer, pointer}, false);
  function_ =
      llvm::Function::Create(type, llvm::Function::ExternalLinkage, kernel_.code.name, module_);
  function_->addFnAttr(llvm::Attribute::NoUnwind);
  entry_ = llvm::BasicBlock::Create(module_.getContext(), "entry", function_);
  builder_.SetInsertPoint(entry_);
  FindFrameRegisters();
  CreateRegisters();
  CreateBlocks();
  return TranslateAll();
}

void Translator::AddShared(const ptx::Variable& variable, uint64_t* end) {
  const uint64_t offset = AlignNoMore(*end, variable.alignment);
  locations_[variable.name] = {false, offset, offsetof(ThreadContext, shared_base)};
  *end = offset + variable.bytes;
}

absl::Status Translator::LayOut(const std::vector<ptx::Variable>& module_variables) {
  uint64_t shared = SharedWindows::kSystemBytes;
  std::vector<const ptx::Variable*> dynamic;
  std::vector<const ptx::Variable*> variables;
  for (const ptx::Variable& variable : module_variables) variables.push_back(&variable);
  for (const ptx::Variable& variable : kernel_.code.variables) variables.push_back(&variable);
  for (const ptx::Variable* variable : variables) {
    if (variable->dynamic) {
      dynamic.push_back(variable);
    } else if (variable->space == ptx::Space::kShared) {
      AddShared(*variable, &shared);
    } else if (variable->space == ptx::Space::kLocal) {
      kernel_.local_bytes = AlignNoMore(kernel_.local_bytes, variable->alignment);
      locations_[variable->name] = {false, kernel_.local_bytes,
                                    offsetof(ThreadContext, local_base)};
      kernel_.local_bytes += variable->bytes;
    } else {
      locations_[variable->name] = {true, addresses_.at(variable->name), 0};
    }
  }
  kernel_.local_bytes = (kernel_.local_bytes + 127) / 128 * 128;
  kernel_.static_shared_bytes = shared - SharedWindows::kSystemBytes;
  uint64_t alignment = 1;
  for (const ptx::Variable* variable : dynamic) {
    alignment = std::max(alignment, variable->alignment);
  }
  kernel_.has_dynamic_shared = !dynamic.empty();
  kernel_.dynamic_shared_offset = dynamic.empty() ? shared : AlignNoMore(shared, alignment);
  for (const ptx::Variable* variable : dynamic) {
    locations_[variable->name] = {false, kernel_.dynamic_shared_offset,
                                  offsetof(ThreadContext, shared_base)};
  }
  for (const ptx::Parameter& parameter : kernel_.code.parameters) {
    parameters_[parameter.name] = parameter.offset;
  }
  return absl::OkStatus();
}

// Numbers the registers of matrix instructions by their first appearance.
void Translator::FindFrameRegisters() {
  frame_numbers_.assign(kernel_.code.registers.size(), -1);
  for (const Instruction& instruction : kernel_.code.instructions) {
    if (!IsMatrixInstruction(instruction)) continue;
    for (const Operand& operand : instruction.operands) {
      if (operand.kind != Operand::Kind::kVector) continue;
      for (const Operand& element : operand.elements) {
        if (element.reg < 0 || frame_numbers_[element.reg] >= 0) continue;
        frame_numbers_[element.reg] = kernel_.frame_registers++;
      }
    }
    if (instruction.opcode != "ldmatrix") continue;
    address_slots_[&instruction] = kernel_.frame_registers;
    kernel_.frame_registers += 2;
  }
}

void Translator::CreateRegisters() {
  arguments_ = builder_.CreateAlloca(llvm::ArrayType::get(Int(64), kMostSlots));
  results_ = builder_.CreateAlloca(llvm::ArrayType::get(Int(64), kMostSlots));
  frame_ = Pointer(LoadContext(offsetof(ThreadContext, frame), 64));
  const std::vector<bool> written_before_use = WrittenBeforeUse(kernel_.code);
  for (size_t reg = 0; reg < kernel_.code.registers.size(); ++reg) {
    const int bits = kernel_.code.registers[reg].type.bits();
    llvm::Value* const pointer = frame_numbers_[reg] >= 0 ? FrameSlotPointer(frame_numbers_[reg])
                                                          : builder_.CreateAlloca(Int(bits));
    if (!written_before_use[reg] && frame_numbers_[reg] < 0) {
      builder_.CreateStore(Constant(bits, PoisonBits(bits)), pointer);
    }
    registers_.push_back(pointer);
  }
}

// Returns the address of the thread's lane of a register in the frame.
llvm::Value* Translator::FrameSlotPointer(int number) {
  return builder_.CreateConstInBoundsGEP1_64(Int(32), frame_, int64_t{number} * kLanes);
}

void Translator::CreateBlocks() {
  blocks_.assign(kernel_.code.instructions.size() + 1, nullptr);
  for (const Instruction& instruction : kernel_.code.instructions) {
    if (instruction.opcode != "bra") continue;
    llvm::BasicBlock*& block = blocks_[instruction.operands[0].target];
    if (block != nullptr) continue;
    block = llvm::BasicBlock::Create(module_.getContext(), "label", function_);
  }
}

void Translator::StartBlock(llvm::BasicBlock* block) {
  if (builder_.GetInsertBlock()->getTerminator() == nullptr) builder_.CreateBr(block);
  builder_.SetInsertPoint(block);
}

absl::Status Translator::TranslateAll() {
  const int count = static_cast<int>(kernel_.code.instructions.size());
  for (int i = 0; i < count; ++i) {
    if (blocks_[i] != nullptr) {
      CallDeferred();
      StartBlock(blocks_[i]);
    }
    if (!MayPassDeferred(kernel_.code.instructions[i])) CallDeferred();
    RETURN_IF_ERROR(TranslateOne(i));
  }
  CallDeferred();
  if (blocks_[count] != nullptr) StartBlock(blocks_[count]);
  if (builder_.GetInsertBlock()->getTerminator() == nullptr) builder_.CreateRetVoid();
  return absl::OkStatus();
}

llvm::Value* Translator::Guard(const Instruction& instruction) {
  llvm::Value* const value = LoadRegister(instruction.guard);
  return instruction.guard_negated ? builder_.CreateNot(value) : value;
}

absl::Status Translator::TranslateOne(int index) {
  const Instruction& instruction = kernel_.code.instructions[index];
  if (instruction.opcode == "bra") return TranslateBranch(index);
  llvm::BasicBlock* after = nullptr;
  if (instruction.guard >= 0) {
    auto* const then = llvm::BasicBlock::Create(module_.getContext(), "then", function_);
    after = llvm::BasicBlock::Create(module_.getContext(), "after", function_);
    builder_.CreateCondBr(Guard(instruction), then, after);
    builder_.SetInsertPoint(then);
  }
  RETURN_IF_ERROR(TranslateBody(instruction));
  if (instruction.guard >= 0) CallDeferred();
  if (after == nullptr && builder_.GetInsertBlock()->getTerminator() != nullptr) {
    after = llvm::BasicBlock::Create(module_.getContext(), "after", function_);
  }
  if (after != nullptr) StartBlock(after);
  return absl::OkStatus();
}

// Translates an instruction without its guard.
absl::Status Translator::TranslateBody(const Instruction& instruction) {
  if (instruction.opcode == "ret" || instruction.opcode == "exit") {
    builder_.CreateRetVoid();
    return absl::OkStatus();
  }
  const auto found = Table().find(instruction.opcode);
  if (found == Table().end()) return Unsupported(instruction, "unknown opcode");
  return WithPlace(instruction, found->second(*this, instruction));
}

absl::Status Translator::TranslateBranch(int index) {
  const Instruction& instruction = kernel_.code.instructions[index];
  Modifiers modifiers(instruction);
  modifiers.Ignore({"uni"});
  RETURN_IF_ERROR(modifiers.Finish());
  const int target = instruction.operands[0].target;
  auto* const next = llvm::BasicBlock::Create(module_.getContext(), "next", function_);
  if (target > index) {
    if (instruction.guard >= 0) {
      builder_.CreateCondBr(Guard(instruction), blocks_[target], next);
    } else {
      builder_.CreateBr(blocks_[target]);
    }
    builder_.SetInsertPoint(next);
    return absl::OkStatus();
  }
  if (instruction.guard >= 0) {
    auto* const taken = llvm::BasicBlock::Create(module_.getContext(), "taken", function_);
    builder_.CreateCondBr(Guard(instruction), taken, next);
    builder_.SetInsertPoint(taken);
  }
  EmitBranchBudget(instruction);
  builder_.CreateBr(blocks_[target]);
  builder_.SetInsertPoint(next);
  return absl::OkStatus();
}

// Counts backward branches down; at 0 the thread yields, and the engine sets the count again.
void Translator::EmitBranchBudget(const Instruction& instruction) {
  llvm::Value* const field = builder_.CreateConstInBoundsGEP1_64(
      builder_.getInt8Ty(), function_->getArg(0),
      offsetof(Thread, context) + offsetof(ThreadContext, branch_budget));
  llvm::Value* const left =
      builder_.CreateSub(builder_.CreateLoad(Int(32), field), builder_.getInt32(1));
  builder_.CreateStore(left, field);
  auto* const yield = llvm::BasicBlock::Create(module_.getContext(), "yield", function_);
  auto* const go_on = llvm::BasicBlock::Create(module_.getContext(), "go_on", function_);
  builder_.CreateCondBr(builder_.CreateIsNull(left), yield, go_on);
  builder_.SetInsertPoint(yield);
  CallPoll(instruction);
  builder_.CreateBr(go_on);
  builder_.SetInsertPoint(go_on);
}

llvm::Type* Translator::TypeOf(const Type& type) {
  if (type.kind == Type::Kind::kFloat && type.bits() == 32 && type.elements == 1) {
    return builder_.getFloatTy();
  }
  if (type.kind == Type::Kind::kFloat && type.bits() == 64) return builder_.getDoubleTy();
  return Int(type.bits());
}

llvm::Value* Translator::Constant(int bits, uint64_t value) {
  return llvm::ConstantInt::get(module_.getContext(), llvm::APInt(64, value).zextOrTrunc(bits));
}

llvm::Value* Translator::LoadRegister(int reg) {
  return builder_.CreateLoad(Int(kernel_.code.registers[reg].type.bits()), registers_[reg]);
}

absl::StatusOr<llvm::Value*> Translator::ReadSymbol(const Operand& operand) {
  const auto parameter = parameters_.find(operand.name);
  if (parameter != parameters_.end()) {
    llvm::Value* const base = builder_.CreatePtrToInt(Parameters(), Int(64));
    return builder_.CreateAdd(base, Constant(64, parameter->second + operand.offset));
  }
  if (operand.name == "WARP_SZ") return Constant(64, kLanes);
  const auto found = locations_.find(operand.name);
  if (found == locations_.end()) {
    return absl::InvalidArgumentError(absl::StrCat("unknown name ", operand.name));
  }
  const Location& location = found->second;
  if (location.absolute) return Constant(64, location.value + operand.offset);
  llvm::Value* const base = LoadContext(location.context_offset, 64);
  return builder_.CreateAdd(base, Constant(64, location.value + operand.offset));
}

absl::StatusOr<llvm::Value*> Translator::ReadBits(const Operand& operand, int bits) {
  llvm::Value* value = nullptr;
  switch (operand.kind) {
    case Operand::Kind::kRegister:
      value = LoadRegister(operand.reg);
      if (operand.negated) value = builder_.CreateNot(value);
      break;
    case Operand::Kind::kSpecial: {
      ASSIGN_OR_RETURN(value, ReadSpecial(operand, bits));
      break;
    }
    case Operand::Kind::kSymbol: {
      ASSIGN_OR_RETURN(value, ReadSymbol(operand));
      break;
    }
    default:
      return absl::InvalidArgumentError("the operand is not a value");
  }
  const int width = value->getType()->getIntegerBitWidth();
  if (width < bits) {
    return absl::InvalidArgumentError(
        absl::StrCat("operand ", operand.name, " has ", width, " bits, expected ", bits));
  }
  return builder_.CreateTrunc(value, Int(bits));
}

llvm::Value* Translator::ReadImmediate(const Operand& operand, const Type& type) {
  if (operand.literal == Operand::Literal::kFloat64 && type.is_float() && type.bits() == 32) {
    double value;
    std::memcpy(&value, &operand.bits, sizeof(value));
    return llvm::ConstantFP::get(builder_.getFloatTy(), static_cast<float>(value));
  }
  return builder_.CreateBitCast(Constant(type.bits(), operand.bits), TypeOf(type));
}

absl::StatusOr<llvm::Value*> Translator::Read(const Operand& operand, const Type& type) {
  if (operand.kind == Operand::Kind::kImmediate) return ReadImmediate(operand, type);
  ASSIGN_OR_RETURN(llvm::Value* const bits, ReadBits(operand, type.bits()));
  return builder_.CreateBitCast(bits, TypeOf(type));
}

absl::StatusOr<llvm::Value*> Translator::ReadInt(const Operand& operand, int bits) {
  return Read(operand, Type{Type::Kind::kBits, bits, 1});
}

absl::StatusOr<llvm::Value*> Translator::ReadPredicate(const Operand& operand) {
  return Read(operand, Type{Type::Kind::kPredicate, 1, 1});
}

absl::StatusOr<std::vector<llvm::Value*>> Translator::ReadVector(const Operand& operand,
                                                                 const Type& type) {
  std::vector<llvm::Value*> values;
  if (operand.kind != Operand::Kind::kVector) {
    ASSIGN_OR_RETURN(llvm::Value* const value, Read(operand, type));
    values.push_back(value);
    return values;
  }
  for (const Operand& element : operand.elements) {
    ASSIGN_OR_RETURN(llvm::Value* const value, Read(element, type));
    values.push_back(value);
  }
  return values;
}

absl::StatusOr<llvm::Value*> Translator::ReadAddress(const Operand& operand) {
  if (operand.kind != Operand::Kind::kAddress) {
    return absl::InvalidArgumentError("expected an address in brackets");
  }
  const Operand& base = operand.elements[0];
  llvm::Value* value = nullptr;
  if (base.kind == Operand::Kind::kRegister) {
    value = builder_.CreateZExt(LoadRegister(base.reg), Int(64));
  } else {
    ASSIGN_OR_RETURN(value, ReadInt(base, 64));
  }
  if (operand.offset == 0) return value;
  return builder_.CreateAdd(value, Constant(64, operand.offset));
}

absl::Status Translator::Write(const Operand& operand, llvm::Value* value, const Type& type) {
  if (operand.kind == Operand::Kind::kSink) return absl::OkStatus();
  if (operand.kind != Operand::Kind::kRegister) {
    return absl::InvalidArgumentError("the destination is not a register");
  }
  value = builder_.CreateBitCast(value, Int(type.bits()));
  const int width = kernel_.code.registers[operand.reg].type.bits();
  if (width < type.bits()) {
    return absl::InvalidArgumentError(
        absl::StrCat("register ", operand.name, " has ", width, " bits, expected ", type.bits()));
  }
  value = type.is_signed() ? builder_.CreateSExt(value, Int(width))
                           : builder_.CreateZExt(value, Int(width));
  builder_.CreateStore(value, registers_[operand.reg]);
  return absl::OkStatus();
}

absl::Status Translator::WriteInt(const Operand& operand, llvm::Value* value) {
  const int bits = value->getType()->getIntegerBitWidth();
  return Write(operand, value, Type{Type::Kind::kBits, bits, 1});
}

absl::Status Translator::WriteVector(const Operand& operand, absl::Span<llvm::Value* const> values,
                                     const Type& type) {
  if (operand.kind != Operand::Kind::kVector) {
    if (values.size() != 1) return absl::InvalidArgumentError("expected a vector of registers");
    return Write(operand, values[0], type);
  }
  if (operand.elements.size() != values.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the vector has ", operand.elements.size(),
                                                   " elements, expected ", values.size()));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    RETURN_IF_ERROR(Write(operand.elements[i], values[i], type));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint16_t> Translator::FrameRegister(const Operand& operand) const {
  if (operand.reg < 0 || frame_numbers_[operand.reg] < 0) {
    return absl::InvalidArgumentError("operands of matrix instructions are registers");
  }
  return static_cast<uint16_t>(frame_numbers_[operand.reg]);
}

Site& Translator::NewSite(const Instruction& instruction) {
  kernel_.sites.emplace_back();
  kernel_.sites.back().instruction = &instruction;
  return kernel_.sites.back();
}

AccessSite& Translator::NewAccess(const Instruction& instruction) {
  kernel_.accesses.emplace_back();
  kernel_.accesses.back().instruction = &instruction;
  return kernel_.accesses.back();
}

llvm::Value* Translator::HostPointer(const void* pointer) {
  return builder_.CreateIntToPtr(Constant(64, reinterpret_cast<uintptr_t>(pointer)),
                                 builder_.getPtrTy());
}

llvm::Value* Translator::CallRuntime(const char* name, llvm::Type* result,
                                     const std::vector<llvm::Value*>& arguments) {
  std::vector<llvm::Type*> types;
  for (llvm::Value* argument : arguments) types.push_back(argument->getType());
  auto* const type = llvm::FunctionType::get(result, types, false);
  llvm::FunctionCallee callee = module_.getOrInsertFunction(name, type);
  llvm::CallInst* const call = builder_.CreateCall(callee, arguments);
  call->addFnAttr(llvm::Attribute::NoUnwind);
  return call;
}

std::vector<llvm::Value*> Translator::CallSite(const Site& site,
                                               const std::vector<llvm::Value*>& arguments,
                                               int num_results) {
  const auto slot = [&](llvm::AllocaInst* array, int i) {
    return builder_.CreateConstInBoundsGEP1_64(Int(64), array, i);
  };
  for (size_t i = 0; i < arguments.size(); ++i) {
    builder_.CreateStore(builder_.CreateZExt(arguments[i], Int(64)), slot(arguments_, i));
  }
  CallRuntime(kSiteCall, builder_.getVoidTy(),
              {function_->getArg(0), HostPointer(&site), arguments_, results_});
  std::vector<llvm::Value*> results;
  for (int i = 0; i < num_results; ++i) {
    results.push_back(builder_.CreateLoad(Int(64), slot(results_, i)));
  }
  return results;
}

void Translator::CallAccess(const AccessSite& access, llvm::Value* address) {
  CallRuntime(kAccessCall, builder_.getVoidTy(),
              {function_->getArg(0), address, HostPointer(&access)});
}

void Translator::CallPoll(const Instruction& instruction) {
  CallRuntime(kPollCall, builder_.getVoidTy(),
              {function_->getArg(0), HostPointer(&NewSite(instruction))});
}

llvm::Value* Translator::LoadContext(size_t offset, int bits) {
  llvm::Value* const field = builder_.CreateConstInBoundsGEP1_64(
      builder_.getInt8Ty(), function_->getArg(0), offsetof(Thread, context) + offset);
  llvm::LoadInst* const load = builder_.CreateLoad(Int(bits), field);
  load->setMetadata(llvm::LLVMContext::MD_invariant_load,
                    llvm::MDNode::get(module_.getContext(), {}));
  return load;
}

llvm::Value* Translator::Pointer(llvm::Value* address) {
  return builder_.CreateIntToPtr(address, builder_.getPtrTy());
}

}  // namespace flashcp::emulator
