// Reads and writes a mask in IR, by the names of model/mask.h.

#include "dialects/cp/CP.h"

using namespace mlir;
using namespace flashcp;
using namespace flashcp::cp;

/// Adds an integer, or the word that stands for one, to the text of a mask.
static ParseResult parseNumber(AsmParser &parser, std::string &text) {
  StringRef word;
  if (succeeded(parser.parseOptionalKeyword(&word))) {
    text += word;
    return success();
  }
  int64_t number;
  if (parser.parseInteger(number))
    return failure();
  text += std::to_string(number);
  return success();
}

/// C6: a name, or a name and its numbers, `window<1024>`, `band<-300:none>`.
ParseResult flashcp::cp::parseMask(AsmParser &parser, MaskAttr &mask) {
  SMLoc location = parser.getCurrentLocation();
  StringRef name;
  if (parser.parseKeyword(&name))
    return failure();
  std::string text = name.str();
  if (succeeded(parser.parseOptionalLess())) {
    text += '<';
    if (parseNumber(parser, text))
      return failure();
    while (succeeded(parser.parseOptionalColon())) {
      text += ':';
      if (parseNumber(parser, text))
        return failure();
    }
    if (parser.parseGreater())
      return failure();
    text += '>';
  }
  absl::StatusOr<model::Mask> value = model::ParseMask(text, model::kIrMask);
  if (!value.ok())
    return parser.emitError(location)
           << "C6: " << std::string(value.status().message());
  mask = MaskAttr::get(parser.getContext(), *value);
  return success();
}

void flashcp::cp::printMask(AsmPrinter &printer, Operation *, MaskAttr mask) {
  printer << model::MaskText(mask.getValue(), model::kIrMask);
}

Attribute MaskAttr::parse(AsmParser &parser, Type) {
  MaskAttr mask;
  if (parser.parseLess() || parseMask(parser, mask) || parser.parseGreater())
    return {};
  return mask;
}

void MaskAttr::print(AsmPrinter &printer) const {
  printer << '<' << model::MaskText(getValue(), model::kIrMask) << '>';
}
