// Registers and labels belong to the scope that declares them: inline assembly repeats their names
// in scopes of its own. Registers are resolved at once, since they are declared before their use;
// labels at the end of the body.

#include "tests/emulator/ptx_body.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "support/status_macros.h"

namespace flashcp::emulator::ptx {
namespace {

struct Scope {
  int parent;
  std::map<std::string, int> registers;
  std::map<std::string, int> labels;
};

// A branch whose label is not resolved yet.
struct Branch {
  int instruction;
  int scope;
};

class BodyParser {
 public:
  BodyParser(Cursor& cursor, Kernel* kernel) : cursor_(cursor), kernel_(*kernel) {}

  absl::Status Run() {
    do {
      RETURN_IF_ERROR(ParseStatement());
    } while (scope_ >= 0);
    return ResolveBranches();
  }

 private:
  absl::Status ParseStatement() {
    if (cursor_.AtEnd()) return cursor_.Error("expected \"}\"");
    if (cursor_.Take(";")) return absl::OkStatus();
    if (cursor_.Take("{")) {
      OpenScope();
      return absl::OkStatus();
    }
    if (cursor_.Take("}")) {
      scope_ = scopes_[scope_].parent;
      return absl::OkStatus();
    }
    if (cursor_.Peek(1).Is(":")) return ParseLabel();
    if (absl::StartsWith(cursor_.Peek().text, ".")) return ParseDirective();
    return ParseInstruction();
  }

  void OpenScope() {
    scopes_.push_back({scope_, {}, {}});
    scope_ = static_cast<int>(scopes_.size()) - 1;
  }

  absl::Status ParseLabel() {
    ASSIGN_OR_RETURN(const std::string name, cursor_.ExpectWord("a label"));
    RETURN_IF_ERROR(cursor_.Expect(":"));
    const int at = static_cast<int>(kernel_.instructions.size());
    if (!scopes_[scope_].labels.emplace(name, at).second) {
      return cursor_.Error(absl::StrCat("the label ", name, " appears twice in its scope"));
    }
    return absl::OkStatus();
  }

  absl::Status ParseDirective() {
    const std::string name(cursor_.Next().text);
    if (name == ".reg") return ParseRegisters();
    if (name == ".shared" || name == ".local") {
      const Space space = name == ".shared" ? Space::kShared : Space::kLocal;
      ASSIGN_OR_RETURN(std::vector<Variable> variables, ParseVariables(cursor_, space, false));
      for (Variable& variable : variables) kernel_.variables.push_back(std::move(variable));
      return absl::OkStatus();
    }
    if (name == ".loc") return SkipLocation();
    if (name == ".pragma") {
      cursor_.SkipStatement();
      return absl::OkStatus();
    }
    return cursor_.Error(absl::StrCat("unsupported directive ", name, " in a kernel"));
  }

  // Skips "1 20 7" with its optional attributes, which no semicolon ends.
  absl::Status SkipLocation() {
    const int line = cursor_.Peek().line;
    while (!cursor_.AtEnd() && cursor_.Peek().line == line) cursor_.Next();
    return absl::OkStatus();
  }

  absl::Status ParseRegisters() {
    Type type;
    ASSIGN_OR_RETURN(const std::string type_name, cursor_.ExpectWord("a register type"));
    if (!ParseType(type_name.substr(1), &type)) {
      return cursor_.Error(absl::StrCat("unknown register type ", type_name));
    }
    do {
      ASSIGN_OR_RETURN(const std::string name, cursor_.ExpectWord("a register"));
      if (!cursor_.Take("<")) {
        Declare(name, type);
        continue;
      }
      ASSIGN_OR_RETURN(const int64_t count, cursor_.ExpectInteger());
      RETURN_IF_ERROR(cursor_.Expect(">"));
      for (int64_t i = 0; i < count; ++i) Declare(absl::StrCat(name, i), type);
    } while (cursor_.Take(","));
    return cursor_.Expect(";");
  }

  void Declare(const std::string& name, const Type& type) {
    scopes_[scope_].registers[name] = static_cast<int>(kernel_.registers.size());
    kernel_.registers.push_back({name, type});
  }

  int FindRegister(const std::string& name) const {
    for (int scope = scope_; scope >= 0; scope = scopes_[scope].parent) {
      const auto found = scopes_[scope].registers.find(name);
      if (found != scopes_[scope].registers.end()) return found->second;
    }
    return -1;
  }

  absl::Status ParseInstruction() {
    Instruction instruction;
    const Token begin = cursor_.Peek();
    instruction.line = begin.line;
    if (cursor_.Take("@")) RETURN_IF_ERROR(ParseGuard(&instruction));
    ASSIGN_OR_RETURN(const std::string opcode, cursor_.ExpectWord("an instruction"));
    std::vector<std::string> parts = absl::StrSplit(opcode, '.');
    instruction.opcode = parts[0];
    instruction.modifiers.assign(parts.begin() + 1, parts.end());
    if (instruction.opcode == "call") return cursor_.Error("calls are not supported");
    while (!cursor_.NextIs(";")) {
      ASSIGN_OR_RETURN(Operand operand, ParseOperand());
      instruction.operands.push_back(std::move(operand));
      if (!cursor_.Take(",")) break;
    }
    instruction.text = cursor_.TextSince(begin);
    RETURN_IF_ERROR(cursor_.Expect(";"));
    if (instruction.opcode == "bra") {
      branches_.push_back({static_cast<int>(kernel_.instructions.size()), scope_});
    }
    kernel_.instructions.push_back(std::move(instruction));
    return absl::OkStatus();
  }

