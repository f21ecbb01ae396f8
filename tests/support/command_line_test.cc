// Exit codes of programs, and what their command lines refuse.

#include "support/command_line.h"

#include <CLI/CLI.hpp>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp {
namespace {

std::optional<int> Parse(std::vector<const char*> words) {
  CLI::App app("A test.");
  std::string path;
  app.add_option("--path", path)->check(RefuseEmpty);
  words.insert(words.begin(), "program");
  return ParseCommandLine(static_cast<int>(words.size()), const_cast<char**>(words.data()), &app);
}

TEST(CommandLineTest, BadUsageIsTwo) {
  EXPECT_EQ(Parse({}), std::nullopt);
  EXPECT_EQ(Parse({"--path", "x"}), std::nullopt);
  EXPECT_EQ(Parse({"--help"}), 0);
  EXPECT_EQ(Parse({"--bogus"}), 2);
  EXPECT_EQ(Parse({"extra"}), 2);
  EXPECT_EQ(Parse({"--path"}), 2);
  EXPECT_EQ(Parse({"--path", ""}), 2);
  EXPECT_EQ(Parse({"--path="}), 2);
}

TEST(CommandLineTest, ExitCodesTellBadInputFromWorkThatFailed) {
  EXPECT_EQ(Finish("program", absl::OkStatus()), 0);
  EXPECT_EQ(Finish("program", absl::InvalidArgumentError("x")), 2);
  EXPECT_EQ(Finish("program", absl::NotFoundError("x")), 2);
  EXPECT_EQ(Finish("program", absl::UnavailableError("x")), 1);
  EXPECT_EQ(Finish("program", absl::InternalError("")), 1);
}

}  // namespace
}  // namespace flashcp
