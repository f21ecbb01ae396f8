// The mask of a document: which of its keys each query sees, and the names of masks.
//
// A mask is a band, of any two limits; options, JSON and IR hold a Mask and ask for its text, and
// solver, plans, kernels and references ask for its band. Only mask.cc knows names: each is one
// line of its table. A mask that needs several bands would answer band() for ranges of queries and
// keys, and be cut where they meet.

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

  friend bool operator==(const Mask& a, const Mask& b) { return a.band_ == b.band_; }

 private:
  Band band_ = {Band::kNoLower, 0};
};

// The characters around the numbers of a name.
struct MaskSyntax {
  absl::string_view open, close;
};
inline constexpr MaskSyntax kOptionMask = {":", ""};  // window:W, on command lines and in JSON
inline constexpr MaskSyntax kIrMask = {"<", ">"};     // window<W>, in IR

// Returns the names, for help and for messages: "causal|full|window:W|band:LOWER:UPPER".
std::string MaskNames(const MaskSyntax& syntax = kOptionMask);
// Returns what help says of those that do not explain themselves.
std::string MaskHelp();

// Returns the name of a mask: "band:LOWER:UPPER" (in IR "band<LOWER:UPPER>") if it has no other, a
// side without a limit being "none".
std::string MaskText(const Mask& mask, const MaskSyntax& syntax = kOptionMask);

// Returns the mask of a name. InvalidArgument with what was found and what is allowed.
absl::StatusOr<Mask> ParseMask(absl::string_view text, const MaskSyntax& syntax = kOptionMask);

}  // namespace flashcp::model

#endif  // FLASHCP_MODEL_MASK_H_
