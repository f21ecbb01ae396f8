// A scanner by hand: comments, words, strings, single characters.

#include "tests/emulator/ptx_lexer.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace flashcp::emulator::ptx {
namespace {

bool StartsWord(char c) {
  return absl::ascii_isalnum(c) || c == '_' || c == '$' || c == '%' || c == '.';
}

class Scanner {
 public:
  explicit Scanner(absl::string_view source) : source_(source) {}

  absl::StatusOr<std::vector<Token>> Run() {
    std::vector<Token> tokens;
    while (true) {
      if (!SkipSpace()) return Error("a comment without end");
      if (at_ == source_.size()) break;
      const size_t begin = at_;
      Token::Kind kind = Token::Kind::kPunctuation;
      if (StartsWord(source_[at_])) {
        kind = Token::Kind::kWord;
        SkipWord();
      } else if (source_[at_] == '"') {
        kind = Token::Kind::kString;
        at_ = source_.find('"', at_ + 1);
        if (at_ == absl::string_view::npos) return Error("a string without end");
        ++at_;
      } else {
        ++at_;
      }
      tokens.push_back({kind, source_.substr(begin, at_ - begin), line_});
    }
    tokens.push_back({Token::Kind::kEnd, source_.substr(source_.size()), line_});
    return tokens;
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("PTX line ", line_, ": ", what));
  }

  bool StartsWith(absl::string_view text) const { return source_.substr(at_, text.size()) == text; }

  void Advance() {
    if (source_[at_] == '\n') ++line_;
    ++at_;
  }

  // Skips blanks and comments; false if a comment does not end.
  bool SkipSpace() {
    while (at_ < source_.size()) {
      if (absl::ascii_isspace(source_[at_])) {
        Advance();
      } else if (StartsWith("//")) {
        while (at_ < source_.size() && source_[at_] != '\n') Advance();
      } else if (StartsWith("/*")) {
        while (at_ < source_.size() && !StartsWith("*/")) Advance();
        if (at_ == source_.size()) return false;
        at_ += 2;
      } else {
        break;
      }
    }
    return true;
  }

  void SkipWord() {
    while (at_ < source_.size()) {
      if (StartsWord(source_[at_])) {
        ++at_;
      } else if (StartsWith("::") && at_ + 2 < source_.size() && StartsWord(source_[at_ + 2])) {
        at_ += 2;
      } else {
        break;
      }
    }
  }

  absl::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source) {
  return Scanner(source).Run();
}

}  // namespace flashcp::emulator::ptx
