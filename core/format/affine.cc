#include "core/format/affine.h"

#include "core/base/status.h"
#include "core/base/tensor_view.h"
#include "core/format/affine_view.h"

namespace gwq {
namespace {

constexpr std::array kFields1 = {kBitsField, kGroupSizeField, kOutliersField};
constexpr std::array kFields2 = {kBitsField, kGroupSizeField, kOutliersField, kScaleBitsField};

void ForEachOutlier(const PackedView& view, absl::FunctionRef<void(const PackedView::Outlier&)> visit) {
  AffineView(view.bytes(), view.shape()).ForEachOutlier(visit);
}

// Walks rows and outliers side by side, as both are in order of rows.
absl::Status ForEachRow(const PackedView& view,
                        absl::FunctionRef<absl::Status(int64_t, std::span<const float>)> visit) {
  const AffineView affine(view.bytes(), view.shape());
  const PackedShape& shape = view.shape();
  AffineView::OutlierCursor outliers(affine);
  std::vector<uint8_t> codes(static_cast<size_t>(shape.cols));
  std::vector<uint8_t> zeros(static_cast<size_t>(shape.groups_per_row()));
  std::vector<float> scales(zeros.size());
  std::vector<float> weights(codes.size());
  for (int64_t row = 0; row < shape.rows; ++row) {
    affine.UnpackCodes(row, codes);
    affine.UnpackZeros(row, zeros);
    affine.UnpackScales(row, scales);
    for (size_t col = 0; col < weights.size(); ++col) {
      const size_t group = col / static_cast<size_t>(shape.group_size);
      weights[col] = static_cast<float>(codes[col] - zeros[group]) * scales[group];
    }
    while (const PackedView::Outlier* const outlier = outliers.NextOf(row)) {
      weights[static_cast<size_t>(outlier->col)] = HalfToFloat(outlier->half);
    }
    GWQ_RETURN_IF_ERROR(visit(row, weights));
  }
  return absl::OkStatus();
}

constexpr std::array<char, 8> kMagic = {'G', 'W', 'Q', 'P', 'A', 'C', 'K', '1'};

}  // namespace

constinit const Format kAffine1 = {.tag = "affine",
                                   .version = 1,
                                   .magic = kMagic,
                                   .fields = kFields1,
                                   .check = CheckAffine,
                                   .layout = LayoutOfAffine,
                                   .encode = EncodeAffine,
                                   .open = OpenAffine,
                                   .for_each_outlier = ForEachOutlier,
                                   .for_each_row = ForEachRow};

// No tile counts if there are no outliers, and scales of 8 bits if asked for.
constinit const Format kAffine2 = {.tag = "affine",
                                   .version = 2,
                                   .magic = kMagic,
                                   .fields = kFields2,
                                   .check = CheckAffine,
                                   .layout = LayoutOfAffine,
                                   .encode = EncodeAffine,
                                   .open = OpenAffine,
                                   .for_each_outlier = ForEachOutlier,
                                   .for_each_row = ForEachRow};

}  // namespace gwq
