#include "support/nearest_name.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp {
namespace {

const std::vector<std::string>& Strategies() {
  static const auto* names =
      new std::vector<std::string>{"contiguous", "zigzag", "per-doc", "whole-doc"};
  return *names;
}

TEST(NearestNameTest, FindsNamesWithTypingErrors) {
  EXPECT_EQ(NearestName("zigzga", Strategies()), "zigzag");         // swapped
  EXPECT_EQ(NearestName("contigous", Strategies()), "contiguous");  // left out
  EXPECT_EQ(NearestName("perr-doc", Strategies()), "per-doc");      // doubled
  EXPECT_EQ(NearestName("whale-doc", Strategies()), "whole-doc");   // replaced
}

TEST(NearestNameTest, ANameIsNearestToItself) {
  for (const std::string& name : Strategies()) EXPECT_EQ(NearestName(name, Strategies()), name);
}

TEST(NearestNameTest, TakesTheFirstOfEquals) {
  EXPECT_EQ(NearestName("ac", {"bc", "ab", "cc"}), "bc");
  EXPECT_EQ(NearestName("", {"bb", "a", "b"}), "a");
}

TEST(NearestNameTest, HasNothingToOfferFromNoCandidates) { EXPECT_EQ(NearestName("x", {}), ""); }

TEST(NearestNameTest, TakesNamesOfAnyLength) {
  EXPECT_EQ(NearestName(std::string(1 << 20, 'z'), {"a", "zigzag"}), "zigzag");
}

TEST(UnknownNameMessageTest, NamesWhatWasFoundTheNearestAndAllAllowed) {
  EXPECT_EQ(UnknownNameMessage("dtype", "fp16", {"f32", "bf16", "f16"}),
            "unknown dtype 'fp16': did you mean 'f16'? (one of f32, bf16, f16)");
}

}  // namespace
}  // namespace flashcp
