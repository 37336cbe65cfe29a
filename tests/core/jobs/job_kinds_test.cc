#include "core/jobs/job_kinds.h"

#include <gtest/gtest.h>

namespace gwq {
namespace {

TEST(JobKinds, AreKnownByName) {
  EXPECT_NE(FindJobKind("import"), nullptr);
  EXPECT_NE(FindJobKind("quantize"), nullptr);
  EXPECT_NE(FindJobKind("export"), nullptr);
  EXPECT_NE(FindJobKind("evaluate"), nullptr);
  EXPECT_EQ(FindJobKind("train"), nullptr);
}

}  // namespace
}  // namespace gwq
