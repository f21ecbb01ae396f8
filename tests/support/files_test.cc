// Outputs appear whole or not at all; reads are bounded; errors name the path.

#include "support/files.h"

#include <filesystem>
#include <iterator>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp {
namespace {

using ::testing::StartsWith;

// An empty folder of one test.
class FilesTest : public ::testing::Test {
 protected:
  FilesTest() : folder_(::testing::TempDir() + "/files_test") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
  }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  int NumFiles() const {
    auto files = std::filesystem::directory_iterator(folder_);
    return static_cast<int>(std::distance(begin(files), end(files)));
  }

 private:
  std::string folder_;
};

TEST_F(FilesTest, ReadsBackWhatItWrites) {
  const std::string bytes("a\0b\n", 4);
  ASSERT_TRUE(WriteFile(Path("x"), bytes).ok());
  EXPECT_EQ(*ReadFile(Path("x"), 4), bytes);
  EXPECT_EQ(NumFiles(), 1);
}

TEST_F(FilesTest, NothingAppearsWithoutCommit) {
  ASSERT_TRUE(WriteFile(Path("x"), "old").ok());
  {
    auto file = OutputFile::Create(Path("x"));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(file->Write("new").ok());
    EXPECT_EQ(*ReadFile(Path("x"), 100), "old");
  }
  EXPECT_EQ(*ReadFile(Path("x"), 100), "old");
  EXPECT_EQ(NumFiles(), 1);
}

TEST_F(FilesTest, NothingIsThereBeforeTheFirstWrite) {
  auto file = OutputFile::Create(Path("x"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(NumFiles(), 0);
  ASSERT_TRUE(file->Write("new").ok());
  EXPECT_EQ(NumFiles(), 1);
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(*ReadFile(Path("x"), 100), "new");
  EXPECT_EQ(NumFiles(), 1);
}

TEST_F(FilesTest, CommitMakesAnEmptyFile) {
  auto file = OutputFile::Create(Path("x"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(*ReadFile(Path("x"), 100), "");
  EXPECT_EQ(NumFiles(), 1);
}

TEST_F(FilesTest, CommitReplacesTheFile) {
  ASSERT_TRUE(WriteFile(Path("x"), "old").ok());
  auto created = OutputFile::Create(Path("x"));
  ASSERT_TRUE(created.ok()) << created.status();
  OutputFile file = *std::move(created);
  ASSERT_TRUE(file.Write("ne").ok());
  ASSERT_TRUE(file.Write("w").ok());
  ASSERT_TRUE(file.Commit().ok());
  EXPECT_EQ(*ReadFile(Path("x"), 100), "new");
  EXPECT_EQ(NumFiles(), 1);
}

TEST_F(FilesTest, ReadsAreBounded) {
  ASSERT_TRUE(WriteFile(Path("x"), "12345").ok());
  EXPECT_TRUE(ReadFile(Path("x"), 5).ok());
  EXPECT_EQ(ReadFile(Path("x"), 4).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadFile("/dev/zero", 1000).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FilesTest, ErrorsStartWithThePath) {
  absl::Status status = ReadFile(Path("none"), 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), StartsWith(Path("none") + ": cannot be opened: "));
  status = WriteFile(Path("no/folder"), "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), StartsWith(Path("no/folder") + ": cannot be created"));
}

TEST_F(FilesTest, DevicesAreWrittenToDirectly) {
  EXPECT_TRUE(WriteFile("/dev/null", "x").ok());
  EXPECT_FALSE(std::filesystem::is_regular_file("/dev/null"));
  EXPECT_EQ(WriteFile("/dev/full", "x").code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace flashcp
