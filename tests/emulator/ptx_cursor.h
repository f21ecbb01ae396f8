// A position in the tokens of a PTX text, for parsers by recursive descent.

#ifndef FLASHCP_TESTS_EMULATOR_PTX_CURSOR_H_
#define FLASHCP_TESTS_EMULATOR_PTX_CURSOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tests/emulator/ptx.h"
#include "tests/emulator/ptx_lexer.h"

namespace flashcp::emulator::ptx {

class Cursor {
 public:
  explicit Cursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek(int ahead = 0) const;
  const Token& Next();
  bool AtEnd() const { return Peek().kind == Token::Kind::kEnd; }
  bool NextIs(absl::string_view text) const { return Peek().Is(text); }
  // Takes the next token if it is `text`.
  bool Take(absl::string_view text);
  absl::Status Expect(absl::string_view text);
  absl::StatusOr<std::string> ExpectWord(absl::string_view what);
  // An integer, with its sign.
  absl::StatusOr<int64_t> ExpectInteger();
  // "PTX line 7: `what`, found ...".
  absl::Status Error(absl::string_view what) const;
  void SkipStatement();
  // The source from token `begin` to the current one, blanks squeezed.
  std::string TextSince(const Token& begin) const;

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

// Reads a number as PTX writes it: 12, 0x1F, 0b11, 017, 12U, 0f3F800000, 0d..., 1.5.
bool ParseNumber(absl::string_view text, Operand* number);

// Reads `.align N .b8 name[M] = {...}` (what follows the state space) up to the end of the
// statement.
absl::StatusOr<std::vector<Variable>> ParseVariables(Cursor& cursor, Space space, bool is_extern);

}  // namespace flashcp::emulator::ptx

#endif  // FLASHCP_TESTS_EMULATOR_PTX_CURSOR_H_
