// Converts the tensors row by row, and stops at the first number that is not finite.

#include "session/finite.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "runtime/kernel_spec.h"
#include "runtime/layout.h"
#include "runtime/numeric.h"
#include "session/place.h"

namespace flashcp::session {
namespace {

absl::Status CheckTensor(const Plan& plan, const char* name, const std::string& elements,
                         int64_t heads) {
  const model::DType type = KernelSpecOf(plan).element;
  const int64_t dim = plan->heads()->dim();
  const int64_t row = heads * dim;
  const int64_t tokens = elements.empty() ? 0 : TotalTokens(plan);
  std::vector<float> floats(row);
  for (int64_t token = 0; token < tokens; ++token) {
    ElementsToFloats(type, elements.data() + token * row * BytesPerElement(type), row,
                     floats.data());
    for (int64_t i = 0; i < row; ++i) {
      if (std::isfinite(floats[i])) continue;
      const std::string found = std::isnan(floats[i]) ? "nan" : floats[i] > 0 ? "inf" : "-inf";
      return absl::DataLossError(absl::StrFormat(
          "%s of %s is %s: a finite number expected; rank %d owns the token", name,
          ElementText(plan, token * row + i, heads, dim), found, PlaceOf(plan, token).rank));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckFinite(const Plan& plan, const BatchTensors& tensors) {
  const int64_t query_heads = plan->heads()->query();
  const int64_t key_heads = plan->heads()->key_value();
  absl::Status status = CheckTensor(plan, "q", tensors.query, query_heads);
  if (status.ok()) status = CheckTensor(plan, "k", tensors.key, key_heads);
  if (status.ok()) status = CheckTensor(plan, "v", tensors.value, key_heads);
  if (status.ok()) status = CheckTensor(plan, "do", tensors.output_gradient, query_heads);
  return status;
}

}  // namespace flashcp::session
