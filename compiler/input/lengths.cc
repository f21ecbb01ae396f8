// Tells text, JSON and JSON Lines apart by their first character, then reads all batches.

#include "compiler/input/lengths.h"

#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "compiler/input/json.h"
#include "model/mask.h"
#include "support/files.h"
#include "support/quoted.h"
#include "support/status_macros.h"

namespace flashcp {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{64} << 20;

// Adds documents to a batch while its tokens stay within the limit.
class BatchBuilder {
 public:
  // The error lacks the place in the text.
  absl::Status Add(const model::Document& document) {
    tokens_ += document.length;
    if (tokens_ > model::kMaxTokens) {
      return absl::InvalidArgumentError(absl::StrCat("the batch has ", tokens_,
                                                     " tokens up to here; at most ",
                                                     model::kMaxTokens, " are allowed"));
    }
    batch_.push_back(document);
    return absl::OkStatus();
  }
  Batch Take() { return std::move(batch_); }

 private:
  Batch batch_;
  int64_t tokens_ = 0;
};

absl::StatusOr<Batch> ParseText(absl::string_view name, absl::string_view text,
                                const model::Mask& mask) {
  BatchBuilder batch;
  int line = 1;
  for (size_t i = 0; i < text.size();) {
    if (absl::ascii_isspace(text[i])) {
      line += text[i++] == '\n';
      continue;
    }
    size_t begin = i;
    while (i < text.size() && !absl::ascii_isspace(text[i])) ++i;
    absl::string_view token = text.substr(begin, i - begin);
    model::Document document{0, mask};
    if (!absl::SimpleAtoi(token, &document.length) || document.length < 0 ||
        document.length > model::kMaxTokens) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ":", line, ": expected a token count, an integer from 0 to ",
                       model::kMaxTokens, ", found ", Quoted(token)));
    }
    absl::Status status = batch.Add(document);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": ", status.message()));
    }
  }
  return batch.Take();
}

absl::StatusOr<model::Document> ParseDocument(const JsonReader& reader, const JsonValue& value,
                                              const model::Mask& default_mask) {
  model::Document document{0, default_mask};
  const JsonValue* length = &value;
  if (value.kind == JsonValue::Kind::kObject) {
    RETURN_IF_ERROR(reader.CheckKeys(value, "document", {"length"}, {"mask"}));
    length = JsonReader::Find(value, "length");
    if (const JsonValue* mask = JsonReader::Find(value, "mask")) {
      ASSIGN_OR_RETURN(std::string text, reader.String(*mask, "mask"));
      auto parsed = model::ParseMask(text);
      if (!parsed.ok()) return reader.Error(*mask, parsed.status().message());
      document.mask = *parsed;
    }
  }
  ASSIGN_OR_RETURN(document.length,
                   reader.Integer(*length, "document length", 0, model::kMaxTokens));
  return document;
}

absl::StatusOr<Batch> ParseBatch(const JsonReader& reader, const JsonValue& value,
                                 const model::Mask& default_mask) {
  const JsonValue* documents = &value;
  if (value.kind != JsonValue::Kind::kArray) {
    RETURN_IF_ERROR(reader.CheckKeys(value, "batch", {"documents"}));
    documents = JsonReader::Find(value, "documents");
  }
  RETURN_IF_ERROR(reader.CheckArray(*documents, "documents"));
  BatchBuilder batch;
  for (const JsonValue& item : documents->items) {
    ASSIGN_OR_RETURN(model::Document document, ParseDocument(reader, item, default_mask));
    absl::Status status = batch.Add(document);
    if (!status.ok()) return reader.Error(item, status.message());
  }
  return batch.Take();
}

}  // namespace

absl::StatusOr<std::vector<Batch>> ParseLengths(absl::string_view name, absl::string_view text,
                                                const model::Mask& default_mask) {
  absl::string_view content = absl::StripLeadingAsciiWhitespace(text);
  if (content.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": empty; expected whitespace-separated token counts, or JSON"));
  }
  std::vector<Batch> batches;
  if (content[0] != '{' && content[0] != '[') {
    ASSIGN_OR_RETURN(Batch batch, ParseText(name, text, default_mask));
    batches.push_back(std::move(batch));
    return batches;
  }
  ASSIGN_OR_RETURN(std::vector<JsonValue> values, ParseJson(name, text));
  JsonReader reader(name);
  for (const JsonValue& value : values) {
    ASSIGN_OR_RETURN(Batch batch, ParseBatch(reader, value, default_mask));
    batches.push_back(std::move(batch));
  }
  return batches;
}

absl::StatusOr<std::vector<Batch>> ReadLengths(const std::string& path,
                                               const model::Mask& default_mask) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxFileBytes));
  return ParseLengths(path == "-" ? "standard input" : path, text, default_mask);
}

}  // namespace flashcp
