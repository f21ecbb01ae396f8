// Translates a kernel to LLVM IR for the host: one function that a thread runs from start to end.
//
// A PTX register is a stack slot of the width of its type, which LLVM turns into values; registers
// of matrix instructions stay in memory, in a frame that the engine reads and writes. Instructions
// that need other threads become calls of the engine. Families of instructions register their
// translations in a table by opcode (translate_*.cc).
//
// ldmatrix and mma.sync are deferred: the lanes of a warp meet once for all of them, where one of
// their registers is touched, or memory, or control leaves the block.

#ifndef FLASHCP_TESTS_EMULATOR_TRANSLATE_H_
#define FLASHCP_TESTS_EMULATOR_TRANSLATE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include "tests/emulator/kernel.h"
#include "tests/emulator/ptx.h"

namespace flashcp::emulator {

class Translator;

using Translate = std::function<absl::Status(Translator&, const ptx::Instruction&)>;
using TranslateTable = std::map<std::string, Translate>;

// The families, each in its file.
void AddDataMovement(TranslateTable* table);  // mov, selp, cvta
void AddIntegerArithmetic(TranslateTable* table);
void AddBitOperations(TranslateTable* table);
void AddFloatArithmetic(TranslateTable* table);
void AddComparisons(TranslateTable* table);
void AddConversions(TranslateTable* table);
void AddMemory(TranslateTable* table);
void AddAtomics(TranslateTable* table);
void AddCollectives(TranslateTable* table);
void AddControl(TranslateTable* table);
void AddSm80(TranslateTable* table);
void AddSm90(TranslateTable* table);

// Arithmetic that exists for integers and floats: a family asks for its own types.
bool IsFloatInstruction(const ptx::Instruction& instruction);

// The modifiers of an instruction, taken one by one: what is left over is not supported.
class Modifiers {
 public:
  explicit Modifiers(const ptx::Instruction& instruction)
      : instruction_(instruction), left_(instruction.modifiers) {}

  bool Take(absl::string_view modifier);
  // Takes those of `modifiers` that are there, which make no difference to the emulator.
  void Ignore(const std::vector<absl::string_view>& modifiers);
  // Takes the first of `choices` that is there; "" if none is.
  std::string TakeOneOf(const std::vector<absl::string_view>& choices);
  // Takes the last modifier, a type.
  absl::StatusOr<ptx::Type> TakeType();
  absl::Status Finish() const;

 private:
  const ptx::Instruction& instruction_;
  std::vector<std::string> left_;
};

absl::Status Unsupported(const ptx::Instruction& instruction, absl::string_view what);
absl::Status ExpectOperands(const ptx::Instruction& instruction, size_t count);

class Translator {
 public:
  // Addresses of the module's variables, by name.
  using Variables = std::map<std::string, uint64_t>;

  // Fills the kernel's layout and sites; kernel->code must not move from now on.
  Translator(Kernel* kernel, const std::vector<ptx::Variable>& module_variables,
             const Variables& addresses, llvm::Module* module);

  absl::Status Run();

  llvm::IRBuilder<>& b() { return builder_; }
  Kernel& kernel() { return kernel_; }

  // LLVM's type for values of a PTX type: f32 and f64 are floats, all others integers.
  llvm::Type* TypeOf(const ptx::Type& type);
  llvm::IntegerType* Int(int bits) { return builder_.getIntNTy(bits); }
  llvm::Value* Constant(int bits, uint64_t value);

  // Reads an operand as a value of the type.
  absl::StatusOr<llvm::Value*> Read(const ptx::Operand& operand, const ptx::Type& type);
  absl::StatusOr<llvm::Value*> ReadInt(const ptx::Operand& operand, int bits);
  absl::StatusOr<llvm::Value*> ReadPredicate(const ptx::Operand& operand);
  // Reads the operands of a vector, or one operand.
  absl::StatusOr<std::vector<llvm::Value*>> ReadVector(const ptx::Operand& operand,
                                                       const ptx::Type& type);
  // Reads the address in brackets, as 64 bits.
  absl::StatusOr<llvm::Value*> ReadAddress(const ptx::Operand& operand);
  // Writes a value of the type; a wider register gets it extended, by sign if the type is signed.
  absl::Status Write(const ptx::Operand& operand, llvm::Value* value, const ptx::Type& type);
  absl::Status WriteInt(const ptx::Operand& operand, llvm::Value* value);
  absl::Status WriteVector(const ptx::Operand& operand, absl::Span<llvm::Value* const> values,
                           const ptx::Type& type);

