#include "tests/core/format/format_conformance.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>

#include "core/base/status.h"
#include "core/base/tensor_view.h"

namespace gwq::testing {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

std::vector<float> DenseOf(const PackedView& view) {
  std::vector<float> dense(static_cast<size_t>(view.shape().rows * view.shape().cols));
  view.DequantizeAll(dense);
  return dense;
}

auto Parts(const PackedContent& content) {
  return std::tie(content.shape, content.codes, content.scales, content.zeros, content.outlier_positions,
                  content.outlier_values, content.scale_codes, content.row_scales);
}

void ExpectBroken(std::span<const std::byte> bytes, std::string_view what) {
  const absl::Status status = PackedView::Open(bytes).status();
  ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << what << ": " << status;
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("packed matrix: ")) << what;
}

}  // namespace

bool SameContent(const PackedContent& a, const PackedContent& b) { return Parts(a) == Parts(b); }

void ExpectRoundTrip(const FormatCase& format, const PackedContent& content) {
  SCOPED_TRACE(DescribeShape(content.shape));
  const absl::StatusOr<Bytes> blob = EncodePacked(content);
  ASSERT_TRUE(blob.ok()) << blob.status();
  const absl::StatusOr<PackedView> view = PackedView::Open(*blob);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->shape(), content.shape);
  EXPECT_TRUE(SameContent(format.read(*view), content));
  const std::vector<float> expected = format.dense(content);
  EXPECT_EQ(DenseOf(*view), expected);
  int64_t next = 0;
  const absl::Status walked = view->ForEachRow([&](int64_t row, std::span<const float> weights) {
    EXPECT_EQ(row, next++);
    EXPECT_TRUE(std::ranges::equal(
        weights, std::span(expected).subspan(static_cast<size_t>(row) * weights.size(), weights.size())));
    return absl::OkStatus();
  });
  EXPECT_TRUE(walked.ok()) << walked;
  EXPECT_EQ(next, content.shape.rows);
  int64_t outliers = 0;
  view->ForEachOutlier([&](const PackedView::Outlier& outlier) {
    EXPECT_EQ(HalfToFloat(outlier.half), expected[static_cast<size_t>(outlier.row * content.shape.cols + outlier.col)]);
    ++outliers;
  });
  EXPECT_EQ(outliers, content.shape.outliers);
}

TEST_P(FormatConformance, StandsInTheTableUnderItsTagAndVersion) {
  const Format& format = *GetParam().format;
  const auto found = FindFormat(format.tag, format.version);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, &format);
  EXPECT_THAT(FormatName(format), HasSubstr(std::string(format.tag)));
}

TEST_P(FormatConformance, EveryContentSurvivesEncodingAndReading) {
  std::mt19937 random(1);
  for (const PackedShape& shape : GetParam().shapes) {
    ASSERT_TRUE(CheckPackedShape(shape).ok()) << CheckPackedShape(shape);
    ExpectRoundTrip(GetParam(), GetParam().content(shape, random));
  }
}

TEST_P(FormatConformance, ABlobHasTheSizeOfItsLayout) {
  std::mt19937 random(2);
  for (const PackedShape& shape : GetParam().shapes) {
    const Bytes blob = EncodePacked(GetParam().content(shape, random)).value();
    EXPECT_EQ(blob.size(), LayoutOf(shape).total) << DescribeShape(shape);
    EXPECT_EQ(blob.size() % 64, 0u);
  }
}

TEST_P(FormatConformance, TheSameContentGivesTheSameBytes) {
  std::mt19937 random(3);
  for (const PackedShape& shape : GetParam().shapes) {
    const PackedContent content = GetParam().content(shape, random);
    const Bytes blob = EncodePacked(content).value();
    EXPECT_EQ(EncodePacked(content).value(), blob);
    EXPECT_EQ(EncodePacked(GetParam().read(PackedView::Open(blob).value())).value(), blob) << DescribeShape(shape);
  }
}

// A damaged bit is refused, or it is part of another content, whose own bytes these are: no byte is without meaning.
TEST_P(FormatConformance, EveryBitIsReadOrRefused) {
  std::mt19937 random(4);
  const PackedContent content = GetParam().content(GetParam().shapes[0], random);
  const Bytes good = EncodePacked(content).value();
  for (size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes bytes = good;
      bytes[i] ^= static_cast<std::byte>(1 << bit);
      const auto view = PackedView::Open(bytes);
      if (!view.ok()) {
        EXPECT_EQ(view.status().code(), absl::StatusCode::kDataLoss);
        continue;
      }
      const PackedContent other = GetParam().read(*view);
      EXPECT_FALSE(SameContent(other, content)) << "byte " << i << " bit " << bit;
      const auto again = EncodePacked(other);
      ASSERT_TRUE(again.ok()) << again.status() << " byte " << i << " bit " << bit;
      EXPECT_EQ(*again, bytes) << "byte " << i << " bit " << bit;
    }
  }
}

TEST_P(FormatConformance, EveryOtherLengthIsRefused) {
  std::mt19937 random(5);
  const Bytes good = EncodePacked(GetParam().content(GetParam().shapes[0], random)).value();
  for (size_t size = 0; size < good.size(); ++size) ExpectBroken(std::span(good).first(size), "truncated");
  Bytes longer = good;
  longer.resize(good.size() + 64);
  ExpectBroken(longer, "longer");
}

TEST_P(FormatConformance, AnUnknownVersionIsRefusedByNumber) {
  std::mt19937 random(6);
  Bytes bytes = EncodePacked(GetParam().content(GetParam().shapes[0], random)).value();
  bytes[8] = std::byte{99};
  const absl::Status status = PackedView::Open(bytes).status();
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("version 99"));
  EXPECT_EQ(FieldViolations(FindFormat(GetParam().format->tag, 99).status()).at(0).field, "version");
}

TEST_P(FormatConformance, AShapeThatItDoesNotTakeIsRefusedEverywhere) {
  PackedContent content;
  content.shape = GetParam().refused;
  const absl::Status status = CheckPackedShape(content.shape);
  ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldViolations(status).size(), 1u);
  EXPECT_EQ(EncodePacked(content).status(), status);
}

TEST_P(FormatConformance, AFieldThatItLacksStandsAtItsDefault) {
  for (const ShapeField& field : kShapeFields) {
    const auto& own = GetParam().format->fields;
    if (std::ranges::find(own, field.name, &ShapeField::name) != own.end()) continue;
    PackedShape shape = GetParam().shapes[0];
    field.Set(shape, field.Get(shape) + 8);
    const absl::Status status = CheckPackedShape(shape);
    ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field.name;
    EXPECT_EQ(FieldViolations(status).at(0).field, field.name);
    EXPECT_EQ(InFormat(*GetParam().format, shape), GetParam().shapes[0]);
  }
}

// The first error of a visit ends the walk.
TEST_P(FormatConformance, AWalkOverRowsEndsAtAnError) {
  std::mt19937 random(7);
  const Bytes blob = EncodePacked(GetParam().content(GetParam().shapes[0], random)).value();
  int visits = 0;
  const absl::Status status = PackedView::Open(blob)->ForEachRow([&](int64_t, std::span<const float>) {
    ++visits;
    return absl::CancelledError("enough");
  });
  EXPECT_EQ(status, absl::CancelledError("enough"));
  EXPECT_EQ(visits, 1);
}

}  // namespace gwq::testing
