// A PTX module as parsed: variables, kernels, and the instructions of a kernel in one flat list
// whose registers and branch targets are numbers. Scopes are gone, names stay for error messages.

#ifndef FLASHCP_TESTS_EMULATOR_PTX_H_
#define FLASHCP_TESTS_EMULATOR_PTX_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace flashcp::emulator::ptx {

// The type of a register or of an instruction, as in `.f32` or `.bf16x2`.
struct Type {
  enum class Kind { kPredicate, kBits, kUnsigned, kSigned, kFloat, kBfloat };
  Kind kind = Kind::kBits;
  int element_bits = 32;
  int elements = 1;

  int bits() const { return element_bits * elements; }
  bool is_signed() const { return kind == Kind::kSigned; }
  bool is_float() const { return kind == Kind::kFloat || kind == Kind::kBfloat; }
};

// Reads "f32", "s64", "bf16x2", "pred" and the like; false if `text` names no type.
bool ParseType(const std::string& text, Type* type);

struct Operand {
  enum class Kind {
    kRegister,   // `reg`, negated by "!"
    kSpecial,    // %tid.x and the like: `name`
    kImmediate,  // `bits`
    kSymbol,     // a variable or parameter: `name` and `offset`
    kLabel,      // `target`
    kAddress,    // [elements[0] + offset], or [elements[0], elements[1]] of a tensor
    kVector,     // {elements...}
    kPair,       // elements[0]|elements[1]
    kSink,       // _
  };
  enum class Literal { kInteger, kFloat32, kFloat64 };

  Kind kind = Kind::kSink;
  int reg = -1;
  bool negated = false;
  Literal literal = Literal::kInteger;
  uint64_t bits = 0;
  std::string name;
  int64_t offset = 0;
  int target = -1;
  std::vector<Operand> elements;
};

struct Instruction {
  std::string opcode;                  // "ld"
  std::vector<std::string> modifiers;  // "global", "v2", "b32"
  std::vector<Operand> operands;
  int guard = -1;  // the predicate register, or -1
  bool guard_negated = false;
  int line = 0;
  std::string text;

  bool Has(const std::string& modifier) const;
  // The modifiers without the opcode, joined by dots.
  std::string Modifiers() const;
};

enum class Space { kGeneric, kGlobal, kShared, kLocal, kConst, kParam };

struct Variable {
  std::string name;
  Space space = Space::kGlobal;
  uint64_t alignment = 1;
  uint64_t bytes = 0;
  bool dynamic = false;           // .extern .shared name[]
  std::vector<uint8_t> contents;  // empty, or `bytes` long
};

struct Parameter {
  std::string name;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct Register {
  std::string name;
  Type type;
};

struct Kernel {
  std::string name;
  int line = 0;
  std::vector<Parameter> parameters;
  std::array<int, 3> required_threads = {0, 0, 0};  // .reqntid; zeros if absent
  std::array<int, 3> most_threads = {0, 0, 0};      // .maxntid; zeros if absent
  std::vector<Register> registers;
  std::vector<Variable> variables;  // .shared and .local of the body
  std::vector<Instruction> instructions;
};

struct Module {
  int version = 0;     // 86 for 8.6
  std::string target;  // "sm_90a"
  std::vector<Variable> variables;
  std::vector<Kernel> kernels;
};

}  // namespace flashcp::emulator::ptx

#endif  // FLASHCP_TESTS_EMULATOR_PTX_H_
