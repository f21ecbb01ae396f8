// Any bytes as LENGTHS: batches within the limits that the header states, or an error that begins
// with the name.

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "compiler/input/lengths.h"
#include "model/mask.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace flashcp;
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  auto batches = ParseLengths("lengths", text, model::Mask{});
  if (!batches.ok()) {
    assert(absl::IsInvalidArgument(batches.status()));
    assert(absl::StartsWith(batches.status().message(), "lengths:"));
    return 0;
  }
  assert(!batches->empty());
  for (const Batch& batch : *batches) {
    int64_t tokens = 0;
    for (const model::Document& document : batch) {
      assert(document.length >= 0 && document.length <= model::kMaxTokens);
      assert(model::ParseMask(model::MaskText(document.mask)).value() == document.mask);
      tokens += document.length;
    }
    assert(tokens <= model::kMaxTokens);
  }
  return 0;
}
