// Draws lengths with many short and few long documents.

#include "tests/testing/random_lengths.h"

#include <random>
#include <utility>

namespace flashcp::testing {
namespace {

// From [low, high]. The distributions and shuffles of std differ between libraries: none here.
int64_t Draw(std::mt19937_64& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

// Each document takes a power-of-two fraction of what is left, so that magnitudes differ widely.
std::vector<int64_t> Mixed(std::mt19937_64& random, int64_t max_tokens) {
  std::vector<int64_t> lengths(Draw(random, 2, 12));
  int64_t left = max_tokens;
  for (int64_t& length : lengths) {
    length = Draw(random, 0, left >> Draw(random, 1, 6));
    left -= length;
  }
  for (size_t i = lengths.size() - 1; i > 0; --i)
    std::swap(lengths[i], lengths[random() % (i + 1)]);
  return lengths;
}

}  // namespace

std::vector<LengthKind> AllLengthKinds() {
  return {LengthKind::kMixed,     LengthKind::kOneDocument, LengthKind::kManyEqual,
          LengthKind::kLengthOne, LengthKind::kWithZero,    LengthKind::kFewTokens,
          LengthKind::kNone};
}

std::string LengthKindName(LengthKind kind) {
  switch (kind) {
    case LengthKind::kMixed:
      return "Mixed";
    case LengthKind::kOneDocument:
      return "OneDocument";
    case LengthKind::kManyEqual:
      return "ManyEqual";
    case LengthKind::kLengthOne:
      return "LengthOne";
    case LengthKind::kWithZero:
      return "WithZero";
    case LengthKind::kFewTokens:
      return "FewTokens";
    case LengthKind::kNone:
      break;
  }
  return "None";
}

std::vector<int64_t> RandomLengths(LengthKind kind, uint64_t seed, int64_t max_tokens) {
  std::mt19937_64 random(seed);
  switch (kind) {
    case LengthKind::kMixed:
      return Mixed(random, max_tokens);
    case LengthKind::kOneDocument:
      return {Draw(random, max_tokens / 2, max_tokens - 1) | 1};
    case LengthKind::kManyEqual: {
      int64_t documents = Draw(random, 4, 16);
      return std::vector<int64_t>(documents, Draw(random, 1, max_tokens / documents));
    }
    case LengthKind::kLengthOne:
      return std::vector<int64_t>(Draw(random, 1, 20), 1);
    case LengthKind::kWithZero: {
      std::vector<int64_t> lengths = Mixed(random, max_tokens);
      lengths.insert(lengths.begin() + lengths.size() / 2, 0);
      lengths.insert(lengths.begin(), 0);
      lengths.push_back(0);
      return lengths;
    }
    case LengthKind::kFewTokens: {
      std::vector<int64_t> lengths = {0, 0};
      lengths[random() % 2] = Draw(random, 1, 2);
      lengths.push_back(Draw(random, 0, 1));
      return lengths;
    }
    case LengthKind::kNone:
      break;
  }
  return {};
}

}  // namespace flashcp::testing
