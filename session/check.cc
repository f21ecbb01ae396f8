// Each pass counts as a share of the progress by its products of matrices: three a pair forward,
// nine backward.

#include "session/check.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "session/place.h"

namespace flashcp::session {
namespace {

// The judge of the tensors of one run, one after the other.
class Checker {
 public:
  explicit Checker(const Plan& plan) : plan_(plan) {}

  void Check(const char* name, int64_t heads, int64_t dim, const std::vector<double>& expected,
             const std::vector<float>& allowed, const std::vector<float>& found) {
    CheckedTensor tensor = {name, FindWorst(expected, allowed, found), ""};
    const int64_t at = tensor.worst.index;
    if (tensor.worst.ratio > 1 && at >= 0) {
      tensor.finite = std::isfinite(expected[at]) && std::isfinite(found[at]);
      tensor.place = absl::StrFormat("%s of rank %d, %s is %g, expected %g", name,
                                     PlaceOf(plan_, at / (heads * std::max<int64_t>(dim, 1))).rank,
                                     ElementText(plan_, at, heads, dim), found[at], expected[at]);
    }
    result_.tensors.push_back(std::move(tensor));
  }

  CheckResult Take() { return std::move(result_); }

 private:
  const Plan& plan_;
  CheckResult result_;
};

// Returns the progress of a part of the work, which begins when `begin` of it is done and ends at
// `end`.
DenseProgress PartOf(const DenseProgress& progress, double begin, double end) {
  if (!progress) return nullptr;
  return [=](double fraction) { progress(begin + (end - begin) * fraction); };
}

}  // namespace

const CheckedTensor& CheckResult::Worst() const {
  return *std::max_element(
      tensors.begin(), tensors.end(),
      [](const CheckedTensor& a, const CheckedTensor& b) { return a.worst.ratio < b.worst.ratio; });
}

std::string CheckResult::Text() const {
  std::string text = "max error ";
  for (const CheckedTensor& tensor : tensors) {
    absl::StrAppendFormat(&text, "%s%s %.2e (allowed %.2e)", &tensor == &tensors[0] ? "" : ", ",
                          tensor.name, tensor.worst.error, tensor.worst.allowed);
  }
  return text;
}

CheckResult CheckTensors(const Plan& plan, const BatchTensors& tensors,
                         const DenseProgress& progress) {
  const KernelSpec spec = KernelSpecOf(plan);
  auto floats = [&](const std::string& elements) { return FloatsOf(spec.element, elements); };
  const std::vector<float> query = floats(tensors.query);
  const std::vector<float> key = floats(tensors.key);
  const std::vector<float> value = floats(tensors.value);
  const DenseProblem problem = {DocumentsOf(*plan), spec, query, key, value};
  const bool backward = !tensors.output_gradient.empty();
  const double forward_end = backward ? 3.0 / 12 : 1;
  const DenseResult exact = DenseAttention(problem, PartOf(progress, 0, forward_end));
  Checker checker(plan);
  const int q = spec.query_heads;
  const int kv = spec.key_value_heads;
  checker.Check("O", q, spec.dim, exact.output, exact.output_allowed, floats(tensors.output));
  checker.Check("LSE", q, 0, exact.lse, exact.lse_allowed,
                FloatsOf(model::DType::kF32, tensors.lse));
  if (!backward) return checker.Take();
  const DenseGradients gradients = DenseAttentionBackward(
      problem, exact, floats(tensors.output_gradient), PartOf(progress, forward_end, 1));
  checker.Check("dQ", q, spec.dim, gradients.query, gradients.query_allowed,
                floats(tensors.query_gradient));
  checker.Check("dK", kv, spec.dim, gradients.key, gradients.key_allowed,
                floats(tensors.key_gradient));
  checker.Check("dV", kv, spec.dim, gradients.value, gradients.value_allowed,
                floats(tensors.value_gradient));
  return checker.Take();
}

}  // namespace flashcp::session
