#include "core/quant/job/mask_overlap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

// Weights 0 and 1 of 200 have the largest gradients of the first half; of the second those at `second`.
MaskOverlap Compared(std::vector<size_t> second) {
  HalfMasks masks;
  std::vector<float> half(200), sum(200);
  half[0] = half[1] = -4.0F;
  masks.TakeHalf("w", half);
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = half[i];
  for (const size_t at : second) sum[at] += 3.0F;
  MaskOverlap overlap;
  EXPECT_THAT(masks.Compare("w", sum, overlap), IsOk());
  return overlap;
}

TEST(MaskOverlap, CountsWhatEachHalfPicksByItself) {
  EXPECT_EQ(Compared({0, 1}), (MaskOverlap{2, 2}));
  EXPECT_EQ(Compared({1, 7}), (MaskOverlap{1, 3}));
  EXPECT_EQ(Compared({8, 7}), (MaskOverlap{0, 4}));
  EXPECT_DOUBLE_EQ(*Compared({1, 7}).jaccard(), 1.0 / 3);
}

TEST(MaskOverlap, AddsUpMatricesAndIsUnknownWithoutAny) {
  HalfMasks masks;
  MaskOverlap overlap;
  EXPECT_THAT(masks.Compare("w", std::vector<float>(4), overlap), IsOk());
  EXPECT_FALSE(overlap.jaccard());
  for (const char* const name : {"a", "b"}) {
    masks.TakeHalf(name, std::vector<float>{1, 0, 0, 0});
    ASSERT_THAT(masks.Compare(name, std::vector<float>{3, 0, 0, 0}, overlap), IsOk());
  }
  EXPECT_EQ(overlap, (MaskOverlap{2, 2}));
}

TEST(MaskOverlap, RefusesWhatIsNotFinite) {
  HalfMasks masks;
  MaskOverlap overlap;
  masks.TakeHalf("w", std::vector<float>(4));
  EXPECT_THAT(masks.Compare("w", std::vector<float>(4, std::numeric_limits<float>::infinity()), overlap),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace gwq
