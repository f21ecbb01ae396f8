// The JSON description of a cluster: read whole, refused with the line and key that is wrong.

#include "compiler/input/cluster_file.h"

#include <unistd.h>

#include <string>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/files.h"

namespace flashcp {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kCluster[] = R"({
  "name": "pair",
  "ranks_per_node": 2,
  "intra_node": {"bytes_per_us": 1000, "latency_us": 0},
  "inter_node": {"bytes_per_us": 500.5, "latency_us": 5},
  "tiles": {"block_rows": 64, "block_columns": 64, "columns": [64, 128],
    "forward_us": [1, 2], "backward_us": [2.5, 5]}
})";

// The error after one replacement in the good description.
std::string ErrorWith(const std::string& from, const std::string& to) {
  std::string text = absl::StrReplaceAll(kCluster, {{from, to}});
  EXPECT_NE(text, kCluster) << from;
  auto cluster = ParseCluster("c.json", text);
  EXPECT_EQ(cluster.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(cluster.status().message());
}

TEST(ClusterFileTest, ReadsEveryField) {
  auto cluster = ParseCluster("c.json", kCluster);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(cluster->name, "pair");
  EXPECT_EQ(cluster->ranks_per_node, 2);
  EXPECT_EQ(cluster->intra_node.bytes_per_us, 1000);
  EXPECT_EQ(cluster->intra_node.latency_us, 0);
  EXPECT_EQ(cluster->inter_node.bytes_per_us, 500.5);
  EXPECT_EQ(cluster->inter_node.latency_us, 5);
  EXPECT_EQ(cluster->tiles.block_rows, 64);
  EXPECT_EQ(cluster->tiles.block_columns, 64);
  EXPECT_THAT(cluster->tiles.columns, ElementsAre(64, 128));
  EXPECT_THAT(cluster->tiles.forward_us, ElementsAre(1, 2));
  EXPECT_THAT(cluster->tiles.backward_us, ElementsAre(2.5, 5));
}

TEST(ClusterFileTest, RanksMayBeLeftOut) {
  EXPECT_EQ(ParseCluster("c.json", kCluster)->ranks, 8);
  std::string text = absl::StrReplaceAll(kCluster, {{"\"ranks_per", "\"ranks\": 6, \"ranks_per"}});
  EXPECT_EQ(ParseCluster("c.json", text)->ranks, 6);
  EXPECT_THAT(ErrorWith("\"ranks_per", "\"ranks\": 0, \"ranks_per"),
              StartsWith("c.json:3: ranks: "));
  EXPECT_THAT(ErrorWith("\"ranks_per", "\"ranks\": 4097, \"ranks_per"),
              AllOf(StartsWith("c.json: "), HasSubstr("ranks is 4097: must be from 1 to 4096")));
}

TEST(ClusterFileTest, MemoryAndMergesMayBeLeftOut) {
  EXPECT_EQ(ParseCluster("c.json", kCluster)->memory_bytes, 0);
  EXPECT_EQ(ParseCluster("c.json", kCluster)->tiles.merge_us, 0);
  const std::string text =
      absl::StrReplaceAll(kCluster, {{"\"ranks_per", "\"memory_bytes\": 80000000000, \"ranks_per"},
                                     {"[2.5, 5]", "[2.5, 5], \"merge_us\": 0.25"}});
  EXPECT_EQ(ParseCluster("c.json", text)->memory_bytes, 80'000'000'000);
  EXPECT_EQ(ParseCluster("c.json", text)->tiles.merge_us, 0.25);
  EXPECT_THAT(ErrorWith("\"ranks_per", "\"memory_bytes\": 0, \"ranks_per"),
              StartsWith("c.json:3: memory_bytes: "));
  EXPECT_THAT(ErrorWith("[2.5, 5]", "[2.5, 5], \"merge_us\": -1"),
              AllOf(StartsWith("c.json: "), HasSubstr("tiles.merge_us is -1: must be")));
}

TEST(ClusterFileTest, NamesLineAndKey) {
  EXPECT_THAT(ErrorWith("latency_us\": 5", "latencyus\": 5"),
              AllOf(StartsWith("c.json:5: inter_node: "), HasSubstr("did you mean 'latency_us'?")));
  EXPECT_THAT(ErrorWith(", \"latency_us\": 5", ""),
              AllOf(StartsWith("c.json:5: inter_node: "), HasSubstr("'latency_us' is missing")));
  EXPECT_THAT(ErrorWith("\"pair\"", "7"), StartsWith("c.json:2: name: expected a string, found 7"));
  EXPECT_THAT(ErrorWith("\": 2,", "\": 2.5,"),
              AllOf(StartsWith("c.json:3: ranks_per_node: "), HasSubstr("found 2.5")));
  EXPECT_THAT(ErrorWith("500.5", "\"fast\""),
              StartsWith("c.json:5: bytes_per_us: expected a number, found the string 'fast'"));
  EXPECT_THAT(ErrorWith("[64, 128]", "[64, 128.5]"), StartsWith("c.json:6: columns: "));
  EXPECT_THAT(ErrorWith("[1, 2]", "3"), StartsWith("c.json:7: forward_us: expected a list"));
  EXPECT_THAT(ErrorWith("[1, 2]", "[1 2]"), StartsWith("c.json:7: malformed JSON: "));
}

TEST(ClusterFileTest, RefusesValuesThatMakeNoCluster) {
  EXPECT_THAT(ErrorWith("500.5", "-1"), AllOf(StartsWith("c.json: "), HasSubstr("inter_node")));
  EXPECT_THAT(ErrorWith("[1, 2]", "[1]"), AllOf(StartsWith("c.json: "), HasSubstr("forward_us")));
}

TEST(ClusterFileTest, RefusesOtherThanOneObject) {
  for (const char* nothing : {"", " \n"}) {
    EXPECT_EQ(ParseCluster("c.json", nothing).status().message(),
              "c.json: expected one JSON object that describes a cluster, but the file is empty");
  }
  EXPECT_FALSE(ParseCluster("c.json", "[]").ok());
  EXPECT_FALSE(ParseCluster("c.json", std::string(kCluster) + "{}").ok());
}

TEST(ClusterFileTest, FindsPresetsByName) {
  EXPECT_EQ(FindCluster("h100x64")->name, "h100x64");
  absl::Status unknown = FindCluster("h100x65").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("did you mean 'h100x64'?"));
  EXPECT_THAT(std::string(unknown.message()), EndsWith(", and no file has this name"));
}

TEST(ClusterFileTest, ReadsAFileThatExistsWhateverItsName) {
  ASSERT_EQ(chdir(::testing::TempDir().c_str()), 0);
  ASSERT_TRUE(WriteFile("b8.txt", kCluster).ok());
  ASSERT_TRUE(WriteFile("cpu", kCluster).ok());
  EXPECT_EQ(FindCluster("b8.txt")->name, "pair");
  EXPECT_EQ(FindCluster("./cpu")->name, "pair");
  EXPECT_EQ(FindCluster("cpu")->name, "cpu");
}

TEST(ClusterFileTest, TakesPathsForFiles) {
  for (std::string path : {"./h100x8", "none.json"}) {
    absl::Status status = FindCluster(path).status();
    EXPECT_THAT(std::string(status.message()), StartsWith(path + ": cannot be opened"));
  }
}

TEST(ClusterJsonTest, IsReadAsTheSameCluster) {
  for (const std::string& name : model::ClusterPresetNames()) {
    const model::Cluster cluster = model::ClusterPreset(name).value();
    absl::StatusOr<model::Cluster> read = ParseCluster("c.json", ClusterJson(cluster));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, cluster);
    EXPECT_EQ(read->ranks, cluster.ranks);
  }
}

}  // namespace
}  // namespace flashcp
