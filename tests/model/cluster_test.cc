// The presets of clusters by their names; what Check() refuses is tested with problems.

#include "model/cluster.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace flashcp::model {
namespace {

TEST(ClusterPresetTest, EveryPresetIsValidAndAnswersToItsName) {
  for (const std::string& name : ClusterPresetNames()) {
    absl::StatusOr<Cluster> cluster = ClusterPreset(name);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    EXPECT_EQ(cluster->name, name);
    EXPECT_TRUE(cluster->Check().ok()) << cluster->Check();
  }
  EXPECT_EQ(ClusterPreset("h100-ib8")->ranks_per_node, 1);
  EXPECT_EQ(ClusterPreset("h100x64")->ranks_per_node, 8);
}

TEST(ClusterPresetTest, OnlyGpusSayWhatMemoryTheyHaveAndWhatMergesTake) {
  EXPECT_EQ(ClusterPreset("h100x8")->memory_bytes, 80'000'000'000);
  EXPECT_NEAR(ClusterPreset("h100x8")->tiles.merge_us, 2 * 128 * 128 * 4 / 3.35e6, 5e-5);
  EXPECT_EQ(ClusterPreset("cpu")->memory_bytes, 0);
  EXPECT_EQ(ClusterPreset("cpu")->tiles.merge_us, 0);
}

TEST(ClusterPresetTest, SuggestsTheNearestName) {
  absl::Status status = ClusterPreset("h100x6").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "unknown cluster 'h100x6': did you mean 'h100x8'? (one of h100x8, h100x64, h100-ib8, "
            "cpu)");
}

}  // namespace
}  // namespace flashcp::model
