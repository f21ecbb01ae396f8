// Options go through the table that the command line uses, so that both know the same ones.

#include "api/request.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "compiler/input/batch_options.h"
#include "model/mask.h"
#include "runtime/plan/plan.h"
#include "support/nearest_name.h"
#include "support/status_macros.h"

namespace flashcp::capi {
namespace {

// Returns the texts of all options, those of the request in place of presets.
absl::StatusOr<BatchTexts> ReadOptions(const flashcp_request& request) {
  BatchTexts texts = PresetBatchTexts();
  std::set<std::string> given;
  for (size_t i = 0; i < request.num_options; ++i) {
    const flashcp_option& option = request.options[i];
    if (option.name == nullptr || option.value == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "option ", i, ": its ", option.name == nullptr ? "name" : "value", " is null"));
    }
    const auto text = texts.find(option.name);
    if (text == texts.end()) {
      std::vector<std::string> names;
      for (const BatchOption& known : BatchOptions()) names.push_back(known.name);
      return absl::InvalidArgumentError(UnknownNameMessage("option", option.name, names));
    }
    if (!given.insert(option.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("option ", option.name, " is given twice"));
    }
    text->second = option.value;
  }
  return texts;
}

absl::StatusOr<model::Document> ReadDocument(const flashcp_document& document,
                                             const model::Mask& preset) {
  if (document.mask == nullptr) return model::Document{document.length, preset};
  ASSIGN_OR_RETURN(const model::Mask mask, model::ParseMask(document.mask));
  return model::Document{document.length, mask};
}

// Takes the layout, which the other library holds, by its bytes.
absl::Status ReadLayout(const flashcp_request& request, BatchSettings* settings) {
  if (request.layout == nullptr) return absl::OkStatus();
  if (settings->layout) {
    return absl::InvalidArgumentError("layout: expected one, found a plan and option layout-of");
  }
  size_t size = 0;
  const void* bytes = flashcp_plan_bytes(request.layout, &size);
  ASSIGN_OR_RETURN(Plan plan, Plan::FromBytes(std::string(static_cast<const char*>(bytes), size)));
  settings->layout = GivenLayout{std::move(plan), "layout"};
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CompileRequest> ReadRequest(const flashcp_request& request) {
  if (request.num_options > 0 && request.options == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("options are null, ", request.num_options, " expected"));
  }
  if (request.num_documents > 0 && request.documents == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("documents are null, ", request.num_documents, " expected"));
  }
  ASSIGN_OR_RETURN(const BatchTexts texts, ReadOptions(request));
  ASSIGN_OR_RETURN(BatchSettings settings, ReadBatchOptions("", texts));
  RETURN_IF_ERROR(ReadLayout(request, &settings));
  if (settings.layout && request.documents == nullptr) {
    return MakeRequest(settings, DocumentsOfLayout(settings));
  }
  std::vector<model::Document> documents;
  documents.reserve(request.num_documents);
  for (size_t i = 0; i < request.num_documents; ++i) {
    absl::StatusOr<model::Document> document = ReadDocument(request.documents[i], settings.mask);
    if (!document.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("document ", i, ": ", document.status().message()));
    }
    documents.push_back(*document);
  }
  return MakeRequest(settings, std::move(documents));
}

}  // namespace flashcp::capi
