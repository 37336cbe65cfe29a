// Encoding and reading of packed matrices over every width, odd shapes, short groups and outlier patterns.
#include "core/format/packed_matrix.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/base/status.h"
#include "core/base/tensor_view.h"
#include "tests/core/format/random_content.h"

namespace gwq {
namespace {

using testing::RandomContent;
using testing::RandomContentAt;

std::vector<PackedShape> Shapes() {
  std::vector<PackedShape> shapes;
  for (int bits : {2, 3, 4, 8}) {
    for (const auto& [rows, cols, group] : std::vector<std::array<int64_t, 3>>{{1, 1, 8},
                                                                               {1, 8, 8},
                                                                               {3, 7, 8},
                                                                               {2, 65, 64},
                                                                               {5, 100, 32},
                                                                               {17, 33, 24},
                                                                               {16, 96, 104 - 8},
                                                                               {4, 255, 64},
                                                                               {2, 257, 128}}) {
      for (int64_t outliers : {int64_t{0}, int64_t{1}, rows * cols / 50, rows * cols}) {
        shapes.push_back({rows, cols, bits, group, outliers});
      }
    }
  }
  return shapes;
}

// What the format means, without looking at bytes.
std::vector<float> NaiveDense(const PackedContent& content) {
  const PackedShape& shape = content.shape;
  std::vector<float> dense;
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t col = 0; col < shape.cols; ++col) {
      const auto group = static_cast<size_t>(row * shape.groups_per_row() + col / shape.group_size);
      const int difference = content.codes[static_cast<size_t>(row * shape.cols + col)] - content.zeros[group];
      dense.push_back(static_cast<float>(difference) * HalfToFloat(content.scales[group]));
    }
  }
  for (size_t i = 0; i < content.outlier_positions.size(); ++i) {
    dense[static_cast<size_t>(content.outlier_positions[i])] = HalfToFloat(content.outlier_values[i]);
  }
  return dense;
}

void ExpectRoundTrip(const PackedContent& content) {
  const PackedShape& shape = content.shape;
  auto blob = EncodePacked(content);
  ASSERT_TRUE(blob.ok()) << blob.status();
  EXPECT_EQ(blob->size(), LayoutOf(shape).total);
  auto view = PackedView::Open(*blob);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->shape(), shape);

  std::vector<uint8_t> codes(static_cast<size_t>(shape.cols));
  std::vector<uint8_t> zeros(static_cast<size_t>(shape.groups_per_row()));
  std::vector<float> scales(zeros.size());
  for (int64_t row = 0; row < shape.rows; ++row) {
    view->UnpackCodes(row, codes);
    view->UnpackZeros(row, zeros);
    view->UnpackScales(row, scales);
    for (size_t col = 0; col < codes.size(); ++col) {
      const auto flat = static_cast<size_t>(row * shape.cols) + col;
      ASSERT_EQ(codes[col], content.codes[flat]);
      ASSERT_EQ(view->code(row, static_cast<int64_t>(col)), content.codes[flat]);
    }
    for (size_t group = 0; group < zeros.size(); ++group) {
      const auto flat = static_cast<size_t>(row) * zeros.size() + group;
      ASSERT_EQ(zeros[group], content.zeros[flat]);
      ASSERT_EQ(view->zero(row, static_cast<int64_t>(group)), content.zeros[flat]);
      ASSERT_EQ(scales[group], HalfToFloat(content.scales[flat]));
    }
  }
  std::vector<int64_t> positions;
  std::vector<uint16_t> values;
  view->ForEachOutlier([&](const PackedView::Outlier& outlier) {
    positions.push_back(outlier.row * shape.cols + outlier.col);
    values.push_back(outlier.half);
  });
  EXPECT_EQ(positions, content.outlier_positions);
  EXPECT_EQ(values, content.outlier_values);

  std::vector<float> dense(static_cast<size_t>(shape.rows * shape.cols));
  view->DequantizeAll(dense);
  EXPECT_EQ(dense, NaiveDense(content));
}

TEST(PackedMatrix, EveryContentSurvivesEncodingAndReading) {
  std::mt19937 random(1);
  for (const PackedShape& shape : Shapes()) {
    SCOPED_TRACE(::testing::Message() << shape.rows << "x" << shape.cols << " bits " << shape.bits << " group "
                                      << shape.group_size << " outliers " << shape.outliers);
    ExpectRoundTrip(RandomContent(shape, random));
  }
}

TEST(PackedMatrix, FullTilesAndLoneTilesOfOutliersSurvive) {
  std::mt19937 random(2);
  constexpr int64_t kTile = PackedShape::kOutlierTile;
  for (int bits : {2, 3, 4, 8}) {
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < kTile; ++i) positions.push_back(kTile + i);
    positions.push_back(4 * kTile - 1);
    positions.push_back(4 * kTile);
    const PackedShape shape{9, 120, bits, 40, static_cast<int64_t>(positions.size())};
    ExpectRoundTrip(RandomContentAt(shape, positions, random));
  }
}