  absl::Status ParseGuard(Instruction* instruction) {
    instruction->guard_negated = cursor_.Take("!");
    ASSIGN_OR_RETURN(const std::string name, cursor_.ExpectWord("a predicate"));
    instruction->guard = FindRegister(name);
    if (instruction->guard >= 0) return absl::OkStatus();
    return cursor_.Error(absl::StrCat("unknown predicate ", name));
  }

  absl::StatusOr<Operand> ParseOperand() {
    ASSIGN_OR_RETURN(Operand first, ParseSimpleOperand());
    if (!cursor_.Take("|")) return first;
    ASSIGN_OR_RETURN(Operand second, ParseSimpleOperand());
    Operand pair;
    pair.kind = Operand::Kind::kPair;
    pair.elements = {std::move(first), std::move(second)};
    return pair;
  }

  absl::StatusOr<Operand> ParseSimpleOperand() {
    if (cursor_.Take("{")) return ParseVector();
    if (cursor_.Take("[")) return ParseAddress();
    if (cursor_.Take("!")) {
      ASSIGN_OR_RETURN(Operand operand, ParseWord());
      operand.negated = true;
      return operand;
    }
    if (cursor_.Take("-")) {
      ASSIGN_OR_RETURN(Operand operand, ParseWord());
      return Negate(std::move(operand));
    }
    ASSIGN_OR_RETURN(Operand operand, ParseWord());
    if (operand.kind == Operand::Kind::kSymbol && cursor_.Take("+")) {
      ASSIGN_OR_RETURN(operand.offset, cursor_.ExpectInteger());
    }
    return operand;
  }

  absl::StatusOr<Operand> Negate(Operand operand) const {
    if (operand.kind != Operand::Kind::kImmediate) return cursor_.Error("expected a number");
    switch (operand.literal) {
      case Operand::Literal::kInteger:
        operand.bits = -operand.bits;
        break;
      case Operand::Literal::kFloat32:
        operand.bits ^= uint64_t{1} << 31;
        break;
      case Operand::Literal::kFloat64:
        operand.bits ^= uint64_t{1} << 63;
        break;
    }
    return operand;
  }

  absl::StatusOr<Operand> ParseVector() {
    Operand vector;
    vector.kind = Operand::Kind::kVector;
    do {
      ASSIGN_OR_RETURN(Operand element, ParseSimpleOperand());
      vector.elements.push_back(std::move(element));
    } while (cursor_.Take(","));
    RETURN_IF_ERROR(cursor_.Expect("}"));
    return vector;
  }

  // Reads "base+offset]", and "base, {coordinates}]" of a tensor.
  absl::StatusOr<Operand> ParseAddress() {
    Operand address;
    address.kind = Operand::Kind::kAddress;
    ASSIGN_OR_RETURN(Operand base, ParseWord());
    address.elements.push_back(std::move(base));
    if (cursor_.Take("+")) {
      ASSIGN_OR_RETURN(address.offset, cursor_.ExpectInteger());
    } else if (cursor_.NextIs("-")) {
      ASSIGN_OR_RETURN(address.offset, cursor_.ExpectInteger());
    }
    if (cursor_.Take(",")) {
      RETURN_IF_ERROR(cursor_.Expect("{"));
      ASSIGN_OR_RETURN(Operand coordinates, ParseVector());
      address.elements.push_back(std::move(coordinates));
    }
    RETURN_IF_ERROR(cursor_.Expect("]"));
    return address;
  }

  absl::StatusOr<Operand> ParseWord() {
    ASSIGN_OR_RETURN(const std::string word, cursor_.ExpectWord("an operand"));
    Operand operand;
    if (word == "_") return operand;
    operand.name = word;
    operand.reg = FindRegister(word);
    if (operand.reg >= 0) {
      operand.kind = Operand::Kind::kRegister;
    } else if (word[0] == '%') {
      operand.kind = Operand::Kind::kSpecial;
    } else if (absl::ascii_isdigit(word[0])) {
      if (!ParseNumber(word, &operand)) {
        return cursor_.Error(absl::StrCat("malformed number ", word));
      }
    } else {
      operand.kind = Operand::Kind::kSymbol;
    }
    return operand;
  }

  absl::Status ResolveBranches() {
    for (const Branch& branch : branches_) {
      Instruction& instruction = kernel_.instructions[branch.instruction];
      if (instruction.operands.size() != 1) {
        return absl::InvalidArgumentError(
            absl::StrCat("PTX line ", instruction.line, ": a branch takes one label"));
      }
      Operand& label = instruction.operands[0];
      label.kind = Operand::Kind::kLabel;
      for (int scope = branch.scope; scope >= 0 && label.target < 0;
           scope = scopes_[scope].parent) {
        const auto found = scopes_[scope].labels.find(label.name);
        if (found != scopes_[scope].labels.end()) label.target = found->second;
      }
      if (label.target < 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("PTX line ", instruction.line, ": unknown label ", label.name));
      }
    }
    return absl::OkStatus();
  }

  Cursor& cursor_;
  Kernel& kernel_;
  std::vector<Scope> scopes_;
  std::vector<Branch> branches_;
  int scope_ = -1;
};

}  // namespace

absl::Status ParseBody(Cursor& cursor, Kernel* kernel) { return BodyParser(cursor, kernel).Run(); }

}  // namespace flashcp::emulator::ptx
