// The names of masks, and what each of them means, word for word.

#include "model/mask.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/document.h"

namespace flashcp::model {
namespace {

using ::testing::HasSubstr;

TEST(MaskTest, ReadsAndWritesNames) {
  EXPECT_EQ(*model::ParseMask("causal"), Mask::Causal());
  EXPECT_EQ(*model::ParseMask("full"), Mask::Full());
  EXPECT_EQ(*model::ParseMask("window:512"), Mask::Window(512));
  for (const char* text : {"causal", "full", "window:1", "window:512", "window:2147483648"}) {
    EXPECT_EQ(MaskText(*model::ParseMask(text)), text);
  }
  EXPECT_EQ(MaskText(Mask({-3, 5})), "band:-3:5");
}

TEST(MaskTest, ReadsAndWritesNamesOfIr) {
  for (const char* text : {"causal", "full", "window<1>", "window<2147483648>"}) {
    absl::StatusOr<Mask> mask = ParseMask(text, kIrMask);
    ASSERT_TRUE(mask.ok()) << mask.status();
    EXPECT_EQ(MaskText(*mask, kIrMask), text);
  }
  EXPECT_EQ(*ParseMask("window<512>", kIrMask), Mask::Window(512));
  EXPECT_EQ(MaskText(Mask({-3, 5}), kIrMask), "band<-3:5>");
}

TEST(MaskTest, RefusesOtherNames) {
  auto error = [](const char* text) {
    return std::string(model::ParseMask(text).status().message());
  };
  for (const char* text : {"window:0", "window:", "window:-1", "window:1.5", "window:9999999999"}) {
    EXPECT_THAT(error(text), HasSubstr("an integer from 1 to")) << text;
  }
  EXPECT_THAT(error("windw:5"), HasSubstr("did you mean 'window:W'?"));
  for (const char* text : {"band:-3:5", "window<5>", "window5"}) {
    EXPECT_THAT(error(text), HasSubstr("unknown mask")) << text;
  }
  EXPECT_EQ(ParseMask("window:5", kIrMask).status().message(),
            "unknown mask 'window:5': did you mean 'window<W>'? (one of causal, full, window<W>)");
}

// Queries that see a key, by the band of the mask.
bool Sees(const Mask& mask, int64_t query, int64_t key) {
  return CountPairs(mask.band(), {query, query + 1}, {key, key + 1}) == 1;
}

TEST(MaskTest, NamesMeanWhatTheySay) {
  for (int64_t query = 0; query < 9; ++query) {
    for (int64_t key = 0; key < 9; ++key) {
      EXPECT_EQ(Sees(Mask::Causal(), query, key), key <= query);
      EXPECT_TRUE(Sees(Mask::Full(), query, key));
      for (int64_t window : {1, 2, 8, 9, 100}) {
        EXPECT_EQ(Sees(Mask::Window(window), query, key), key <= query && key > query - window);
        EXPECT_EQ(Mask::Window(window).window(), window);
      }
    }
  }
}

// A window of the whole document is no causal mask by name, though it shows the same keys.
TEST(MaskTest, EachMaskIsOfOneKind) {
  for (const Mask& mask :
       {Mask::Causal(), Mask::Full(), Mask::Window(1), Mask::Window(kMaxTokens)}) {
    EXPECT_EQ(mask.IsCausal() + mask.IsFull() + (mask.window() > 0), 1) << MaskText(mask);
  }
  for (const Mask& mask : {Mask({1, 5}), Mask({-5, 1}), Mask({-5, Band::kNoUpper})}) {
    EXPECT_FALSE(mask.IsCausal() || mask.IsFull() || mask.window() > 0) << MaskText(mask);
  }
}

TEST(DocumentTest, ItsEndEndsWhatIsSeen) {
  const Document document = {12, Mask::Full()};
  EXPECT_EQ(CountPairs(document, 3, 5), 24);
  EXPECT_EQ(KeysNeeded(document, 3, 5).end, 12);
  EXPECT_EQ(CountPairs(document, 5, 5), 0);
  EXPECT_EQ(KeysNeeded(document, 5, 5).end, 0);
}

}  // namespace
}  // namespace flashcp::model
