// Reads and writes a mask in IR, by the names of model/mask.h.

#include "dialects/cp/CP.h"

using namespace mlir;
using namespace flashcp;
using namespace flashcp::cp;

/// C6: a name, or a name and its number, `window<1024>`.
ParseResult flashcp::cp::parseMask(AsmParser &parser, MaskAttr &mask) {
  SMLoc location = parser.getCurrentLocation();
  StringRef name;
  if (parser.parseKeyword(&name))
    return failure();
  std::string text = name.str();
  if (succeeded(parser.parseOptionalLess())) {
    int64_t number;
    if (parser.parseInteger(number) || parser.parseGreater())
      return failure();
    text += '<' + std::to_string(number) + '>';
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
