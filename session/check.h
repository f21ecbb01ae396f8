// The comparison of a run's results with float64 attention, by the rule of
// runtime/check/tolerance.h.

#ifndef FLASHCP_SESSION_CHECK_H_
#define FLASHCP_SESSION_CHECK_H_

#include <string>
#include <vector>

#include "runtime/check/dense_reference.h"
#include "runtime/check/error_measures.h"
#include "runtime/plan/plan.h"
#include "session/tensors.h"

namespace flashcp::session {

// One result, and its element whose error is the largest share of what rounding allows.
struct CheckedTensor {
  std::string name;  // O, LSE, dQ, dK or dV
  WorstElement worst;
  std::string place;  // of a tensor that is wrong: rank, document, position, head, values
  bool finite =
      true;  // false if the worst element is wrong, and it or its reference is not a finite number
};

struct CheckResult {
  std::vector<CheckedTensor> tensors;  // gradients only if there are any

  // Returns the tensor with the largest share.
  const CheckedTensor& Worst() const;
  bool ok() const { return Worst().worst.ratio <= 1; }
  // Returns "max error O 3.89e-03 (allowed 7.83e-03), LSE 6.82e-07 (allowed 2.00e-05)".
  std::string Text() const;
};

// Computes the float64 reference on all cores, and tells `progress`. The plan has passed
// VerifyPlan.
CheckResult CheckTensors(const Plan& plan, const BatchTensors& tensors,
                         const DenseProgress& progress = nullptr);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_CHECK_H_
