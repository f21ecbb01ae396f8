// The grammar of command lines, and the one message for each that breaks it.

#include "tools/cli/arguments.h"

#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::cli {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<Arguments> Parse(std::vector<const char*> words) {
  words.insert(words.begin(), "flashcp");
  return ParseArguments(words.size(), words.data());
}

// The flags of a command line that asks for a `Flags` command.
template <typename Flags>
Flags FlagsOf(const std::vector<const char*>& words) {
  auto arguments = Parse(words);
  EXPECT_TRUE(arguments.ok()) << arguments.status();
  if (!arguments.ok() || !std::holds_alternative<Flags>(arguments->command)) {
    ADD_FAILURE() << "another command";
    return Flags();
  }
  return std::get<Flags>(arguments->command);
}

std::string ErrorOf(const std::vector<const char*>& words) {
  auto arguments = Parse(words);
  EXPECT_EQ(arguments.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(arguments.status().message());
}

TEST(ArgumentsTest, DefaultsAreThoseOfTheContract) {
  auto flags = FlagsOf<CompileFlags>({"compile", "lengths.txt"});
  EXPECT_EQ(flags.planning.lengths, "lengths.txt");
  EXPECT_EQ(flags.planning.options["ranks"], "");
  EXPECT_EQ(flags.planning.options["heads"], "32:8");
  EXPECT_EQ(flags.planning.options["head-dim"], "128");
  EXPECT_EQ(flags.planning.options["dtype"], "bf16");
  EXPECT_EQ(flags.planning.options["mask"], "causal");
  EXPECT_EQ(flags.planning.options["cluster"], "h100x8");
  EXPECT_EQ(flags.planning.options["exchange"], "needed");
  EXPECT_EQ(flags.planning.options["strategy"], "auto");
  EXPECT_EQ(flags.emit, "plan");
}

TEST(ArgumentsTest, FlagsMayStandAnywhere) {
  auto flags =
      FlagsOf<CompileFlags>({"compile", "-o", "p", "--ranks=4", "-", "--heads", "4:2", "--quiet"});
  EXPECT_EQ(flags.output, "p");
  EXPECT_EQ(flags.planning.options["ranks"], "4");
  EXPECT_EQ(flags.planning.lengths, "-");
  EXPECT_EQ(flags.planning.options["heads"], "4:2");
  EXPECT_TRUE(Parse({"verify", "p", "--quiet"})->quiet);
  EXPECT_TRUE(Parse({"--quiet", "verify", "p"})->quiet);
  EXPECT_FALSE(Parse({"verify", "p"})->quiet);
}

TEST(ArgumentsTest, ValuesMayLookLikeFlagsAndCommands) {
  EXPECT_EQ(FlagsOf<CompileFlags>({"compile", "x", "--ranks", "-1"}).planning.options["ranks"],
            "-1");
  EXPECT_EQ(FlagsOf<VerifyFlags>({"verify", "run"}).plan, "run");
  EXPECT_TRUE(FlagsOf<InspectFlags>({"inspect", "p", "--json"}).json);
  EXPECT_FALSE(FlagsOf<InspectFlags>({"inspect", "p"}).timing);
  EXPECT_TRUE(FlagsOf<InspectFlags>({"inspect", "p", "--timing"}).timing);
  EXPECT_TRUE(FlagsOf<InspectFlags>({"inspect", "p", "--all-ranks"}).all_ranks);
}

TEST(ArgumentsTest, SuggestsNames) {
  EXPECT_THAT(ErrorOf({"compil", "x"}),
              AllOf(HasSubstr("unknown command 'compil': did you mean 'compile'?"),
                    EndsWith("(see 'flashcp --help')")));
  EXPECT_THAT(ErrorOf({"compile", "--rank", "4", "x"}),
              AllOf(HasSubstr("unknown flag '--rank': did you mean '--ranks'?"),
                    EndsWith("(see 'flashcp compile --help')")));
  EXPECT_THAT(ErrorOf({"run", "p", "--backwards=1"}), HasSubstr("unknown flag '--backwards'"));
  EXPECT_THAT(ErrorOf({"--versoin"}), HasSubstr("did you mean '--version'?"));
}

TEST(ArgumentsTest, NamesWhatIsMissingOrTooMuch) {
  EXPECT_THAT(ErrorOf({}),
              HasSubstr("expected a command: compile, inspect, verify, compare, cluster, run"));
  EXPECT_THAT(ErrorOf({"compile"}), HasSubstr("compile: LENGTHS is required"));
  EXPECT_THAT(ErrorOf({"verify"}), HasSubstr("verify: PLAN is required"));
  EXPECT_THAT(ErrorOf({"verify", "a", "b"}), HasSubstr("unexpected 'b'"));
  EXPECT_THAT(ErrorOf({"compile", "x", "--ranks"}),
              HasSubstr("compile: --ranks: expected a value (see"));
  EXPECT_THAT(ErrorOf({"compile", "x", "--ranks", "4", "--ranks", "8"}),
              HasSubstr("compile: --ranks is given 2 times: expected once (see"));
}

TEST(ArgumentsTest, NoValueIsEmpty) {
  EXPECT_THAT(ErrorOf({"calibrate", "-o", ""}),
              HasSubstr("calibrate: --output: expected a value, found ''"));
  for (const char* flag : {"--inputs", "--outputs", "--trace"}) {
    EXPECT_THAT(ErrorOf({"run", "p", flag, ""}),
                HasSubstr(std::string(flag) + ": expected a value, found ''"));
  }
  EXPECT_THAT(ErrorOf({"compile", "x", "--emit", "ir", "--output="}), HasSubstr("--output: "));
  EXPECT_THAT(ErrorOf({"compare", "x", "--batch", ""}), HasSubstr("--batch: expected a value"));
  EXPECT_THAT(ErrorOf({"inspect", ""}), HasSubstr("PLAN: expected a value, found ''"));
}

TEST(ArgumentsTest, HelpIsEverywhere) {
  for (const char* command : {"compile", "inspect", "verify", "compare", "run"}) {
    EXPECT_THAT(FlagsOf<ShowText>({"--help"}).text, HasSubstr(command));
    EXPECT_THAT(FlagsOf<ShowText>({command, "--help"}).text,
                HasSubstr(std::string("flashcp ") + command));
  }
  EXPECT_THAT(FlagsOf<ShowText>({"compile", "--help"}).text, HasSubstr("PRESET|FILE.json"));
  EXPECT_THAT(FlagsOf<ShowText>({"--version"}).text, HasSubstr("flashcp 0."));
}

TEST(ArgumentsTest, HelpFitsATerminalAndHasSubjectsAndExamples) {
  const std::vector<const char*> kCommands = {"compile", "inspect", "verify",    "compare",
                                              "cluster", "run",     "calibrate", "help"};
  std::vector<std::vector<const char*>> help = {{"--help"}};
  for (const char* command : kCommands) help.push_back({command, "--help"});
  for (const auto& words : help) {
    SCOPED_TRACE(words[0]);
    const std::string text = FlagsOf<ShowText>(words).text;
    EXPECT_THAT(text, HasSubstr("\nExample: flashcp "));
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      EXPECT_LE(line.size(), 100) << line;
      EXPECT_THAT(std::string(line), Not(ContainsRegex("^  -[^ ].*  of "))) << "lacks a subject";
    }
  }
}

