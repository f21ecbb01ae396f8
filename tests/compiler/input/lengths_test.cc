// What LENGTHS may hold, and the error for everything else: file, line, found, allowed.

#include "compiler/input/lengths.h"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/mask.h"

namespace flashcp {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<std::vector<Batch>> Parse(absl::string_view text) {
  return ParseLengths("in.txt", text, model::Mask{});
}

// Lengths of each batch.
std::vector<std::vector<int64_t>> LengthsOf(absl::string_view text) {
  auto batches = Parse(text);
  EXPECT_TRUE(batches.ok()) << batches.status();
  std::vector<std::vector<int64_t>> lengths;
  if (!batches.ok()) return lengths;
  for (const Batch& batch : *batches) {
    lengths.emplace_back();
    for (const model::Document& document : batch) lengths.back().push_back(document.length);
  }
  return lengths;
}

std::string ErrorOf(absl::string_view text) {
  auto batches = Parse(text);
  EXPECT_EQ(batches.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(batches.status().message());
}

TEST(LengthsTest, ReadsTextInAnyWhiteSpace) {
  EXPECT_THAT(LengthsOf("1 2\n\n\t30\r\n0"), ElementsAre(ElementsAre(1, 2, 30, 0)));
}

TEST(LengthsTest, ReadsJson) {
  EXPECT_THAT(LengthsOf("{\n \"documents\": [4096,\n {\"length\": 12}]\n}\n"),
              ElementsAre(ElementsAre(4096, 12)));
  EXPECT_THAT(LengthsOf("[7, 0, 9]"), ElementsAre(ElementsAre(7, 0, 9)));
}

TEST(LengthsTest, ReadsJsonLines) {
  EXPECT_THAT(LengthsOf("{\"documents\": [1]}\n\n{\"documents\": [2, 3]}\n[4]\n"),
              ElementsAre(ElementsAre(1), ElementsAre(2, 3), ElementsAre(4)));
}

TEST(LengthsTest, OwnMaskGoesBeforeTheDefault) {
  auto batches = ParseLengths("in", R"({"documents": [5, {"length": 6, "mask": "window:3"}]})",
                              model::Mask::Full());
  ASSERT_TRUE(batches.ok()) << batches.status();
  const Batch& batch = (*batches)[0];
  EXPECT_EQ(batch[0].mask, model::Mask::Full());
  EXPECT_EQ(batch[1].mask, model::Mask::Window(3));
}

TEST(LengthsTest, RefusesWhatIsNoTokenCount) {
  for (const char* token : {"-5", "1.5", "1e3", "twelve", "0x10", "2147483649",
                            "99999999999999999999999", "12,", "+-3", "nan"}) {
    EXPECT_THAT(ErrorOf(std::string("16\n32 ") + token + "\n8"),
                AllOf(StartsWith("in.txt:2: "), HasSubstr(std::string("found '") + token + "'"),
                      HasSubstr("an integer from 0 to 2147483648")));
  }
  EXPECT_THAT(ErrorOf(std::string("1 \0 2", 5)), HasSubstr("found '\\x00'"));
}

TEST(LengthsTest, RefusesBadJsonLengths) {
  for (const char* number : {"-5", "1.5", "1e3", "2147483649", "99999999999999999999999"}) {
    EXPECT_THAT(
        ErrorOf(std::string("{\"documents\": [16,\n") + number + "\n]}"),
        AllOf(StartsWith("in.txt:2: document length: "), HasSubstr(std::string("found ") + number),
              HasSubstr("an integer from 0 to 2147483648")));
  }
  EXPECT_THAT(ErrorOf("{\"documents\": [16,\n\"7\"]}"),
              AllOf(StartsWith("in.txt:2: "), HasSubstr("found the string '7'")));
  EXPECT_THAT(ErrorOf("[[1]]"), HasSubstr("found a list"));
}

TEST(LengthsTest, RefusesEmptyInput) {
  EXPECT_THAT(ErrorOf(""), StartsWith("in.txt: empty"));
  EXPECT_THAT(ErrorOf(" \n\t\n"), StartsWith("in.txt: empty"));
  EXPECT_THAT(ErrorOf("{\"documents\": 3}"), HasSubstr("documents: expected a list, found 3"));
}

// As Compile takes them: the last step of a trainer may have nothing.
TEST(LengthsTest, ABatchMayHaveNoDocuments) {
  EXPECT_THAT(LengthsOf("[]"), ElementsAre(ElementsAre()));
  EXPECT_THAT(LengthsOf("{\"documents\": []}\n[7]"), ElementsAre(ElementsAre(), ElementsAre(7)));
}

TEST(LengthsTest, RefusesTooManyTokensInOneBatch) {
  EXPECT_THAT(ErrorOf("2147483648\n1"),
              AllOf(StartsWith("in.txt:2: "), HasSubstr("2147483649 tokens")));
  EXPECT_THAT(ErrorOf("[2147483648,\n1]"), StartsWith("in.txt:2: the batch has 2147483649"));
  EXPECT_THAT(LengthsOf("[2147483648]\n[1]"), ElementsAre(ElementsAre(2147483648), ElementsAre(1)));
}

TEST(LengthsTest, NamesUnknownKeysAndMasks) {
  EXPECT_THAT(ErrorOf("{\"document\": [1]}"),
              AllOf(StartsWith("in.txt:1: "), HasSubstr("did you mean 'documents'?")));
  EXPECT_THAT(ErrorOf("{\"documents\": [\n{\"length\": 4, \"masc\": \"full\"}]}"),
              AllOf(StartsWith("in.txt:2: "), HasSubstr("did you mean 'mask'?")));
  EXPECT_THAT(ErrorOf("{\"documents\": [{\"mask\": \"full\"}]}"),
              HasSubstr("the key 'length' is missing"));
  EXPECT_THAT(ErrorOf("{\"documents\": [\n\n{\"length\": 4, \"mask\": \"casual\"}]}"),
              AllOf(StartsWith("in.txt:3: "), HasSubstr("did you mean 'causal'?")));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("the key 'documents' is missing"));
}

// Any bytes give lengths or an error, quickly.
TEST(LengthsTest, SurvivesRandomText) {
  const std::string alphabet = "{}[]:,\" \n0123456789.-edlngthocumsk\\\x01\xff";
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string text(random() % 40, ' ');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    if (i % 2 == 0) text = "{\"documents\":[" + text;
    auto batches = Parse(text);
    if (batches.ok()) {
      EXPECT_FALSE(batches->empty()) << text;
    } else {
      EXPECT_THAT(std::string(batches.status().message()), StartsWith("in.txt:")) << text;
    }
  }
}

TEST(LengthsTest, NamesAMissingFile) {
  absl::Status missing = ReadLengths("no/such/file", model::Mask{}).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), StartsWith("no/such/file: cannot be opened"));
  absl::Status folder = ReadLengths("/", model::Mask{}).status();
  EXPECT_THAT(std::string(folder.message()), StartsWith("/: cannot be read"));
}

}  // namespace
}  // namespace flashcp
