// Counts edits by the Damerau-Levenshtein distance: letters swapped with their neighbour count
// once.

#include "support/nearest_name.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "support/quoted.h"

namespace flashcp {
namespace {

// Returns the number of letters to insert, delete, replace or swap with their neighbour, to turn
// `a` into `b`.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<std::vector<size_t>> distance(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        distance[i][j] = i + j;
        continue;
      }
      distance[i][j] = std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1,
                                 distance[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
      }
    }
  }
  return distance[a.size()][b.size()];
}

// Returns whether at most a third of the letters are wrong: a name further off is another word, not
// a typing error.
bool IsNear(size_t distance, absl::string_view a, absl::string_view b) {
  return 3 * distance <= std::max(a.size(), b.size());
}

}  // namespace

std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates) {
  // The first letters decide, and the distance takes quadratic time.
  name = name.substr(0, 64);
  size_t best = std::numeric_limits<size_t>::max();
  std::string nearest;
  for (const std::string& candidate : candidates) {
    size_t distance = EditDistance(name, candidate);
    if (distance < best && IsNear(distance, name, candidate)) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string UnknownNameMessage(absl::string_view what, absl::string_view name,
                               const std::vector<std::string>& candidates) {
  const std::string nearest = NearestName(name, candidates);
  return absl::StrCat("unknown ", what, " ", Quoted(name),
                      nearest.empty() ? "" : absl::StrCat(": did you mean '", nearest, "'?"),
                      " (one of ", absl::StrJoin(candidates, ", "), ")");
}

}  // namespace flashcp