TEST(ArgumentsTest, HelpNamesTheRangesThatCommandsCheck) {
  auto help_of = [](const char* command) {  // in one line
    const std::string text = FlagsOf<ShowText>({command, "--help"}).text;
    return absl::StrJoin(absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty()), " ");
  };
  for (const IntegerRange& range :
       {RunFlags::kIterations, RunFlags::kSeed, RunFlags::kTimeout, kThreads}) {
    EXPECT_THAT(help_of("run"), HasSubstr(", " + RangeText(range) + " "));
  }
  for (const IntegerRange& range : {CalibrateFlags::kRanks, CalibrateFlags::kTokens, kThreads}) {
    EXPECT_THAT(help_of("calibrate"), HasSubstr(", " + RangeText(range)));
  }
}

TEST(ArgumentsTest, HelpIsACommand) {
  EXPECT_EQ(FlagsOf<ShowText>({"help"}).text, FlagsOf<ShowText>({"--help"}).text);
  EXPECT_EQ(FlagsOf<ShowText>({"help", "run"}).text, FlagsOf<ShowText>({"run", "--help"}).text);
  EXPECT_THAT(ErrorOf({"help", "rum"}), HasSubstr("unknown command 'rum': did you mean 'run'?"));
}

TEST(ArgumentsTest, SuggestsNothingFar) {
  EXPECT_THAT(ErrorOf({"compile", "x", "-n"}), HasSubstr("unknown flag '-n' (one of --"));
  EXPECT_THAT(ErrorOf({"prune"}), HasSubstr("unknown command 'prune' (one of "));
}

}  // namespace
}  // namespace flashcp::cli
