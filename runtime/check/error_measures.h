// How far results are from what they must be, a number for each tensor.
//
// All compare element by element. Two infinities of the same sign differ by nothing; an element
// that is infinite on one side only, or NaN on either, makes the error infinite, and so do tensors
// of different sizes. No error is NaN.

#ifndef FLASHCP_RUNTIME_CHECK_ERROR_MEASURES_H_
#define FLASHCP_RUNTIME_CHECK_ERROR_MEASURES_H_

#include <cstdint>

#include "absl/types/span.h"

namespace flashcp {

// The element of a tensor that is worst for what it is allowed.
struct WorstElement {
  double ratio = 0;    // error / allowed; above 1 the tensor is wrong
  double error = 0;    // |found - expected|
  double allowed = 0;  // of this element
  int64_t index = -1;  // -1 if no element is off, or if sizes differ
};

// Compares with what each element is allowed (tolerance.h).
WorstElement FindWorst(absl::Span<const double> expected, absl::Span<const float> allowed,
                       absl::Span<const float> found);

// The largest |found - expected|.
double MaxError(absl::Span<const double> expected, absl::Span<const float> found);

// MaxError over the largest finite |expected| of the tensor; MaxError itself if that is 0.
double RelativeError(absl::Span<const double> expected, absl::Span<const float> found);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_CHECK_ERROR_MEASURES_H_