  Site& NewSite(const ptx::Instruction& instruction);
  AccessSite& NewAccess(const ptx::Instruction& instruction);
  // Calls the engine for a site. Arguments are integers of up to 64 bits; results 64 bits.
  std::vector<llvm::Value*> CallSite(const Site& site, const std::vector<llvm::Value*>& arguments,
                                     int num_results);
  // Does the instruction of a warp later, with registers `inputs` and `outputs`; an `address`, if
  // there is one, is the first argument.
  absl::Status Defer(Site* site, llvm::Value* address, absl::Span<const ptx::Operand> inputs,
                     absl::Span<const ptx::Operand> outputs);
  void CallAccess(const AccessSite& access, llvm::Value* address);
  void CallPoll(const ptx::Instruction& instruction);
  llvm::Value* CallRuntime(const char* name, llvm::Type* result,
                           const std::vector<llvm::Value*>& arguments);

  llvm::Value* Parameters() { return function_->getArg(1); }
  // Loads a field of the ThreadContext.
  llvm::Value* LoadContext(size_t offset, int bits);
  llvm::Value* Pointer(llvm::Value* address);
  // The number in the frame of a register of a matrix instruction.
  absl::StatusOr<uint16_t> FrameRegister(const ptx::Operand& operand) const;

 private:
  absl::Status LayOut(const std::vector<ptx::Variable>& module_variables);
  void AddShared(const ptx::Variable& variable, uint64_t* end);
  void FindFrameRegisters();
  void CreateRegisters();
  void CreateBlocks();
  llvm::Value* FrameSlotPointer(int number);
  absl::Status TranslateAll();
  absl::Status TranslateBody(const ptx::Instruction& instruction);
  bool MayPassDeferred(const ptx::Instruction& instruction) const;
  void CallDeferred();
  absl::Status TranslateOne(int index);
  absl::Status TranslateBranch(int index);
  void EmitBranchBudget(const ptx::Instruction& instruction);
  absl::StatusOr<llvm::Value*> ReadBits(const ptx::Operand& operand, int bits);
  absl::StatusOr<llvm::Value*> ReadSpecial(const ptx::Operand& operand, int bits);
  absl::StatusOr<llvm::Value*> ReadSymbol(const ptx::Operand& operand);
  llvm::Value* ReadImmediate(const ptx::Operand& operand, const ptx::Type& type);
  llvm::Value* LoadRegister(int reg);
  llvm::Value* Guard(const ptx::Instruction& instruction);
  llvm::Value* HostPointer(const void* pointer);
  void StartBlock(llvm::BasicBlock* block);

  // Where a variable lies: at an address, or at an offset from a field of the context.
  struct Location {
    bool absolute;
    uint64_t value;
    size_t context_offset;
  };

  Kernel& kernel_;
  const std::vector<ptx::Variable>& module_variables_;
  const Variables& addresses_;
  llvm::Module& module_;
  llvm::IRBuilder<> builder_;
  llvm::Function* function_ = nullptr;
  llvm::BasicBlock* entry_ = nullptr;
  std::map<std::string, Location> locations_;
  std::map<std::string, uint64_t> parameters_;
  std::vector<llvm::Value*> registers_;    // pointers
  std::vector<int> frame_numbers_;         // by register, -1 if not in the frame
  std::vector<llvm::BasicBlock*> blocks_;  // by instruction that a branch targets, or null
  llvm::Value* frame_ = nullptr;
  std::map<const ptx::Instruction*, int> address_slots_;  // in the frame
  std::vector<const Site*> deferred_;
  std::set<int> deferred_registers_;
  llvm::AllocaInst* arguments_ = nullptr;
  llvm::AllocaInst* results_ = nullptr;
};

}  // namespace flashcp::emulator

#endif  // FLASHCP_TESTS_EMULATOR_TRANSLATE_H_
