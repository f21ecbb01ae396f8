// Seeded document lengths of every shape that planning and execution must survive.

#ifndef FLASHCP_TESTS_TESTING_RANDOM_LENGTHS_H_
#define FLASHCP_TESTS_TESTING_RANDOM_LENGTHS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace flashcp::testing {

enum class LengthKind {
  kMixed,        // 2 to 12 documents of all magnitudes
  kOneDocument,  // one, of a length that few rank counts divide
  kManyEqual,    // 4 to 16 of the same length
  kLengthOne,    // 1 to 20 documents of one token
  kWithZero,     // mixed, and a zero-length document at the front, in the middle and at the end
  kFewTokens,    // 1 to 3 tokens in all: fewer than most rank counts
  kNone,         // no document
};

// All of them, for loops and parameterised tests.
std::vector<LengthKind> AllLengthKinds();

// For test names: "Mixed", "OneDocument", ...
std::string LengthKindName(LengthKind kind);

// The same lengths on every machine for the same arguments; at most max_tokens in all (at least 64
// to leave room for every kind).
std::vector<int64_t> RandomLengths(LengthKind kind, uint64_t seed, int64_t max_tokens);

}  // namespace flashcp::testing

#endif  // FLASHCP_TESTS_TESTING_RANDOM_LENGTHS_H_
