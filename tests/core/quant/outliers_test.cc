#include "core/quant/outliers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace gwq {
namespace {

using testing::ElementsAre;

// The definition: a stable sort in descending order of magnitude, cut at `count`.
std::vector<int64_t> BySorting(const std::vector<float>& scores, int64_t count) {
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return std::fabs(scores[static_cast<size_t>(a)]) > std::fabs(scores[static_cast<size_t>(b)]);
  });
  order.resize(static_cast<size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

TEST(LargestScores, EqualsAStableSortAlsoWithTies) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> scores(std::uniform_int_distribution<size_t>(1, 400)(random));
    // Few distinct values make many ties; every third round has none to speak of.
    const int distinct = round % 3 == 0 ? 1000000 : 1 + round % 7;
    for (float& score : scores) {
      score = static_cast<float>(std::uniform_int_distribution<int>(-distinct, distinct)(random));
    }
    for (const double ratio : {0.0, 0.01, 0.3, 1.0}) {
      const int64_t count = OutlierCount(ratio, static_cast<int64_t>(scores.size()));
      EXPECT_EQ(*LargestScores(scores, count, "t"), BySorting(scores, count)) << "round " << round;
    }
  }
}

TEST(LargestScores, TiesGoToTheLowestPosition) {
  EXPECT_THAT(*LargestScores(std::vector<float>{1, -2, 2, 2, 0}, 2, "t"), ElementsAre(1, 2));
}

TEST(LargestScores, RefusesAGradientThatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const auto picked = LargestScores(std::vector<float>{1, bad, 3}, 1, "model.layers.3.mlp.up_proj.weight");
    EXPECT_EQ(picked.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(picked.status().message().find("model.layers.3.mlp.up_proj.weight"), absl::string_view::npos);
    EXPECT_NE(picked.status().message().find("position 1"), absl::string_view::npos);
  }
}

TEST(OutlierCount, IsTheFloorOfTheDoubleProduct) {
  EXPECT_EQ(OutlierCount(0.01, 576 * 576), 3317);
  EXPECT_EQ(OutlierCount(0.01, 99), 0);
  EXPECT_EQ(OutlierCount(0.29, 100), 28);  // 0.29 * 100 is below 29 in double precision, as in the reference
  EXPECT_EQ(OutlierCount(0.5, 3), 1);
}

TEST(RandomScores, DependOnSeedAndNameOnly) {
  std::vector<float> a(1000), b(1000);
  RandomScores(1, "x", a);
  RandomScores(1, "x", b);
  EXPECT_EQ(a, b);
  RandomScores(2, "x", b);
  EXPECT_NE(a, b);
  RandomScores(1, "y", b);
  EXPECT_NE(a, b);
  EXPECT_NEAR(std::accumulate(a.begin(), a.end(), 0.0) / 1000, 0.5, 0.03);
  EXPECT_THAT(a, testing::Each(testing::AllOf(testing::Ge(0.0F), testing::Lt(1.0F))));
}

}  // namespace
}  // namespace gwq