TEST(PackedMatrix, EveryCodeOfEveryWidthReadsBack) {
  for (int bits : {2, 3, 4, 8}) {
    const int64_t codes = int64_t{1} << bits;
    PackedContent content;
    content.shape = {1, codes, bits, 8, 0};
    for (int64_t code = 0; code < codes; ++code) content.codes.push_back(static_cast<uint8_t>(code));
    content.scales.assign(static_cast<size_t>(content.shape.groups_per_row()), FloatToHalf(1.0F));
    content.zeros.assign(content.scales.size(), 0);
    ExpectRoundTrip(content);
  }
}

TEST(PackedMatrix, TheSameContentGivesTheSameBytes) {
  std::mt19937 first(3);
  std::mt19937 second(3);
  const PackedShape shape{12, 130, 3, 64, 15};
  EXPECT_EQ(EncodePacked(RandomContent(shape, first)).value(), EncodePacked(RandomContent(shape, second)).value());
}

struct SizeCase {
  PackedShape shape;
  uint64_t total;
  double bits_per_weight;
};

TEST(PackedMatrix, SizesOfRealMatricesAreAsDocumented) {
  // 576 x 576, 1536 x 576 and 576 x 1536 are SmolLM2-135M's; 1 % of each matrix are outliers.
  const std::vector<SizeCase> cases = {
      {{576, 576, 4, 64, 3317}, 190528, 4.594},      {{576, 576, 3, 64, 3317}, 148480, 3.580},
      {{1536, 576, 4, 64, 8847}, 507904, 4.593},     {{576, 1536, 3, 64, 8847}, 394816, 3.570},
      {{2048, 2048, 4, 128, 41943}, 2321536, 4.428}, {{2048, 2048, 4, 64, 41943}, 2403456, 4.584},
      {{576, 576, 2, 64, 3317}, 106432, 2.566},      {{576, 1536, 2, 64, 8847}, 282496, 2.554},
      {{49152, 576, 8, 64, 0}, 29749760, 8.406},
  };
  for (const SizeCase& c : cases) {
    const uint64_t total = LayoutOf(c.shape).total;
    const double weights = static_cast<double>(c.shape.rows * c.shape.cols);
    EXPECT_EQ(total, c.total) << c.shape.rows << "x" << c.shape.cols << " bits " << c.shape.bits;
    EXPECT_NEAR(static_cast<double>(total) * 8 / weights, c.bits_per_weight, 0.0006);
  }
}

TEST(PackedMatrix, SectionsAreAlignedAndDoNotOverlap) {
  for (const PackedShape& shape : Shapes()) {
    const PackedLayout layout = LayoutOf(shape);
    const std::vector<uint64_t> offsets = {layout.codes,  layout.scales,  layout.zeros, layout.values,
                                           layout.counts, layout.indices, layout.total};
    for (size_t i = 0; i < offsets.size(); ++i) {
      EXPECT_EQ(offsets[i] % 64, 0u);
      EXPECT_LE(i > 0 ? offsets[i - 1] : 0, offsets[i]);
    }
  }
}

struct ShapeCase {
  PackedShape shape;
  std::string field;
};

TEST(PackedMatrix, ShapesOutOfRangeAreRefusedByField) {
  const std::vector<ShapeCase> cases = {
      {{4, 64, 1, 64, 0}, "bits"},
      {{4, 64, 5, 64, 0}, "bits"},
      {{0, 64, 4, 64, 0}, "rows"},
      {{-1, 64, 4, 64, 0}, "rows"},
      {{4, 0, 4, 64, 0}, "cols"},
      {{int64_t{1} << 30, int64_t{1} << 30, 4, 64, 0}, "cols"},
      {{4, 64, 4, 0, 0}, "group_size"},
      {{4, 64, 4, 12, 0}, "group_size"},
      {{4, 64, 4, 72, 0}, "group_size"},
      {{4, 64, 4, -8, 0}, "group_size"},
      {{4, 64, 4, 64, -1}, "outliers"},
      {{4, 64, 4, 64, 257}, "outliers"},
      {{int64_t{1} << 62, 64, 4, 64, 0}, "rows"},
  };
  for (const ShapeCase& c : cases) {
    const absl::Status status = CheckPackedShape(c.shape);
    ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.field;
    ASSERT_EQ(FieldViolations(status).size(), 1u);
    EXPECT_EQ(FieldViolations(status)[0].field, c.field) << status;
  }
  EXPECT_TRUE(CheckPackedShape({4, 60, 4, 64, 240}).ok());
}

}  // namespace
}  // namespace gwq
