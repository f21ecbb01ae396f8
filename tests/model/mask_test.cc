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
  EXPECT_EQ(*model::ParseMask("band:-3:5"), Mask({-3, 5}));
  EXPECT_EQ(*model::ParseMask("band:none:-2"), Mask({Band::kNoLower, -2}));
  EXPECT_EQ(*model::ParseMask("band:7:none"), Mask({7, Band::kNoUpper}));
  for (const char* text :
       {"causal", "full", "window:1", "window:512", "window:2147483648", "band:-3:5", "band:0:none",
        "band:none:1", "band:-2147483647:2147483646"}) {
    EXPECT_EQ(MaskText(*model::ParseMask(text)), text);
  }
}

TEST(MaskTest, WritesTheFirstNameOfABand) {
  EXPECT_EQ(MaskText(*model::ParseMask("band:none:0")), "causal");
  EXPECT_EQ(MaskText(*model::ParseMask("band:none:none")), "full");
  EXPECT_EQ(MaskText(*model::ParseMask("band:-9:0")), "window:10");
}

TEST(MaskTest, ListsNames) {
  EXPECT_EQ(MaskNames(), "causal|full|window:W|band:LOWER:UPPER");
  EXPECT_EQ(MaskNames(kIrMask), "causal|full|window<W>|band<LOWER:UPPER>");
  EXPECT_THAT(MaskHelp(), HasSubstr("window:W is causal over the last W keys"));
}

TEST(MaskTest, ReadsAndWritesNamesOfIr) {
  for (const char* text :
       {"causal", "full", "window<1>", "window<2147483648>", "band<-3:5>", "band<none:-1>"}) {
    absl::StatusOr<Mask> mask = ParseMask(text, kIrMask);
    ASSERT_TRUE(mask.ok()) << mask.status();
    EXPECT_EQ(MaskText(*mask, kIrMask), text);
  }
  EXPECT_EQ(*ParseMask("window<512>", kIrMask), Mask::Window(512));
}

TEST(MaskTest, RefusesOtherNames) {
  auto error = [](const char* text) {
    return std::string(model::ParseMask(text).status().message());
  };
  for (const char* text : {"window:0", "window:", "window:-1", "window:1.5", "window:9999999999"}) {
    EXPECT_THAT(error(text), HasSubstr("an integer from 1 to")) << text;
  }
  EXPECT_THAT(error("windw:5"), HasSubstr("did you mean 'window:W'?"));
  for (const char* text : {"band", "band<1:2>", "window<5>", "window5"}) {
    EXPECT_THAT(error(text), HasSubstr("unknown mask")) << text;
  }
  for (const char* text : {"band:", "band:3", "band:1:2:3"}) {
    EXPECT_THAT(error(text), HasSubstr("expected two limits, found")) << text;
  }
  for (const char* text : {"band::5", "band:x:5", "band:1.5:5", "band:-2147483648:5"}) {
    EXPECT_THAT(error(text), HasSubstr("expected LOWER, an integer from -2147483647")) << text;
  }
  for (const char* text : {"band:5:", "band:5:nine", "band:5:2147483647"}) {
    EXPECT_THAT(error(text), HasSubstr("expected UPPER, an integer from -2147483647")) << text;
  }
  EXPECT_EQ(error("band:5:-3"),
            "mask band:LOWER:UPPER: expected LOWER at most UPPER, found 5 and -3");
  EXPECT_EQ(ParseMask("window:5", kIrMask).status().message(),
            "unknown mask 'window:5': did you mean 'window<W>'? (one of causal, full, window<W>, "
            "band<LOWER:UPPER>)");
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
      }
      EXPECT_EQ(Sees(*model::ParseMask("band:-2:none"), query, key), key >= query - 2);
      EXPECT_EQ(Sees(*model::ParseMask("band:-2:3"), query, key),
                key >= query - 2 && key <= query + 3);
    }
  }
}

TEST(DocumentTest, ItsEndEndsWhatIsSeen) {
  const Document document = {12, Mask::Full()};
  EXPECT_EQ(CountPairs(document, 3, 5), 24);
  EXPECT_EQ(KeysNeeded(document, 3, 5).end, 12);
  EXPECT_EQ(CountPairs(document, 5, 5), 0);
  EXPECT_EQ(KeysNeeded(document, 5, 5).end, 0);
}

// Against a look at every pair: which limits hide nothing, and which queries see some keys.
TEST(DocumentTest, AnswersFollowFromItsPairs) {
  for (int64_t length : {1, 2, 7}) {
    for (int32_t lower = -8; lower <= 8; ++lower) {
      for (int32_t upper = lower; upper <= 8; ++upper) {
        const Document document = {length, Mask({lower, upper})};
        bool back = true;
        bool on = true;
        for (int64_t i = 0; i < length; ++i) {
          for (int64_t j = 0; j < length; ++j) {
            back &= j - i >= lower;
            on &= j - i <= upper;
          }
        }
        ASSERT_EQ(SeesBackToStart(document), back) << lower << " " << length;
        ASSERT_EQ(SeesOnToEnd(document), on) << upper << " " << length;
        const int64_t key = length / 2;
        const TokenRange seeing = QueriesThatSee(document, key, key + 1);
        for (int64_t query = 0; query < length; ++query) {
          ASSERT_EQ(seeing.begin <= query && query < seeing.end, Sees(document.mask, query, key))
              << lower << " to " << upper << " of " << length;
        }
      }
    }
  }
}

}  // namespace
}  // namespace flashcp::model
