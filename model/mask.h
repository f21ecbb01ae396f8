// The mask of a document: which of its keys each query sees, and the names of masks.
//
// Only this file and mask.cc know the names: options, JSON and IR hold a Mask and ask for its text;
// solver, plans, kernels and references ask for its band and take any. A mask that needs several
// bands would answer BandOf() for ranges of queries and keys, and be cut where they meet.

#ifndef FLASHCP_MODEL_MASK_H_
#define FLASHCP_MODEL_MASK_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/band.h"

namespace flashcp::model {

class Mask {
 public:
  Mask() = default;  // causal
  explicit Mask(const Band& band) : band_(band) {}

  // Query i sees keys [0, i].
  static Mask Causal() { return Mask(); }
  // A query sees all keys.
  static Mask Full() { return Mask(Band{}); }
  // Query i sees keys (i - keys, i]; `keys` is from 1 to kMaxTokens.
  static Mask Window(int64_t keys) { return Mask(Band{static_cast<int32_t>(1 - keys), 0}); }

  const Band& band() const { return band_; }
  bool IsCausal() const { return band_ == Band{Band::kNoLower, 0}; }
  bool IsFull() const { return band_ == Band{}; }
  // Keys that a query sees, its own last; 0 if the mask is not a window.
  int64_t window() const {
    const bool is_window = band_.upper == 0 && band_.lower != Band::kNoLower && band_.lower <= 0;
    return is_window ? 1 - int64_t{band_.lower} : 0;
  }

  friend bool operator==(const Mask& a, const Mask& b) { return a.band_ == b.band_; }

 private:
  Band band_ = {Band::kNoLower, 0};
};

// The names as help lists them, and what it says of those that do not explain themselves.
inline constexpr char kMaskNames[] = "causal|full|window:W";
inline constexpr char kMaskHelp[] = "window:W is causal over the last W keys";

// What stands around the number of a name.
struct MaskSyntax {
  absl::string_view open, close;
};
inline constexpr MaskSyntax kOptionMask = {":", ""};  // window:W, on command lines and in JSON
inline constexpr MaskSyntax kIrMask = {"<", ">"};     // window<W>, in IR

// Returns the name of a mask, or "band:LOWER:UPPER" (in IR "band<LOWER:UPPER>") if it has none.
std::string MaskText(const Mask& mask, const MaskSyntax& syntax = kOptionMask);

// Returns the mask of a name. InvalidArgument with what was found and what is allowed; W is an
// integer from 1 to kMaxTokens.
absl::StatusOr<Mask> ParseMask(absl::string_view text, const MaskSyntax& syntax = kOptionMask);

}  // namespace flashcp::model

#endif  // FLASHCP_MODEL_MASK_H_
