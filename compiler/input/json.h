// JSON text as a tree of values that know their line, so that input errors can name it. Stricter
// than JSON where that catches mistakes: duplicate keys and deep nesting are errors.

#ifndef FLASHCP_COMPILER_INPUT_JSON_H_
#define FLASHCP_COMPILER_INPUT_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flashcp {

struct JsonValue {
  enum class Kind { kNull, kBoolean, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  int line = 1;                   // where its text ends or, for arrays and objects, begins
  std::string text;               // a number as written, a string unescaped, "true" or "false"
  std::vector<std::string> keys;  // of an object, in order
  std::vector<JsonValue> items;   // of an array, or the values of an object in the order of keys
};

// The JSON values of a text, one after another: JSON Lines and a single value alike. `name` is what
// errors call the text. InvalidArgument, "name:line: ...", for text that is not JSON.
absl::StatusOr<std::vector<JsonValue>> ParseJson(absl::string_view name, absl::string_view text);

// Reads typed values of one text. Every error is InvalidArgument and names line, key, what was
// found and what is allowed. Borrows the name.
class JsonReader {
 public:
  explicit JsonReader(absl::string_view name) : name_(name) {}

  absl::Status Error(const JsonValue& value, absl::string_view message) const;

  // OK if `value` is an object whose keys are exactly `required` and some of `optional`.
  absl::Status CheckKeys(const JsonValue& value, absl::string_view what,
                         const std::vector<std::string>& required,
                         const std::vector<std::string>& optional = {}) const;

  // The value of a key that CheckKeys has found, or null.
  static const JsonValue* Find(const JsonValue& object, absl::string_view key);

  // An integer of [min, max], written without point or exponent.
  absl::StatusOr<int64_t> Integer(const JsonValue& value, absl::string_view what, int64_t min,
                                  int64_t max) const;
  absl::StatusOr<double> Number(const JsonValue& value, absl::string_view what) const;
  absl::StatusOr<std::string> String(const JsonValue& value, absl::string_view what) const;
  // Refuses a value that is not an array.
  absl::Status CheckArray(const JsonValue& value, absl::string_view what) const;

 private:
  absl::string_view name_;
};

}  // namespace flashcp

#endif  // FLASHCP_COMPILER_INPUT_JSON_H_
