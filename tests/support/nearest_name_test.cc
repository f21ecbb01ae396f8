// Suggestions for names that nearly exist.

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
  EXPECT_EQ(NearestName("zigzga", Strategies()), "zigzag");  // swapped
  EXPECT_EQ(NearestName("cup", {"cuda", "cpu"}), "cpu");
  EXPECT_EQ(NearestName("contigous", Strategies()), "contiguous");  // left out
  EXPECT_EQ(NearestName("perr-doc", Strategies()), "per-doc");      // doubled
  EXPECT_EQ(NearestName("whale-doc", Strategies()), "whole-doc");   // replaced
}

TEST(NearestNameTest, ANameIsNearestToItself) {
  for (const std::string& name : Strategies()) EXPECT_EQ(NearestName(name, Strategies()), name);
}

TEST(NearestNameTest, TakesTheFirstOfEquals) {
  EXPECT_EQ(NearestName("acd", {"bcd", "abd", "ccd"}), "bcd");
}

// Words of their own, not typing errors.
TEST(NearestNameTest, SuggestsNothingFar) {
  EXPECT_EQ(NearestName("cuda", {"cpu"}), "");
  EXPECT_EQ(NearestName("-n", {"--help", "--json"}), "");
  EXPECT_EQ(NearestName("help", {"run", "compile"}), "");
  EXPECT_EQ(NearestName("b8.txt", {"h100x8", "h100x64", "h100-ib8", "cpu"}), "");
  EXPECT_EQ(NearestName("", {"bb", "a"}), "");
  EXPECT_EQ(NearestName("x", {"a"}), "");
}

TEST(NearestNameTest, HasNothingToOfferFromNoCandidates) { EXPECT_EQ(NearestName("x", {}), ""); }

TEST(NearestNameTest, TakesNamesOfAnyLength) {
  EXPECT_EQ(NearestName(std::string(1 << 20, 'z'), {"a", std::string(64, 'z')}),
            std::string(64, 'z'));
}

TEST(UnknownNameMessageTest, NamesWhatWasFoundTheNearestAndAllAllowed) {
  EXPECT_EQ(UnknownNameMessage("dtype", "fp16", {"f32", "bf16", "f16"}),
            "unknown dtype 'fp16': did you mean 'f16'? (one of f32, bf16, f16)");
  EXPECT_EQ(UnknownNameMessage("device", "cuda", {"cpu"}), "unknown device 'cuda' (one of cpu)");
}

}  // namespace
}  // namespace flashcp
