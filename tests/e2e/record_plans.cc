// Appends plans to a file that the environment names.

#include "tests/e2e/record_plans.h"

#include <cstdint>
#include <cstdlib>
#include <fstream>

#include "gtest/gtest.h"

namespace flashcp::testing {

bool RecordPlan(const Plan& plan) {
  static const char* const path = std::getenv("FLASHCP_RECORD_PLANS");
  if (path == nullptr) return false;
  static auto& file = *new std::ofstream(path, std::ios::binary | std::ios::app);
  const uint64_t size = plan.bytes().size();
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file.write(reinterpret_cast<const char*>(plan.bytes().data()), size);
  file.flush();
  EXPECT_TRUE(file.good()) << "cannot write " << path;
  return true;
}

}  // namespace flashcp::testing
