#include <fmt/format.h>

#include "core/base/status.h"
#include "core/format/bit_stream.h"
#include "core/format/packed_header.h"
#include "core/format/packed_matrix.h"

namespace gwq {
namespace {

constexpr int64_t kMaxWeights = int64_t{1} << 40;

constexpr uint64_t AlignSection(uint64_t offset) { return (offset + 63) / 64 * 64; }

}  // namespace

absl::Status CheckPackedShape(const PackedShape& shape) {
  if (shape.bits != 2 && shape.bits != 3 && shape.bits != 4 && shape.bits != 8) {
    return InvalidField("bits", fmt::format("{} is not a packed width; use 2, 3, 4 or 8", shape.bits));
  }
  if (shape.rows < 1 || shape.rows > kMaxWeights) {
    return InvalidField("rows", fmt::format("{} is outside [1, 2^40]", shape.rows));
  }
  if (shape.cols < 1 || shape.cols > kMaxWeights / shape.rows) {
    return InvalidField("cols", fmt::format("{} with {} rows: a matrix has 1 to 2^40 weights", shape.cols, shape.rows));
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
  return absl::OkStatus();
}

PackedLayout LayoutOf(const PackedShape& shape) {
  const auto rows = static_cast<uint64_t>(shape.rows);
  const auto groups = static_cast<uint64_t>(shape.groups_per_row());
  const auto outliers = static_cast<uint64_t>(shape.outliers);
  PackedLayout layout;
  layout.code_stride = BitStreamBytes(static_cast<uint64_t>(shape.cols), shape.bits);
  layout.zero_stride = BitStreamBytes(groups, shape.bits);
  layout.codes = sizeof(PackedHeader);
  layout.scales = AlignSection(layout.codes + rows * layout.code_stride);
  layout.zeros = AlignSection(layout.scales + rows * groups * sizeof(uint16_t));
  layout.values = AlignSection(layout.zeros + rows * layout.zero_stride);
  layout.counts = AlignSection(layout.values + outliers * sizeof(uint16_t));
  layout.indices = AlignSection(layout.counts + static_cast<uint64_t>(shape.outlier_tiles()));
  layout.total = AlignSection(layout.indices + outliers);
  return layout;
}

}  // namespace gwq
