// The whole grid of small affine matrices: every width, every number of columns up to 40, every group size that it
// takes, both versions and both widths of scales.
#include <gtest/gtest.h>

#include <random>

#include "core/format/affine_view.h"
#include "core/format/format.h"
#include "tests/core/format/random_content.h"
#include "tests/support/status_matchers.h"

namespace gwq::testing {
namespace {

constexpr int64_t kRows = 3;
constexpr int64_t kMostCols = 40;

struct Variant {
  const char* name;
  const Format* format;
  int scale_bits;
};

// As docs/packed-format.md has it, in numbers that cannot wrap.
using Wide = unsigned __int128;
Wide Padded(Wide bytes) { return (bytes + 63) / 64 * 64; }
Wide DocumentedSize(const PackedShape& shape) {
  const Wide rows = static_cast<Wide>(shape.rows);
  const Wide cols = static_cast<Wide>(shape.cols);
  const Wide outliers = static_cast<Wide>(shape.outliers);
  const Wide bits = static_cast<Wide>(shape.bits);
  const Wide groups = (cols + static_cast<Wide>(shape.group_size) - 1) / static_cast<Wide>(shape.group_size);
  const bool counts = shape.outliers > 0 || shape.format->version == 1;
  Wide size = 64 + Padded(rows * ((cols * bits + 7) / 8)) + Padded(rows * ((groups * bits + 7) / 8));
  size += shape.scale_bits == 8 ? Padded(rows * groups) + Padded(rows * 2) : Padded(rows * groups * 2);
  return size + Padded(outliers * 2) + Padded(counts ? (rows * cols + 254) / 255 : 0) + Padded(outliers);
}

class AffineGrid : public ::testing::TestWithParam<Variant> {
 protected:
  PackedShape Shape(int64_t rows, int64_t cols, int bits, int64_t group, int64_t outliers) const {
    return {rows, cols, bits, group, outliers, GetParam().scale_bits, GetParam().format};
  }
  // Visits every shape of the grid without outliers, with one, and with as many as there are weights.
  template <class Visit>
  void ForEachShape(Visit visit) const {
    for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
      for (int64_t cols = 1; cols <= kMostCols; ++cols) {
        for (int64_t group = 8; group <= (cols + 7) / 8 * 8; group += 8) {
          for (const int64_t outliers : {int64_t{0}, int64_t{1}, kRows * cols}) {
            visit(Shape(kRows, cols, bits, group, outliers));
          }
        }
      }
    }
  }
  std::mt19937 random_{12};
};

TEST_P(AffineGrid, EveryBlobHasTheDocumentedSize) {
  ForEachShape([&](const PackedShape& shape) {
    const auto blob = EncodePacked(RandomContent(shape, random_));
    ASSERT_THAT(blob, IsOk()) << DescribeShape(shape);
    ASSERT_EQ(Wide{blob->size()}, DocumentedSize(shape)) << DescribeShape(shape);
  });
}

// Group by group, so that the last group, which may be short, is not the neighbour's.
TEST_P(AffineGrid, TheViewGivesEveryPartOfEveryGroup) {
  ForEachShape([&](const PackedShape& shape) {
    const PackedContent content = RandomContent(shape, random_);
    const auto blob = EncodePacked(content).value();
    const AffineView view = AffineView::Of(PackedView::Open(blob).value()).value();
    for (int64_t row = 0; row < shape.rows; ++row) {
      for (int64_t col = 0; col < shape.cols; ++col) {
        const auto at = static_cast<size_t>(row * shape.groups_per_row() + col / shape.group_size);
        ASSERT_EQ(view.code(row, col), content.codes[static_cast<size_t>(row * shape.cols + col)]);
        ASSERT_EQ(view.zero(row, col / shape.group_size), content.zeros[at]) << DescribeShape(shape);
        const float scale =
            shape.scale_bits == 16
                ? HalfToFloat(content.scales[at])
                : content.scale_codes[at] * HalfToFloat(content.row_scales[static_cast<size_t>(row)]) / 256.0F;
        ASSERT_EQ(view.scale(row, col / shape.group_size), scale) << DescribeShape(shape);
      }
    }
  });
}

TEST_P(AffineGrid, GroupSizesAreMultiplesOfEightUpToTheRoundedColumns) {
  for (int64_t cols = 1; cols <= kMostCols; ++cols) {
    const int64_t longest = (cols + 7) / 8 * 8;
    for (int64_t group = -8; group <= longest + 8; ++group) {
      const absl::Status status = CheckPackedShape(Shape(kRows, cols, 4, group, 0));
      if (group > 0 && group <= longest && group % 8 == 0) {
        ASSERT_THAT(status, IsOk()) << group << " of " << cols;
      } else {
        ASSERT_THAT(status, FailsAt("group_size")) << group << " of " << cols;
      }
    }
  }
}

TEST_P(AffineGrid, TheLargestMatricesHaveSizesThatDoNotWrap) {
  constexpr int64_t kMost = int64_t{1} << 40;
  for (const int64_t rows : {int64_t{1}, int64_t{1} << 20, kMost}) {
    for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
      for (const int64_t outliers : {int64_t{0}, kMost}) {
        const PackedShape shape = Shape(rows, kMost / rows, bits, 8, outliers);
        ASSERT_THAT(CheckPackedShape(shape), IsOk());
        ASSERT_EQ(Wide{LayoutOf(shape).total}, DocumentedSize(shape)) << DescribeShape(shape);
      }
    }
    EXPECT_THAT(CheckPackedShape(Shape(rows, kMost / rows + 1, 4, 8, 0)), FailsAt("cols"));
  }
  EXPECT_THAT(CheckPackedShape(Shape(kMost + 1, 1, 4, 8, 0)), FailsAt("rows"));
}

INSTANTIATE_TEST_SUITE_P(Variants, AffineGrid,
                         ::testing::Values(Variant{"affine1", &kAffine1, 16}, Variant{"affine2", &kAffine2, 16},
                                           Variant{"affine2_scales8", &kAffine2, 8}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(AffineView, IsRefusedForAMatrixOfAnotherFormat) {
  static const Format kOther = [] {
    Format other = kAffine2;
    other.tag = "other";
    return other;
  }();
  std::mt19937 random(13);
  const auto blob = EncodePacked(RandomContent({2, 16, 4, 8, 0, 16, &kAffine2}, random)).value();
  const auto view = PackedView::OpenAs(kOther, blob);
  ASSERT_THAT(view, IsOk());
  const absl::Status status = AffineView::Of(*view).status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kInternal));
  EXPECT_THAT(std::string(MessageOf(status)), ::testing::HasSubstr("other version 2 of 2 x 16"));
}

// A manifest's number that a member cannot hold must not become a valid one.
TEST(ShapeFields, AValuePastTheRangeOfItsMemberIsOneThatNoFormatTakes) {
  for (const ShapeField& field : kShapeFields) {
    for (const int64_t value : {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(),
                                (int64_t{1} << 32) + 16, -(int64_t{1} << 32) + 8}) {
      PackedShape shape{4, 16, 4, 8, 0, 16, &kAffine2};
      field.Set(shape, value);
      EXPECT_THAT(CheckPackedShape(shape), FailsAt(field.name)) << value;
    }
  }
}

}  // namespace
}  // namespace gwq::testing
