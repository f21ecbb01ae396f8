// nlohmann/json scans the text; its events build our tree, because its own tree has no lines.

#include "compiler/input/json.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "support/nearest_name.h"
#include "support/quoted.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

constexpr size_t kMaxDepth = 16;  // far more than any format of ours; bounds recursion on the tree

// Where the scanner is in the text.
struct Cursor {
  const char* next;
  const char* end;
  int line = 1;
  // Line of the last character that is not white space: the scanner reads one character past a
  // number, and that may be the end of its line.
  int token_line = 1;

  void Advance() {
    if (*next == '\n') {
      ++line;
    } else if (!absl::ascii_isspace(*next)) {
      token_line = line;
    }
    ++next;
  }
  void SkipSpace() {
    while (next != end && absl::ascii_isspace(*next)) Advance();
  }
};

// An input iterator over a cursor; the one without a cursor is the end.
class CursorIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  explicit CursorIterator(Cursor* cursor = nullptr) : cursor_(cursor) {}
  const char& operator*() const { return *cursor_->next; }
  CursorIterator& operator++() {
    cursor_->Advance();
    return *this;
  }
  bool operator==(const CursorIterator& other) const { return AtEnd() == other.AtEnd(); }
  bool operator!=(const CursorIterator& other) const { return !(*this == other); }

 private:
  bool AtEnd() const { return cursor_ == nullptr || cursor_->next == cursor_->end; }
  Cursor* cursor_;
};

