// Walks over documents and layouts, since it runs once, before an error.

#include "session/place.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace flashcp::session {
namespace {

int OwnerOf(const Plan& plan, uint32_t document, int64_t position) {
  for (int rank = 0; rank < plan.num_ranks(); ++rank) {
    for (const fbs::TokenRange& range : Items(plan->ranks()->Get(rank)->layout())) {
      if (range.document() == document && range.begin() <= position && position < range.end()) {
        return rank;
      }
    }
  }
  return -1;  // not a verified plan: every token has an owner
}

}  // namespace

Place PlaceOf(const Plan& plan, int64_t token) {
  Place place{0, token, 0};
  for (const fbs::Document& document : Items(plan->documents())) {
    if (place.position < document.length()) break;
    place.position -= document.length();
    ++place.document;
  }
  place.rank = OwnerOf(plan, place.document, place.position);
  return place;
}

std::string ElementText(const Plan& plan, int64_t index, int64_t heads, int64_t dim) {
  const int64_t row = index / std::max<int64_t>(dim, 1);
  const Place place = PlaceOf(plan, row / heads);
  std::string text = absl::StrCat("document ", place.document, ", position ", place.position,
                                  " (token ", row / heads, "), head ", row % heads);
  if (dim > 0) absl::StrAppend(&text, ", element ", index % dim);
  return text;
}

}  // namespace flashcp::session
