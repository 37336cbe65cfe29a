// The content of an affine matrix as its view tells it: what EncodePacked takes back.
#pragma once

#include "core/format/affine_view.h"

namespace gwq::testing {

inline PackedContent ReadContent(const PackedView& packed) {
  const AffineView view(packed.bytes(), packed.shape());
  const PackedShape& shape = packed.shape();
  PackedContent content;
  content.shape = shape;
  std::vector<uint8_t> codes(static_cast<size_t>(shape.cols));
  std::vector<uint8_t> zeros(static_cast<size_t>(shape.groups_per_row()));
  for (int64_t row = 0; row < shape.rows; ++row) {
    view.UnpackCodes(row, codes);
    view.UnpackZeros(row, zeros);
    content.codes.insert(content.codes.end(), codes.begin(), codes.end());
    content.zeros.insert(content.zeros.end(), zeros.begin(), zeros.end());
    for (int64_t group = 0; group < shape.groups_per_row(); ++group) {
      if (shape.scale_bits == 8) {
        content.scale_codes.push_back(view.scale_code(row, group));
      } else {
        content.scales.push_back(view.half_scale(row, group));
      }
    }
    if (shape.scale_bits == 8) content.row_scales.push_back(view.row_scale(row));
  }
  packed.ForEachOutlier([&](const PackedView::Outlier& outlier) {
    content.outlier_positions.push_back(outlier.row * shape.cols + outlier.col);
    content.outlier_values.push_back(outlier.half);
  });
  return content;
}

}  // namespace gwq::testing