// Builds the tree from the scanner's events; a false return stops the scan.
class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeBuilder(absl::string_view name, const Cursor* cursor) : name_(name), cursor_(cursor) {}

  bool null() override { return Add(JsonValue::Kind::kNull, "null"); }
  bool boolean(bool value) override {
    return Add(JsonValue::Kind::kBoolean, value ? "true" : "false");
  }
  bool number_integer(number_integer_t value) override {
    return Add(JsonValue::Kind::kNumber, absl::StrCat(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Add(JsonValue::Kind::kNumber, absl::StrCat(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Add(JsonValue::Kind::kNumber, text);
  }
  bool string(string_t& text) override { return Add(JsonValue::Kind::kString, text); }
  bool binary(binary_t&) override { return Fail("binary data is not JSON"); }

  bool start_array(size_t) override { return Open(JsonValue::Kind::kArray); }
  bool start_object(size_t) override { return Open(JsonValue::Kind::kObject); }
  bool end_array() override { return Close(); }
  bool end_object() override { return Close(); }
  bool key(string_t& text) override {
    std::vector<std::string>& keys = open_.back().keys;
    if (std::find(keys.begin(), keys.end(), text) != keys.end()) {
      return Fail(absl::StrCat("the key ", Quoted(text), " appears twice in one object"));
    }
    // Objects of ours have a handful of keys; the limit keeps the search above short.
    if (keys.size() == 64) return Fail("an object with more than 64 keys");
    keys.push_back(text);
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& error) override {
    // "[json...] parse error at line L, column C: what", where L counts from the start of this
    // value, or "[json...] what".
    absl::string_view what = error.what();
    size_t column = what.find(", column ");
    size_t start = what.find(column == absl::string_view::npos ? "] " : ": ",
                             column == absl::string_view::npos ? 0 : column);
    if (start != absl::string_view::npos) what.remove_prefix(start + 2);
    return Fail(absl::StrCat("malformed JSON: ", what.substr(0, 200)));
  }

  absl::Status status() const { return status_; }
  JsonValue TakeRoot() { return std::move(root_); }

 private:
  bool Fail(absl::string_view message) {
    status_ =
        absl::InvalidArgumentError(absl::StrCat(name_, ":", cursor_->token_line, ": ", message));
    return false;
  }
  bool Add(JsonValue::Kind kind, std::string text) {
    JsonValue value;
    value.kind = kind;
    value.line = cursor_->token_line;
    value.text = std::move(text);
    return Place(std::move(value));
  }
  bool Open(JsonValue::Kind kind) {
    if (open_.size() == kMaxDepth) {
      return Fail(absl::StrCat("JSON nested deeper than ", kMaxDepth, " levels"));
    }
    open_.emplace_back();
    open_.back().kind = kind;
    open_.back().line = cursor_->token_line;
    return true;
  }
  bool Close() {
    JsonValue value = std::move(open_.back());
    open_.pop_back();
    return Place(std::move(value));
  }
  bool Place(JsonValue value) {
    (open_.empty() ? root_ : open_.back().items.emplace_back()) = std::move(value);
    return true;
  }

  absl::string_view name_;
  const Cursor* cursor_;
  absl::Status status_;
  std::vector<JsonValue> open_;  // arrays and objects that have not ended, outermost first
  JsonValue root_;
};

const char* KindName(JsonValue::Kind kind) {
  switch (kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBoolean:
      return "a boolean";
    case JsonValue::Kind::kNumber:
      return "a number";
    case JsonValue::Kind::kString:
      return "a string";
    case JsonValue::Kind::kArray:
      return "a list";
    case JsonValue::Kind::kObject:
      return "an object";
  }
  return "an unknown value";
}

// What was found, for an error message: the number itself, or the type.
std::string Found(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kNumber:
      return std::string(absl::string_view(value.text).substr(0, 40));
    case JsonValue::Kind::kString:
      return absl::StrCat("the string ", Quoted(value.text));
    default:
      return KindName(value.kind);
  }
}

}  // namespace

absl::StatusOr<std::vector<JsonValue>> ParseJson(absl::string_view name, absl::string_view text) {
  Cursor cursor{text.data(), text.data() + text.size()};
  std::vector<JsonValue> values;
  cursor.SkipSpace();
  while (cursor.next != cursor.end) {
    TreeBuilder builder(name, &cursor);
    nlohmann::json::sax_parse(CursorIterator(&cursor), CursorIterator(), &builder,
                              nlohmann::json::input_format_t::json, /*strict=*/false);
    RETURN_IF_ERROR(builder.status());
    values.push_back(builder.TakeRoot());
    cursor.SkipSpace();
  }
  return values;
}

absl::Status JsonReader::Error(const JsonValue& value, absl::string_view message) const {
  return absl::InvalidArgumentError(absl::StrCat(name_, ":", value.line, ": ", message));
}

absl::Status JsonReader::CheckKeys(const JsonValue& value, absl::string_view what,
                                   const std::vector<std::string>& required,
                                   const std::vector<std::string>& optional) const {
  std::vector<std::string> known = required;
  known.insert(known.end(), optional.begin(), optional.end());
  if (value.kind != JsonValue::Kind::kObject) {
    return Error(value, absl::StrCat(what, ": expected an object with the keys ",
                                     absl::StrJoin(known, ", "), ", found ", Found(value)));
  }
  for (size_t i = 0; i < value.keys.size(); ++i) {
    if (std::find(known.begin(), known.end(), value.keys[i]) == known.end()) {
      return Error(value.items[i],
                   absl::StrCat(what, ": ", UnknownNameMessage("key", value.keys[i], known)));
    }
  }
  for (const std::string& key : required) {
    if (Find(value, key) == nullptr) {
      return Error(value, absl::StrCat(what, ": the key '", key, "' is missing"));
    }
  }
  return absl::OkStatus();
}

const JsonValue* JsonReader::Find(const JsonValue& object, absl::string_view key) {
  auto found = std::find(object.keys.begin(), object.keys.end(), key);
  if (found == object.keys.end()) return nullptr;
  return &object.items[found - object.keys.begin()];
}

absl::StatusOr<int64_t> JsonReader::Integer(const JsonValue& value, absl::string_view what,
                                            int64_t min, int64_t max) const {
  int64_t integer;
  if (value.kind == JsonValue::Kind::kNumber && absl::SimpleAtoi(value.text, &integer) &&
      integer >= min && integer <= max) {
    return integer;
  }
  return Error(value, absl::StrCat(what, ": expected an integer from ", min, " to ", max,
                                   ", found ", Found(value)));
}

absl::StatusOr<double> JsonReader::Number(const JsonValue& value, absl::string_view what) const {
  double number;
  if (value.kind == JsonValue::Kind::kNumber && absl::SimpleAtod(value.text, &number) &&
      std::isfinite(number)) {
    return number;
  }
  return Error(value, absl::StrCat(what, ": expected a number, found ", Found(value)));
}

absl::StatusOr<std::string> JsonReader::String(const JsonValue& value,
                                               absl::string_view what) const {
  if (value.kind == JsonValue::Kind::kString) return value.text;
  return Error(value, absl::StrCat(what, ": expected a string, found ", Found(value)));
}

absl::Status JsonReader::CheckArray(const JsonValue& value, absl::string_view what) const {
  if (value.kind == JsonValue::Kind::kArray) return absl::OkStatus();
  return Error(value, absl::StrCat(what, ": expected a list, found ", Found(value)));
}

}  // namespace flashcp
