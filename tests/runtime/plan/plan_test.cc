// A plan survives its file byte for byte; whatever else a file holds is refused with a clear
// message.

#include "runtime/plan/plan.h"

#include <dirent.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Plan SmallPlan() {
  testing::ToyProblem problem;
  problem.ranks = 2;
  problem.documents = {{5, {{0, 2, 0}, {2, 5, 1}}}};
  return testing::MakeToyPlan(problem);
}

std::string BytesOf(const Plan& plan) { return std::string(plan.bytes()); }

// The message of the error that reading these bytes gives; empty if they load.
std::string ErrorOf(std::string bytes) {
  absl::StatusOr<Plan> plan = Plan::FromBytes(std::move(bytes));
  if (plan.ok()) return "";
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(plan.status().message());
}

// An empty folder of this test.
std::string Folder(const std::string& name) {
  std::string folder = ::testing::TempDir() + "/plan_test_" + name;
  mkdir(folder.c_str(), 0777);
  return folder;
}

std::vector<std::string> FilesIn(const std::string& folder) {
  std::vector<std::string> files;
  DIR* directory = opendir(folder.c_str());
  while (dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') files.push_back(entry->d_name);
  }
  closedir(directory);
  return files;
}

TEST(PlanTest, FieldsAndHashSurviveBytes) {
  Plan plan = SmallPlan();
  absl::StatusOr<Plan> read = Plan::FromBytes(BytesOf(plan));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->bytes(), plan.bytes());
  EXPECT_EQ(read->hash(), plan.hash());
  EXPECT_EQ(read->num_ranks(), 2);
  EXPECT_EQ((*read)->strategy()->str(), "toy");
  EXPECT_EQ(Items((*read)->documents())[0].length(), 5);
}

TEST(PlanTest, CopiesShareTheBytes) {
  Plan copy = SmallPlan();
  Plan other = copy;
  EXPECT_EQ(copy.bytes().data(), other.bytes().data());
}

TEST(PlanTest, HashTellsPlansApart) {
  testing::ToyProblem problem;
  problem.documents = {{5, {{0, 5, 0}}}};
  Plan five = testing::MakeToyPlan(problem);
  EXPECT_EQ(five.hash(), testing::MakeToyPlan(problem).hash());
  problem.documents = {{6, {{0, 6, 0}}}};
  EXPECT_NE(five.hash(), testing::MakeToyPlan(problem).hash());
}

TEST(PlanTest, SavesAndLoads) {
  Plan plan = SmallPlan();
  std::string folder = Folder("saves");
  std::string path = folder + "/a.plan";
  ASSERT_EQ(plan.Save(path), absl::OkStatus());
  ASSERT_EQ(plan.Save(path), absl::OkStatus());  // over the first
  EXPECT_EQ(FilesIn(folder), std::vector<std::string>{"a.plan"});
  absl::StatusOr<Plan> loaded = Plan::Load(path);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->bytes(), plan.bytes());
}

TEST(PlanTest, FailedSaveLeavesNothing) {
  std::string folder = Folder("failed");
  std::string path = folder + "/is_a_folder";
  mkdir(path.c_str(), 0777);
  absl::Status status = SmallPlan().Save(path);
  EXPECT_THAT(std::string(status.message()), StartsWith(path + ": cannot be created"));
  EXPECT_EQ(FilesIn(folder), std::vector<std::string>{"is_a_folder"});
  status = SmallPlan().Save(folder + "/missing/a.plan");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
}

TEST(PlanTest, LoadNamesThePath) {
  std::string folder = Folder("load");
  absl::Status missing = Plan::Load(folder + "/missing").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(missing.message(), folder + "/missing: cannot be opened: No such file or directory");
  EXPECT_THAT(std::string(Plan::Load(folder).status().message()),
              StartsWith(folder + ": cannot be read"));
  std::ofstream(folder + "/text") << "4096 1024 17";
  EXPECT_EQ(Plan::Load(folder + "/text").status().message(),
            folder + "/text: not a FlashCP plan: file identifier 'FCPP' expected, ' 102' found");
}

TEST(PlanTest, RefusesForeignFiles) {
  EXPECT_EQ(ErrorOf(""), "not a FlashCP plan: 0 bytes are too few for a file identifier");
  EXPECT_EQ(ErrorOf(std::string("\x7f"
                                "ELF\x02\x01\x01\0",
                                8)),
            "not a FlashCP plan: file identifier 'FCPP' expected, '\\x02\\x01\\x01\\x00' found");
}

TEST(PlanTest, RefusesAnotherVersion) {
  fbs::PlanT plan = testing::MakeToyPlanT({});
  plan.version = 7;
  EXPECT_EQ(ErrorOf(BytesOf(testing::SealPlanT(plan))),
            "plan version 7, this build reads 6: compile the plan again");
}

