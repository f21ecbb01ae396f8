// The lengths that benchmarks draw.

#include "benchmarks/distributions.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "benchmarks/length_files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::benchmarks {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

std::vector<int64_t> Sequence(const std::string& name, int64_t tokens, uint64_t index) {
  absl::StatusOr<Distribution> distribution = MakeDistribution(name);
  EXPECT_TRUE(distribution.ok()) << distribution.status();
  return distribution.ok() ? distribution->Sequence(tokens, /*ranks=*/8, index)
                           : std::vector<int64_t>();
}

double MeanOfDraws(LengthDraw draw, int draws) {
  std::mt19937_64 random(1);
  double sum = 0;
  for (int i = 0; i < draws; ++i) sum += draw(random);
  return sum / draws;
}

TEST(GeneratorTest, EverySequenceHasExactlyTheTokensAskedFor) {
  for (const std::string& name : GeneratorNames()) {
    for (int64_t tokens : {1000, 131072}) {
      for (uint64_t index = 0; index < 20; ++index) {
        std::vector<int64_t> lengths = Sequence(name, tokens, index);
        EXPECT_EQ(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), tokens) << name;
        EXPECT_THAT(lengths, Each(Ge(1))) << name;
      }
    }
  }
}

TEST(GeneratorTest, SequencesDependOnTheirIndexAlone) {
  for (const char* name : {"lognormal", "pile", "long", "cells-32"}) {
    EXPECT_EQ(Sequence(name, 131072, 3), Sequence(name, 131072, 3)) << name;
    EXPECT_NE(Sequence(name, 131072, 3), Sequence(name, 131072, 4)) << name;
  }
}

// A distribution draws its sequences one by one: what came before must not show.
TEST(GeneratorTest, OneDistributionRepeatsItsSequences) {
  absl::StatusOr<Distribution> lognormal = MakeDistribution("lognormal");
  ASSERT_TRUE(lognormal.ok());
  std::vector<int64_t> first = lognormal->Sequence(100000, 8, 0);
  lognormal->Sequence(77777, 8, 1);
  EXPECT_EQ(lognormal->Sequence(100000, 8, 0), first);
}

TEST(GeneratorTest, FixedSequences) {
  EXPECT_THAT(Sequence("one", 5000, 0), ElementsAre(5000));
  EXPECT_THAT(Sequence("n-plus-1", 100, 0), ElementsAre(12, 11, 11, 11, 11, 11, 11, 11, 11));
  std::vector<int64_t> equal = Sequence("equal-512", 1124, 0);  // the last document is cut
  std::sort(equal.begin(), equal.end());
  EXPECT_THAT(equal, ElementsAre(100, 512, 512));
}

TEST(GeneratorTest, CountsDocuments) {
  std::vector<int64_t> lengths = Sequence("documents:100", 131072, 1);
  EXPECT_EQ(lengths.size(), 100);
  EXPECT_EQ(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), 131072);
  EXPECT_THAT(lengths, Each(Ge(1)));
  EXPECT_THAT(Sequence("documents:100", 3, 1), ElementsAre(1, 1, 1));
  for (const char* name : {"documents:", "documents:0", "documents:-1", "documents:ten"}) {
    EXPECT_THAT(MakeDistribution(name).status().message(), HasSubstr("takes a count")) << name;
  }
}

TEST(GeneratorTest, OneMoreThanRanksSurvivesFewTokens) {
  EXPECT_THAT(Sequence("n-plus-1", 3, 0), ElementsAre(1, 1, 1));
}

TEST(GeneratorTest, CellsAreFewAndWhole) {
  std::set<size_t> counts;
  for (uint64_t index = 0; index < 200; ++index) {
    std::vector<int64_t> lengths = Sequence("cells-32", 8192, index);
    for (int64_t length : lengths) EXPECT_EQ(length % 256, 0);
    counts.insert(lengths.size());
  }
  EXPECT_EQ(*counts.begin(), 3);
  EXPECT_EQ(*counts.rbegin(), 12);
}

// 60% of the tokens in documents of 16K to 128K, up to what is cut.
TEST(GeneratorTest, LongDocumentsHoldMostTokens) {
  double all = 0;
  double in_long = 0;
  for (int64_t length : Sequence("long", int64_t{1} << 28, 0)) {
    EXPECT_LE(length, 131072);
    all += length;
    if (length > 16384) in_long += length;
  }
  EXPECT_NEAR(in_long / all, 0.6, 0.02);
}

TEST(GeneratorTest, UnknownNamesAreErrors) {
  absl::StatusOr<Distribution> distribution = MakeDistribution("lognorml");
  ASSERT_FALSE(distribution.ok());
  EXPECT_THAT(std::string(distribution.status().message()),
              AllOf(HasSubstr("'lognorml'"), HasSubstr("did you mean 'lognormal'"),
                    HasSubstr("histogram:FILE")));
}

TEST(GeneratorTest, MissingFilesAreErrors) {
  EXPECT_EQ(MakeDistribution("lengths:/nonexistent/lengths.json").status().code(),
            absl::StatusCode::kNotFound);
}

