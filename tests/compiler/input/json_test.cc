// Lines of values and errors, and what is stricter than JSON.

#include "compiler/input/json.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ErrorOf(absl::string_view text) {
  return std::string(ParseJson("in", text).status().message());
}

TEST(JsonTest, ValuesKnowTheirLines) {
  auto values = ParseJson("in", "\n{\"a\":\n1,\n\"b\": [\ntrue,\n\"x\\n\"\n]}\n\n2\n");
  ASSERT_TRUE(values.ok()) << values.status();
  ASSERT_EQ(values->size(), 2);
  const JsonValue& object = (*values)[0];
  EXPECT_EQ(object.line, 2);
  EXPECT_EQ(JsonReader::Find(object, "a")->line, 3);
  const JsonValue& list = *JsonReader::Find(object, "b");
  EXPECT_EQ(list.line, 4);
  EXPECT_EQ(list.items[0].line, 5);
  EXPECT_EQ(list.items[1].line, 6);
  EXPECT_EQ(list.items[1].text, "x\n");
  EXPECT_EQ(JsonReader::Find(object, "c"), nullptr);
  EXPECT_EQ((*values)[1].line, 9);
}

TEST(JsonTest, SyntaxErrorsNameTheLine) {
  EXPECT_THAT(ErrorOf("{\"a\": 1,\n\"b\" 2}"), AllOf(StartsWith("in:2: malformed JSON: ")));
  EXPECT_THAT(ErrorOf("{\"a\": [1,\n2\n"), StartsWith("in:2: malformed JSON: "));
  EXPECT_THAT(ErrorOf("{}\n{\n]"), StartsWith("in:3: malformed JSON: "));
  EXPECT_THAT(ErrorOf("[1] x"), StartsWith("in:1: malformed JSON: "));
  EXPECT_EQ(ErrorOf("[1e999]"), "in:1: malformed JSON: number overflow parsing '1e999'");
  EXPECT_THAT(ErrorOf("[\"\xff\"]"), StartsWith("in:1: malformed JSON: "));
}

TEST(JsonTest, RefusesDuplicateKeysAndDeepNesting) {
  EXPECT_THAT(ErrorOf("{\"a\": 1,\n\"a\": 2}"),
              AllOf(StartsWith("in:2: "), HasSubstr("'a' appears twice")));
  EXPECT_THAT(ErrorOf(std::string(1000000, '[')), HasSubstr("nested deeper than 16"));
}

TEST(JsonTest, ReadsTypedValues) {
  auto values = ParseJson("in", "[7, 7.5, \"s\", -1]");
  ASSERT_TRUE(values.ok()) << values.status();
  const std::vector<JsonValue>& items = (*values)[0].items;
  JsonReader reader("in");
  EXPECT_EQ(*reader.Integer(items[0], "n", 0, 7), 7);
  EXPECT_EQ(*reader.Number(items[1], "n"), 7.5);
  EXPECT_EQ(*reader.String(items[2], "n"), "s");
  EXPECT_EQ(reader.Integer(items[0], "n", 0, 6).status().message(),
            "in:1: n: expected an integer from 0 to 6, found 7");
  EXPECT_FALSE(reader.Integer(items[1], "n", 0, 9).ok());
  EXPECT_FALSE(reader.Number(items[2], "n").ok());
  EXPECT_EQ(reader.Integer(items[3], "n", 0, 9).status().message(),
            "in:1: n: expected an integer from 0 to 9, found -1");
  EXPECT_FALSE(reader.String(items[0], "n").ok());
}

}  // namespace
}  // namespace flashcp
