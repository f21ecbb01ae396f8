// Any bytes as LENGTHS: batches within the limits that the header states, or an error that begins
// with the name.

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "compiler/input/lengths.h"
#include "compiler/solver/problem.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace flashcp;
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  auto batches = ParseLengths("lengths", text, solver::Mask{});
  if (!batches.ok()) {
    assert(absl::IsInvalidArgument(batches.status()));
    assert(absl::StartsWith(batches.status().message(), "lengths:"));
    return 0;
  }
  assert(!batches->empty());
  for (const Batch& batch : *batches) {
    int64_t tokens = 0;
    for (const solver::Document& document : batch) {
      assert(document.length >= 0 && document.length <= solver::kMaxTokens);
      bool has_window = document.mask.kind == solver::MaskKind::kWindow;
      assert(has_window == (document.mask.window != 0) && document.mask.window >= 0);
      tokens += document.length;
    }
    assert(tokens <= solver::kMaxTokens);
  }
  return 0;
}