TEST(PlanTest, RefusesTooManyRanks) {
  fbs::PlanT plan = testing::MakeToyPlanT({});
  while (plan.ranks.size() <= kMaxPlanRanks) {
    plan.ranks.push_back(std::make_unique<fbs::RankPlanT>(*plan.ranks[0]));
  }
  EXPECT_THAT(ErrorOf(BytesOf(testing::SealPlanT(plan))), HasSubstr("more than 4096 ranks"));
}

// A small file may not stand for a large plan: here all ranks are one table.
TEST(PlanTest, RefusesSharedTables) {
  fbs::PlanT plan = testing::MakeToyPlanT({});
  flatbuffers::FlatBufferBuilder builder;
  auto strategy = builder.CreateString("toy");
  auto documents = builder.CreateVectorOfStructs(plan.documents);
  auto cluster = fbs::Cluster::Pack(builder, plan.cluster.get());
  plan.ranks[0]->layout.assign(100, fbs::TokenRange(0, 0, 1));
  auto rank = fbs::RankPlan::Pack(builder, plan.ranks[0].get());
  auto ranks = builder.CreateVector(std::vector<flatbuffers::Offset<fbs::RankPlan>>(50, rank));
  fbs::FinishPlanBuffer(
      builder, fbs::CreatePlan(builder, kPlanVersion, 1, strategy, plan.exchange, plan.dtype,
                               plan.heads.get(), plan.scale, documents, 0, 0, 0, cluster,
                               plan.modelled.get(), ranks, 0, plan.head_groups));
  EXPECT_THAT(ErrorOf(BytesOf(Plan::Seal(builder.Release()))), HasSubstr("tables share memory"));
}

TEST(PlanTest, RefusesEveryTruncation) {
  const std::string bytes = BytesOf(SmallPlan());
  for (size_t size = 0; size < bytes.size(); ++size) {
    std::string error = ErrorOf(bytes.substr(0, size));
    ASSERT_THAT(error, StartsWith(size < 8 ? "not a FlashCP plan" : "truncated or corrupt"))
        << size;
  }
  EXPECT_NE(ErrorOf(bytes + std::string(8, '\0')), "");
}

TEST(PlanTest, RefusesEveryCorruptByte) {
  const std::string bytes = BytesOf(SmallPlan());
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int change : {0x01, 0x80, 0xff}) {
      std::string corrupt = bytes;
      corrupt[i] ^= change;
      ASSERT_NE(ErrorOf(std::move(corrupt)), "") << "byte " << i << " ^ " << change;
    }
  }
}

// A multiplication alone carries nothing down: the highest bits of two words cancelled once.
TEST(PlanTest, RefusesTheSameBitFlippedInAnyTwoWords) {
  const std::string bytes = BytesOf(SmallPlan());
  for (int bit : {0, 31, 62, 63}) {
    auto flip = [&](std::string* corrupt, size_t word) {
      (*corrupt)[8 * word + bit / 8] ^= 1 << bit % 8;
    };
    for (size_t a = 0; a < bytes.size() / 8; ++a) {
      for (size_t b = 0; b < a; ++b) {
        std::string corrupt = bytes;
        flip(&corrupt, a);
        flip(&corrupt, b);
        ASSERT_NE(ErrorOf(std::move(corrupt)), "") << "bit " << bit << ", words " << a << ", " << b;
      }
    }
  }
}

TEST(PlanTest, RefusesAnyFewBitsFlipped) {
  const std::string bytes = BytesOf(SmallPlan());
  std::mt19937 random(1);
  for (int i = 0; i < 100000; ++i) {
    std::string corrupt = bytes;
    for (int flips = 2 + i % 3; flips > 0; --flips) {
      corrupt[random() % bytes.size()] ^= 1 << random() % 8;
    }
    if (corrupt == bytes) continue;
    ASSERT_NE(ErrorOf(std::move(corrupt)), "") << i;
  }
}

// The algorithm is a part of the format: docs/plan.md.
TEST(PlanTest, HashIsTheDocumentedOne) {
  const Plan plan = SmallPlan();
  uint64_t expected = plan.bytes().size();
  int skipped = 0;
  for (size_t i = 0; i < plan.bytes().size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, plan.bytes().data() + i, 8);
    if (word == plan.hash()) word = 0, ++skipped;
    uint64_t x = (expected ^ word) + 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    expected = x ^ (x >> 31);
  }
  EXPECT_EQ(skipped, 1);
  EXPECT_EQ(plan.hash(), expected);
}

}  // namespace
}  // namespace flashcp