TEST(LengthFilesTest, ListDrawsItsItemsEquallyOften) {
  absl::StatusOr<LengthDraw> draw = LengthsFromList("f", "[100, 200, 900]");
  ASSERT_TRUE(draw.ok()) << draw.status();
  EXPECT_NEAR(MeanOfDraws(*draw, 20000), 400, 10);
}

TEST(LengthFilesTest, BadListsAreErrors) {
  for (const char* text : {"", "{}", "[]", "[1, 2", "[1, 0]", "[1.5]", "[\"7\"]", "[3000000000]"}) {
    EXPECT_EQ(LengthsFromList("f", text).status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
  EXPECT_THAT(std::string(LengthsFromList("f.json", "[5, -3]").status().message()),
              HasSubstr("f.json: item 1 is '-3'"));
}

TEST(LengthFilesTest, HistogramDrawsBinsByCount) {
  absl::StatusOr<LengthDraw> draw = LengthsFromHistogram(
      "f", "range,number\n\"[0, 0]\",0\n\"[101, 200]\",300,75.0\r\n\"[1001, 2000]\",100,25.0\n");
  ASSERT_FALSE(draw.ok());  // a bin of empty documents alone
  draw = LengthsFromHistogram(
      "f", "range,number\n\"[101, 200]\",300,75.0\r\n\"[1001, 2000]\",100,25.0\n");
  ASSERT_TRUE(draw.ok()) << draw.status();
  std::mt19937_64 random(1);
  int small = 0;
  for (int i = 0; i < 4000; ++i) {
    double length = (*draw)(random);
    if (length <= 200) {
      EXPECT_GE(length, 101);
      ++small;
    } else {
      EXPECT_THAT(length, AllOf(Ge(1001), Le(2000)));
    }
  }
  EXPECT_NEAR(small / 4000.0, 0.75, 0.03);
}

TEST(LengthFilesTest, HistogramNeverDrawsNothing) {
  absl::StatusOr<LengthDraw> draw = LengthsFromHistogram("f", "range,number\n\"[0, 1]\",5\n");
  ASSERT_TRUE(draw.ok()) << draw.status();
  EXPECT_EQ(MeanOfDraws(*draw, 100), 1);
}

TEST(LengthFilesTest, BadHistogramsNameTheLine) {
  EXPECT_THAT(
      std::string(LengthsFromHistogram("f.csv", "range,number\n\"[1, 5]\",3\n\"[9, 6]\",3\n")
                      .status()
                      .message()),
      HasSubstr("f.csv:3: found '"));
  EXPECT_FALSE(LengthsFromHistogram("f", "").ok());
  EXPECT_FALSE(LengthsFromHistogram("f", "range,number\n\"[1, 5]\",0\n").ok());
  EXPECT_FALSE(LengthsFromHistogram("f", "range,number\n\"[1, 5]\",-1\n").ok());
  EXPECT_FALSE(LengthsFromHistogram("f", "range,number\n\"[1, 5]\"\n").ok());
}

// Half the bytes in documents of 1 KiB, half in documents of 3 KiB: three of four are short, and
// the mean is 1.5 KiB.
TEST(LengthFilesTest, SourcesByShareOfBytes) {
  absl::StatusOr<LengthDraw> draw =
      LengthsFromSources("f", "component,weight_pct,mean_doc_kib\na,50,1\nb,50,3\n");
  ASSERT_TRUE(draw.ok()) << draw.status();
  EXPECT_NEAR(MeanOfDraws(*draw, 200000) / kTokensPerKib, 1.5, 0.03);
}

// 3 documents of 1000 tokens for each one of 5000.
TEST(LengthFilesTest, SourcesByDocuments) {
  absl::StatusOr<LengthDraw> draw =
      LengthsFromSources("f",
                         "source,train_documents,words,official_tokens_billion\n"
                         "a,3000000,7,3\nb,1000000,7,5\n");
  ASSERT_TRUE(draw.ok()) << draw.status();
  EXPECT_NEAR(MeanOfDraws(*draw, 200000), 2000, 40);
}

TEST(LengthFilesTest, BadSourcesNameTheLine) {
  EXPECT_THAT(
      std::string(LengthsFromSources("f.csv", "a,weight_pct,mean_doc_kib\nx,50,1\ny,50,zero\n")
                      .status()
                      .message()),
      HasSubstr("f.csv:3: found 'y,50,zero'"));
  EXPECT_FALSE(LengthsFromSources("f", "").ok());
  EXPECT_FALSE(LengthsFromSources("f", "a,b,c\n1,2,3\n").ok());
  EXPECT_FALSE(LengthsFromSources("f", "a,weight_pct,mean_doc_kib\n").ok());
  EXPECT_FALSE(LengthsFromSources("f", "a,weight_pct,mean_doc_kib\nx,50\n").ok());
}

}  // namespace
}  // namespace flashcp::benchmarks
