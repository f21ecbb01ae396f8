// The module level: directives, variables, entries with their parameters and launch bounds.

#include "tests/emulator/ptx_parser.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "support/status_macros.h"
#include "tests/emulator/ptx_body.h"
#include "tests/emulator/ptx_cursor.h"
#include "tests/emulator/ptx_lexer.h"

namespace flashcp::emulator::ptx {
namespace {

uint64_t RoundUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

class ModuleParser {
 public:
  explicit ModuleParser(std::vector<Token> tokens) : cursor_(std::move(tokens)) {}

  absl::StatusOr<Module> Run() {
    while (!cursor_.AtEnd()) RETURN_IF_ERROR(ParseDirective());
    return std::move(module_);
  }

 private:
  absl::Status ParseDirective() {
    ASSIGN_OR_RETURN(const std::string name, cursor_.ExpectWord("a directive"));
    if (name == ".version") return ParseVersion();
    if (name == ".target") return ParseTarget();
    if (name == ".address_size") return ParseAddressSize();
    if (name == ".visible" || name == ".weak") return absl::OkStatus();
    if (name == ".extern") {
      is_extern_ = true;
      return absl::OkStatus();
    }
    if (name == ".entry") return ParseKernel();
    if (name == ".global") return AddVariables(Space::kGlobal);
    if (name == ".const") return AddVariables(Space::kConst);
    if (name == ".shared") return AddVariables(Space::kShared);
    if (name == ".file" || name == ".section") {
      return cursor_.Error("debug information is not supported: compile without -g");
    }
    return cursor_.Error(absl::StrCat("unsupported directive ", name, " of a module"));
  }

  // Reads 8.6 as 86: a word holds its dot.
  absl::Status ParseVersion() {
    ASSIGN_OR_RETURN(const std::string text, cursor_.ExpectWord("a version"));
    const std::pair<std::string, std::string> parts = absl::StrSplit(text, '.');
    int major, minor;
    if (!absl::SimpleAtoi(parts.first, &major) || !absl::SimpleAtoi(parts.second, &minor)) {
      return cursor_.Error(absl::StrCat("malformed version ", text));
    }
    module_.version = 10 * major + minor;
    return absl::OkStatus();
  }

  absl::Status ParseTarget() {
    ASSIGN_OR_RETURN(module_.target, cursor_.ExpectWord("a target"));
    while (cursor_.Take(",")) cursor_.Next();
    return absl::OkStatus();
  }

  absl::Status ParseAddressSize() {
    ASSIGN_OR_RETURN(const int64_t bits, cursor_.ExpectInteger());
    return bits == 64 ? absl::OkStatus() : cursor_.Error("addresses must have 64 bits");
  }

  absl::Status AddVariables(Space space) {
    ASSIGN_OR_RETURN(std::vector<Variable> variables, ParseVariables(cursor_, space, is_extern_));
    is_extern_ = false;
    for (Variable& variable : variables) module_.variables.push_back(std::move(variable));
    return absl::OkStatus();
  }

  absl::Status ParseKernel() {
    Kernel kernel;
    kernel.line = cursor_.Peek().line;
    ASSIGN_OR_RETURN(kernel.name, cursor_.ExpectWord("the name of a kernel"));
    if (cursor_.Take("(")) RETURN_IF_ERROR(ParseParameters(&kernel));
    while (!cursor_.NextIs("{")) RETURN_IF_ERROR(ParseBound(&kernel));
    RETURN_IF_ERROR(ParseBody(cursor_, &kernel));
    module_.kernels.push_back(std::move(kernel));
    return absl::OkStatus();
  }

  absl::Status ParseParameters(Kernel* kernel) {
    uint64_t end = 0;
    while (!cursor_.Take(")")) {
      ASSIGN_OR_RETURN(Parameter parameter, ParseParameter(end));
      end = parameter.offset + parameter.bytes;
      kernel->parameters.push_back(std::move(parameter));
      cursor_.Take(",");
    }
    return absl::OkStatus();
  }

  // Reads ".param .u64 .ptr .global .align 16 name" or ".param .align 8 .b8 name[24]".
  absl::StatusOr<Parameter> ParseParameter(uint64_t end) {
    RETURN_IF_ERROR(cursor_.Expect(".param"));
    uint64_t alignment = 0;
    bool pointer = false;
    Type type;
    Parameter parameter;
    while (absl::StartsWith(cursor_.Peek().text, ".")) {
      const std::string word(cursor_.Next().text);
      if (word == ".align") {
        ASSIGN_OR_RETURN(const int64_t value, cursor_.ExpectInteger());
        if (!pointer) alignment = value;
      } else if (word == ".ptr") {
        pointer = true;  // an alignment that follows is that of what it points to
      } else if (!ParseType(word.substr(1), &type) && !pointer) {
        return cursor_.Error(absl::StrCat("unknown type ", word, " of a parameter"));
      }
    }
    ASSIGN_OR_RETURN(parameter.name, cursor_.ExpectWord("the name of a parameter"));
    parameter.bytes = type.bits() / 8;
    if (alignment == 0) alignment = parameter.bytes;
    if (cursor_.Take("[")) {
      ASSIGN_OR_RETURN(const int64_t elements, cursor_.ExpectInteger());
      parameter.bytes *= elements;
      RETURN_IF_ERROR(cursor_.Expect("]"));
    }
    parameter.offset = RoundUp(end, alignment);
    return parameter;
  }

  absl::Status ParseBound(Kernel* kernel) {
    ASSIGN_OR_RETURN(const std::string name, cursor_.ExpectWord("a directive of a kernel"));
    if (name == ".reqntid") return ParseDimensions(&kernel->required_threads);
    if (name == ".maxntid") return ParseDimensions(&kernel->most_threads);
    if (name == ".minnctapersm" || name == ".maxnreg" || name == ".maxnctapersm") {
      return cursor_.ExpectInteger().status();
    }
    return cursor_.Error(absl::StrCat("unsupported directive ", name, " of a kernel"));
  }

  absl::Status ParseDimensions(std::array<int, 3>* dimensions) {
    *dimensions = {1, 1, 1};
    int at = 0;
    do {
      if (at == 3) return cursor_.Error("more than three dimensions");
      ASSIGN_OR_RETURN(const int64_t value, cursor_.ExpectInteger());
      (*dimensions)[at++] = static_cast<int>(value);
    } while (cursor_.Take(","));
    return absl::OkStatus();
  }

  Cursor cursor_;
  Module module_;
  bool is_extern_ = false;
};

}  // namespace

absl::StatusOr<Module> Parse(absl::string_view source) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return ModuleParser(std::move(tokens)).Run();
}

}  // namespace flashcp::emulator::ptx
