#include <fmt/format.h>

#include "core/base/status.h"
#include "core/format/affine.h"
#include "core/format/bit_stream.h"
#include "core/format/packed_header.h"

namespace gwq {
namespace {

absl::Status CheckScaleBits(const PackedShape& shape) {
  switch (shape.scale_bits) {
    case 8:
    case 16:
      return absl::OkStatus();
    default:
      return InvalidField(
          "scale_bits", fmt::format("{} is not a width of a scale; use 16 (FP16) or 8 (a code against the row's scale)",
                                    shape.scale_bits));
  }
}

}  // namespace

absl::Status CheckAffine(const PackedShape& shape) {
  if (shape.bits < kLeastBits || shape.bits > kMostBits) {
    return InvalidField("bits",
                        fmt::format("{} is not a packed width; use {} to {}", shape.bits, kLeastBits, kMostBits));
  }
  const int64_t longest = (shape.cols + 7) / 8 * 8;
  if (shape.group_size < 8 || shape.group_size > longest || shape.group_size % 8 != 0) {
    return InvalidField("group_size", fmt::format("{} is not a multiple of 8 in [8, {}], the columns rounded up",
                                                  shape.group_size, longest));
  }
  if (shape.outliers < 0 || shape.outliers > shape.rows * shape.cols) {
    return InvalidField("outliers", fmt::format("{} is outside [0, {}], the weights of the matrix", shape.outliers,
                                                shape.rows * shape.cols));
  }
  return CheckScaleBits(shape);
}

PackedLayout LayoutOfAffine(const PackedShape& shape) {
  const auto rows = static_cast<uint64_t>(shape.rows);
  const auto groups = static_cast<uint64_t>(shape.groups_per_row());
  const auto outliers = static_cast<uint64_t>(shape.outliers);
  const bool coded = shape.scale_bits == 8;
  PackedLayout layout;
  // Version 1 counts the tiles of a matrix without outliers too.
  const bool counted = shape.outliers > 0 || shape.format == &kAffine1;
  layout.tiles = counted ? (shape.rows * shape.cols + PackedShape::kOutlierTile - 1) / PackedShape::kOutlierTile : 0;
  layout.code_stride = BitStreamBytes(static_cast<uint64_t>(shape.cols), shape.bits);
  layout.zero_stride = BitStreamBytes(groups, shape.bits);
  layout.codes = sizeof(AffineHeader);
  layout.scales = AlignSection(layout.codes + rows * layout.code_stride);
  layout.row_scales = AlignSection(layout.scales + rows * groups * (coded ? sizeof(uint8_t) : sizeof(uint16_t)));
  layout.zeros = AlignSection(layout.row_scales + (coded ? rows * sizeof(uint16_t) : 0));
  layout.values = AlignSection(layout.zeros + rows * layout.zero_stride);
  layout.counts = AlignSection(layout.values + outliers * sizeof(uint16_t));
  layout.indices = AlignSection(layout.counts + static_cast<uint64_t>(layout.tiles));
  layout.total = AlignSection(layout.indices + outliers);
  return layout;
}

}  // namespace gwq
