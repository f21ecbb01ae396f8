// Cuts PTX text into tokens: words (opcodes, names, registers, numbers) and punctuation.
//
// A word runs over dots and over "::", so that `ld.shared::cta.b32` and `%tid.x` are one token
// each; a single colon after a word ends a label.

#ifndef FLASHCP_TESTS_EMULATOR_PTX_LEXER_H_
#define FLASHCP_TESTS_EMULATOR_PTX_LEXER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flashcp::emulator::ptx {

struct Token {
  enum class Kind { kWord, kString, kPunctuation, kEnd };
  Kind kind;
  absl::string_view text;  // of the source
  int line;

  bool Is(absl::string_view expected) const { return kind != Kind::kString && text == expected; }
};

// The tokens of `source`, which must outlive them; the last one is kEnd.
absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source);

}  // namespace flashcp::emulator::ptx

#endif  // FLASHCP_TESTS_EMULATOR_PTX_LEXER_H_
