// npy headers and files: what numpy writes is read, everything else is refused by name.

#include "tools/cli/npy.h"

#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// A version 1.0 file with this dictionary.
std::string File(const std::string& dictionary, const std::string& elements = "") {
  std::string file("\x93NUMPY\1\0", 8);
  file.push_back(static_cast<char>(dictionary.size() & 0xff));
  file.push_back(static_cast<char>(dictionary.size() >> 8));
  return file + dictionary + elements;
}

std::string Dictionary(const std::string& descr, const std::string& order,
                       const std::string& shape) {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }   \n";
}

std::string HeaderErrorOf(const std::string& bytes) {
  auto header = ParseNpyHeader("q.npy", bytes);
  EXPECT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(header.status().message());
}

// Writes a file to the test's folder and reads it as (2, 3) float32.
std::string Save(const std::string& bytes) {
  std::string path = ::testing::TempDir() + "/x.npy";
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}
std::string FileErrorOf(const std::string& bytes) {
  auto array = ReadNpy(Save(bytes), {2, 3}, {NpyType::kFloat32});
  EXPECT_EQ(array.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(array.status().message());
}

TEST(NpyHeaderTest, ReadsWhatNumpyWrites) {
  auto header = ParseNpyHeader("q.npy", File(Dictionary("'<f4'", "False", "(2, 3)")));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->type, NpyType::kFloat32);
  EXPECT_THAT(header->shape, ElementsAre(2, 3));
  EXPECT_EQ(header->data_bytes, 24);
  EXPECT_EQ(ParseNpyHeader("", File(Dictionary("'<f2'", "False", "(5,)")))->data_bytes, 10);
  EXPECT_THAT(ParseNpyHeader("", File(Dictionary("'<f4'", "False", "()")))->shape, IsEmpty());
  EXPECT_EQ(ParseNpyHeader("", File(Dictionary("'<f4'", "False", "(0, 9)")))->data_bytes, 0);
  // Keys in another order.
  EXPECT_TRUE(
      ParseNpyHeader("", File("{'shape': (1,), 'descr': '<f4', 'fortran_order': False}")).ok());
}

TEST(NpyHeaderTest, ReadsWideHeaderLengths) {
  std::string dictionary = Dictionary("'<f4'", "False", "(4,)");
  std::string file("\x93NUMPY\2\0", 8);
  file += static_cast<char>(dictionary.size());
  file += std::string(3, '\0') + dictionary;
  auto header = ParseNpyHeader("", file);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->data_offset, file.size());
}

TEST(NpyHeaderTest, RefusesOtherTypesAndOrders) {
  for (const char* descr : {"'<f8'", "'>f4'", "'<i4'", "'|O'", "'f4'"}) {
    EXPECT_THAT(HeaderErrorOf(File(Dictionary(descr, "False", "(2,)"))),
                AllOf(StartsWith("q.npy: expected the dtype '<f4'"), HasSubstr(descr)));
  }
  EXPECT_THAT(HeaderErrorOf(File(Dictionary("'<f4'", "True", "(2, 3)"))),
              HasSubstr("in Fortran order, expected C order"));
}

TEST(NpyHeaderTest, RefusesMalformedHeaders) {
  for (const char* dictionary :
       {"", "{", "{}", "{'descr': '<f4'}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}"}) {
    EXPECT_THAT(HeaderErrorOf(File(dictionary)), HasSubstr("malformed npy header")) << dictionary;
  }
}

TEST(NpyHeaderTest, RefusesForeignAndCutFiles) {
  EXPECT_THAT(HeaderErrorOf("PK\3\4"), HasSubstr("not an npy file"));
  EXPECT_THAT(HeaderErrorOf(""), HasSubstr("not an npy file"));
  std::string file = File(Dictionary("'<f4'", "False", "(2, 3)"));
  for (size_t size = 6; size < file.size(); ++size) {
    EXPECT_THAT(HeaderErrorOf(file.substr(0, size)), HasSubstr("truncated")) << size;
  }
  file[6] = 9;
  EXPECT_THAT(HeaderErrorOf(file), HasSubstr("npy format version 9"));
}

TEST(NpyHeaderTest, RefusesSizesBeyondMemory) {
  EXPECT_THAT(HeaderErrorOf(File(Dictionary("'<f4'", "False", "(4611686018427387904, 4)"))),
              HasSubstr("too large"));
  EXPECT_THAT(HeaderErrorOf(File(Dictionary("'<f2'", "False", "(65536, 65536, 65536)"))),
              HasSubstr("too large"));
  std::string wide("\x93NUMPY\2\0\xff\xff\xff\xff", 12);
  EXPECT_THAT(HeaderErrorOf(wide), HasSubstr("npy header of 4294967295 bytes"));
}

TEST(NpyHeaderTest, SurvivesMutations) {
  const std::string good = File(Dictionary("'<f4'", "False", "(2, 3)"));
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = good;
    for (int k = random() % 3; k >= 0; --k) bytes[random() % bytes.size()] = random();
    bytes.resize(random() % 8 ? bytes.size() : random() % bytes.size());
    refused += !ParseNpyHeader("q.npy", bytes).ok();
  }
  EXPECT_GT(refused, 10000);
}

TEST(NpyFileTest, ReadsBackWhatItWrites) {
  std::string elements(24, 'x');
  std::string header = MakeNpyHeader(NpyType::kFloat32, {2, 3});
  EXPECT_EQ(header.size() % 64, 0);
  auto array = ReadNpy(Save(header + elements), {2, 3}, {NpyType::kFloat16, NpyType::kFloat32});
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_EQ(array->type, NpyType::kFloat32);
  EXPECT_EQ(array->elements, elements);
}

TEST(NpyFileTest, NamesWhatWasExpectedAndFound) {
  EXPECT_THAT(FileErrorOf(MakeNpyHeader(NpyType::kFloat16, {2, 3}) + std::string(12, 'x')),
              HasSubstr("expected dtype float32, found float16"));
  EXPECT_THAT(FileErrorOf(MakeNpyHeader(NpyType::kFloat32, {3, 2}) + std::string(24, 'x')),
              HasSubstr("expected shape (2, 3), found (3, 2)"));
  EXPECT_THAT(FileErrorOf(MakeNpyHeader(NpyType::kFloat32, {6}) + std::string(24, 'x')),
              HasSubstr("found (6,)"));
}

TEST(NpyFileTest, RefusesCutAndTrailingElements) {
  std::string header = MakeNpyHeader(NpyType::kFloat32, {2, 3});
  EXPECT_THAT(FileErrorOf(header + std::string(23, 'x')),
              AllOf(HasSubstr("expected a file of 152 bytes"), HasSubstr("found 151 (truncated)")));
  EXPECT_THAT(FileErrorOf(header + std::string(25, 'x')), HasSubstr("found 153"));
}

TEST(NpyFileTest, NamesAMissingFile) {
  absl::Status status = ReadNpy("no/q.npy", {1}, {NpyType::kFloat32}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), StartsWith("no/q.npy: cannot be opened"));
  EXPECT_FALSE(ReadNpy("/", {1}, {NpyType::kFloat32}).ok());
}

}  // namespace
}  // namespace flashcp::cli
