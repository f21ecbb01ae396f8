// Walks tokens; reads numbers and declarations of variables, which modules and kernels share.

#include "tests/emulator/ptx_cursor.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "support/status_macros.h"

namespace flashcp::emulator::ptx {

const Token& Cursor::Peek(int ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

const Token& Cursor::Next() {
  const Token& token = Peek();
  if (!AtEnd()) ++at_;
  return token;
}

bool Cursor::Take(absl::string_view text) {
  if (!NextIs(text)) return false;
  Next();
  return true;
}

absl::Status Cursor::Expect(absl::string_view text) {
  if (Take(text)) return absl::OkStatus();
  return Error(absl::StrCat("expected \"", text, "\""));
}

absl::StatusOr<std::string> Cursor::ExpectWord(absl::string_view what) {
  if (Peek().kind != Token::Kind::kWord) return Error(absl::StrCat("expected ", what));
  return std::string(Next().text);
}

absl::StatusOr<int64_t> Cursor::ExpectInteger() {
  const bool negative = Take("-");
  Operand number;
  if (Peek().kind != Token::Kind::kWord || !ParseNumber(Peek().text, &number) ||
      number.literal != Operand::Literal::kInteger) {
    return Error("expected an integer");
  }
  Next();
  const int64_t value = static_cast<int64_t>(number.bits);
  return negative ? -value : value;
}

absl::Status Cursor::Error(absl::string_view what) const {
  const std::string found = AtEnd() ? "the end" : absl::StrCat("\"", Peek().text, "\"");
  return absl::InvalidArgumentError(
      absl::StrCat("PTX line ", Peek().line, ": ", what, ", found ", found));
}

void Cursor::SkipStatement() {
  while (!AtEnd() && !Take(";")) Next();
}

std::string Cursor::TextSince(const Token& begin) const {
  const char* from = begin.text.data();
  const char* to = Peek().text.data();
  std::string text(from, to - from);
  absl::RemoveExtraAsciiWhitespace(&text);
  return text;
}

namespace {

bool ParseHexFloat(absl::string_view digits, Operand::Literal literal, Operand* number) {
  const size_t expected = literal == Operand::Literal::kFloat32 ? 8 : 16;
  if (digits.size() != expected) return false;
  number->literal = literal;
  number->bits = 0;
  for (char c : digits) {
    if (!absl::ascii_isxdigit(c)) return false;
    const int digit = absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
    number->bits = number->bits << 4 | digit;
  }
  return true;
}

bool ParseDecimalFloat(absl::string_view text, Operand* number) {
  double value;
  if (!absl::SimpleAtod(text, &value)) return false;
  number->literal = Operand::Literal::kFloat64;
  std::memcpy(&number->bits, &value, sizeof(value));
  return true;
}

int BaseOf(absl::string_view* digits) {
  if (digits->size() < 2 || (*digits)[0] != '0') return 10;
  const char second = absl::ascii_tolower((*digits)[1]);
  if (second == 'x' || second == 'b') {
    digits->remove_prefix(2);
    return second == 'x' ? 16 : 2;
  }
  digits->remove_prefix(1);
  return 8;
}

}  // namespace

bool ParseNumber(absl::string_view text, Operand* number) {
  number->kind = Operand::Kind::kImmediate;
  if (absl::StartsWithIgnoreCase(text, "0f")) {
    return ParseHexFloat(text.substr(2), Operand::Literal::kFloat32, number);
  }
  if (absl::StartsWithIgnoreCase(text, "0d")) {
    return ParseHexFloat(text.substr(2), Operand::Literal::kFloat64, number);
  }
  if (text.empty() || !absl::ascii_isdigit(text[0])) return false;
  if (text.find('.') != absl::string_view::npos) return ParseDecimalFloat(text, number);
  absl::string_view digits = text;
  if (digits.back() == 'U') digits.remove_suffix(1);
  const int base = BaseOf(&digits);
  number->literal = Operand::Literal::kInteger;
  number->bits = 0;
  for (char c : digits) {
    if (!absl::ascii_isxdigit(c)) return false;
    const int digit = absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
    if (digit >= base) return false;
    number->bits = number->bits * base + digit;
  }
  return true;
}

namespace {

// Appends one element of an initialiser as `bytes` bytes.
absl::Status ParseElement(Cursor& cursor, const Type& type, std::vector<uint8_t>* contents) {
  const bool negative = cursor.Take("-");
  Operand number;
  if (!ParseNumber(cursor.Peek().text, &number)) {
    return cursor.Error("expected a number (addresses in initialisers are not supported)");
  }
  cursor.Next();
  uint64_t bits = negative ? -number.bits : number.bits;
  const uint8_t* from = reinterpret_cast<const uint8_t*>(&bits);
  contents->insert(contents->end(), from, from + type.bits() / 8);
  return absl::OkStatus();
}

absl::Status ParseContents(Cursor& cursor, const Type& type, Variable* variable) {
  const bool list = cursor.Take("{");
  do {
    RETURN_IF_ERROR(ParseElement(cursor, type, &variable->contents));
  } while (list && cursor.Take(","));
  if (list) RETURN_IF_ERROR(cursor.Expect("}"));
  if (variable->contents.size() > variable->bytes) return cursor.Error("more values than elements");
  variable->contents.resize(variable->bytes, 0);
  return absl::OkStatus();
}

// Reads "[3][4]"; an empty bound is that of a dynamic array.
absl::StatusOr<uint64_t> ParseBounds(Cursor& cursor, bool* dynamic) {
  uint64_t elements = 1;
  while (cursor.Take("[")) {
    if (cursor.Take("]")) {
      *dynamic = true;
      continue;
    }
    ASSIGN_OR_RETURN(const int64_t bound, cursor.ExpectInteger());
    elements *= bound;
    RETURN_IF_ERROR(cursor.Expect("]"));
  }
  return *dynamic ? 0 : elements;
}

}  // namespace

absl::StatusOr<std::vector<Variable>> ParseVariables(Cursor& cursor, Space space, bool is_extern) {
  uint64_t alignment = 0;
  Type type;
  int vector = 1;
  while (true) {
    ASSIGN_OR_RETURN(const std::string word, cursor.ExpectWord("a type"));
    if (word == ".align") {
      ASSIGN_OR_RETURN(const int64_t value, cursor.ExpectInteger());
      alignment = value;
    } else if (word == ".v2" || word == ".v4") {
      vector = word[2] - '0';
    } else if (ParseType(word.substr(1), &type)) {
      break;
    } else {
      return cursor.Error(absl::StrCat("unknown type ", word, " of a variable"));
    }
  }
  const uint64_t element_bytes = type.bits() / 8 * vector;
  std::vector<Variable> variables;
  do {
    Variable variable;
    ASSIGN_OR_RETURN(variable.name, cursor.ExpectWord("the name of a variable"));
    variable.space = space;
    variable.alignment = alignment == 0 ? element_bytes : alignment;
    ASSIGN_OR_RETURN(const uint64_t elements, ParseBounds(cursor, &variable.dynamic));
    variable.bytes = elements * element_bytes;
    if (variable.dynamic && !(is_extern && space == Space::kShared)) {
      return cursor.Error("only .extern .shared arrays may lack their bound");
    }
    if (cursor.Take("=")) RETURN_IF_ERROR(ParseContents(cursor, type, &variable));
    variables.push_back(std::move(variable));
  } while (cursor.Take(","));
  RETURN_IF_ERROR(cursor.Expect(";"));
  return variables;
}

}  // namespace flashcp::emulator::ptx
