// The format "affine", both versions: the suite of every format, and what is particular to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "core/base/status.h"
#include "core/base/tensor_view.h"
#include "core/format/affine_view.h"
#include "core/format/coded_scales.h"
#include "core/format/format.h"
#include "tests/core/format/format_conformance.h"
#include "tests/core/format/random_content.h"
#include "tests/core/format/read_content.h"

namespace gwq::testing {
namespace {

// Every width, odd shapes, short groups and patterns of outliers.
std::vector<PackedShape> Shapes(const Format& format, int scale_bits) {
  // Small, and with code rows (23 bytes of 3 bits) that end in padding bits and a short last tile.
  std::vector<PackedShape> shapes = {{5, 60, 3, 32, 7}};
  for (int bits : {2, 3, 4, 5, 6, 7, 8}) {
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
  for (PackedShape& shape : shapes) {
    shape.scale_bits = scale_bits;
    shape.format = &format;
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
      const float scale = shape.scale_bits == 16
                              ? HalfToFloat(content.scales[group])
                              : static_cast<float>(content.scale_codes[group] / 256.0 *
                                                   HalfToFloat(content.row_scales[static_cast<size_t>(row)]));
      dense.push_back(static_cast<float>(difference) * scale);
    }
  }
  for (size_t i = 0; i < content.outlier_positions.size(); ++i) {
    dense[static_cast<size_t>(content.outlier_positions[i])] = HalfToFloat(content.outlier_values[i]);
  }
  return dense;
}

FormatCase Case(std::string name, const Format& format, int scale_bits) {
  FormatCase made = {.name = std::move(name),
                     .format = &format,
                     .shapes = Shapes(format, scale_bits),
                     .refused = {4, 64, 9, 64, 0},
                     .content = RandomContent,
                     .read = ReadContent,
                     .dense = NaiveDense};
  made.refused.scale_bits = scale_bits;
  made.refused.format = &format;
  return made;
}

const std::vector<FormatCase>& Cases() {
  static const std::vector<FormatCase> kCases = {Case("affine1", kAffine1, 16), Case("affine2", kAffine2, 16),
                                                 Case("affine2_scales8", kAffine2, 8)};
  return kCases;
}
INSTANTIATE_TEST_SUITE_P(Affine, FormatConformance, ::testing::ValuesIn(Cases()), FormatCaseName);

PackedShape Of(const FormatCase& format, PackedShape shape) {
  shape.format = format.shapes[0].format;
  shape.scale_bits = format.shapes[0].scale_bits;
  return shape;
}

TEST(AffineFormat, FullTilesAndLoneTilesOfOutliersSurvive) {
  std::mt19937 random(2);
  constexpr int64_t kTile = PackedShape::kOutlierTile;
  for (int bits : {2, 3, 4, 5, 6, 7, 8}) {
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < kTile; ++i) positions.push_back(kTile + i);
    positions.push_back(4 * kTile - 1);
    positions.push_back(4 * kTile);
    for (const FormatCase& format : Cases()) {
      const PackedShape shape = Of(format, {9, 120, bits, 40, static_cast<int64_t>(positions.size())});
      ExpectRoundTrip(format, RandomContentAt(shape, positions, random));
    }
  }
}

TEST(AffineFormat, EveryCodeOfEveryWidthReadsBack) {
  for (int bits : {2, 3, 4, 5, 6, 7, 8}) {
    const int64_t codes = int64_t{1} << bits;
    PackedContent content;
    content.shape = {1, codes, bits, 8, 0};
    for (int64_t code = 0; code < codes; ++code) content.codes.push_back(static_cast<uint8_t>(code));
    content.scales.assign(static_cast<size_t>(content.shape.groups_per_row()), FloatToHalf(1.0F));
    content.zeros.assign(content.scales.size(), 0);
    ExpectRoundTrip(Cases()[0], content);
    const auto blob = EncodePacked(content).value();
    const AffineView view = AffineView::Of(PackedView::Open(blob).value()).value();
    for (int64_t code = 0; code < codes; ++code) EXPECT_EQ(view.code(0, code), static_cast<uint32_t>(code));
  }
}

struct SizeCase {
  PackedShape shape;
  uint64_t total;
  double bits_per_weight;
};

TEST(AffineFormat, SizesOfRealMatricesAreAsDocumented) {
  // 576 x 576, 1536 x 576 and 576 x 1536 are SmolLM2-135M's; 1 % of each matrix are outliers.
  const std::vector<SizeCase> cases = {
      {{576, 576, 4, 64, 3317}, 190528, 4.594},
      {{576, 576, 3, 64, 3317}, 148480, 3.580},
      {{1536, 576, 4, 64, 8847}, 507904, 4.593},
      {{576, 1536, 3, 64, 8847}, 394816, 3.570},
      {{2048, 2048, 4, 128, 41943}, 2321536, 4.428},
      {{2048, 2048, 4, 64, 41943}, 2403456, 4.584},
      {{576, 576, 2, 64, 3317}, 106432, 2.566},
      {{576, 1536, 2, 64, 8847}, 282496, 2.554},
      {{49152, 576, 8, 64, 0}, 29749760, 8.406},
      {{576, 576, 3, 64, 0}, 138496, 3.340},
      {{576, 576, 3, 64, 0, 16, &kAffine2}, 137152, 3.307},
      {{576, 576, 3, 64, 0, 8, &kAffine2}, 133120, 3.210},
      {{576, 576, 3, 64, 3317, 8, &kAffine2}, 144448, 3.483},
      {{1536, 576, 4, 64, 8847, 8, &kAffine2}, 497152, 4.495},
      {{576, 1536, 2, 64, 0, 8, &kAffine2}, 239680, 2.167},
      {{49152, 576, 8, 64, 0, 8, &kAffine2}, 29294656, 8.278},
  };
  for (const SizeCase& c : cases) {
    const uint64_t total = LayoutOf(c.shape).total;
    const double weights = static_cast<double>(c.shape.rows * c.shape.cols);
    EXPECT_EQ(total, c.total) << c.shape.rows << "x" << c.shape.cols << " bits " << c.shape.bits;
    EXPECT_NEAR(static_cast<double>(total) * 8 / weights, c.bits_per_weight, 0.0006);
  }
}

TEST(AffineFormat, SectionsAreAlignedAndDoNotOverlap) {
  for (const FormatCase& format : Cases()) {
    for (const PackedShape& shape : format.shapes) {
      const PackedLayout layout = LayoutOf(shape);
      const std::vector<uint64_t> offsets = {layout.codes,  layout.scales, layout.row_scales, layout.zeros,
                                             layout.values, layout.counts, layout.indices,    layout.total};
      for (size_t i = 0; i < offsets.size(); ++i) {
        EXPECT_EQ(offsets[i] % 64, 0u);
        EXPECT_LE(i > 0 ? offsets[i - 1] : 0, offsets[i]);
      }
    }
  }
}

struct ShapeCase {
  PackedShape shape;
  std::string field;
};

TEST(AffineFormat, ShapesOutOfRangeAreRefusedByField) {
  const std::vector<ShapeCase> cases = {
      {{4, 64, 1, 64, 0}, "bits"},
      {{4, 64, 9, 64, 0}, "bits"},
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
      {{4, 64, 4, 64, 0, 8}, "scale_bits"},
      {{4, 64, 4, 64, 0, 4, &kAffine2}, "scale_bits"},
      {{4, 64, 4, 64, 0, 0, &kAffine2}, "scale_bits"},
  };
  for (const ShapeCase& c : cases) {
    const absl::Status status = CheckPackedShape(c.shape);
    ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.field;
    ASSERT_EQ(FieldViolations(status).size(), 1u);
    EXPECT_EQ(FieldViolations(status)[0].field, c.field) << status;
  }
  EXPECT_TRUE(CheckPackedShape({4, 60, 4, 64, 240}).ok());
}

TEST(AffineFormat, WidthsOutsideTheRangeAreRefusedInEveryVersion) {
  for (const FormatCase& format : Cases()) {
    for (int width = -1; width <= 33; ++width) {
      const bool packed = width >= 2 && width <= 8;
      EXPECT_EQ(CheckPackedShape(Of(format, {4, 64, width, 64, 0})).ok(), packed) << width;
      PackedShape scales = Of(format, {4, 64, 4, 64, 0});
      scales.scale_bits = width;
      EXPECT_EQ(CheckPackedShape(scales).ok(), width == 16 || (width == 8 && format.format == &kAffine2)) << width;
    }
  }
}

// Both versions of one content differ in the header alone where there are outliers; without, in the tile counts too.
TEST(AffineFormat, VersionTwoLeavesOutTheCountsOfNoOutliers) {
  std::mt19937 random(8);
  for (int64_t outliers : {0, 3}) {
    PackedContent content = RandomContent({20, 40, 4, 16, outliers}, random);
    const auto first = EncodePacked(content).value();
    content.shape.format = &kAffine2;
    auto second = EncodePacked(content).value();
    EXPECT_EQ(second.size(), outliers == 0 ? first.size() - 64 : first.size());
    EXPECT_EQ(second[8], std::byte{2});
    EXPECT_EQ(second[48], std::byte{16});
    second[8] = std::byte{1};
    second[48] = std::byte{0};
    EXPECT_TRUE(std::equal(second.begin(), second.end(), first.begin()));
  }
}

TEST(AffineFormat, AnUnknownTagIsRefusedByName) {
  const absl::Status status = FindFormat("codebook", 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(MessageOf(status)), ::testing::HasSubstr("'codebook'"));
  EXPECT_EQ(FieldViolations(status).at(0).field, "format");
}

}  // namespace
}  // namespace gwq::testing
