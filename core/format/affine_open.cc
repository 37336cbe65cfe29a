#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/status.h"
#include "core/format/affine.h"
#include "core/format/affine_view.h"
#include "core/format/bit_stream.h"
#include "core/format/packed_header.h"

namespace gwq {
namespace {

// Version 1 has zeros where version 2 has the width of its scales.
absl::Status CheckTail(const Format& format, const AffineHeader& header) {
  const bool first = &format == &kAffine1;
  if (header.zeros == decltype(header.zeros){} && (!first || header.scale_bits == 0)) return absl::OkStatus();
  return BrokenMatrix(fmt::format("the header's last {} bytes are not zero", first ? 16 : 12));
}

absl::StatusOr<PackedShape> ReadShape(const Format& format, std::span<const std::byte> bytes) {
  AffineHeader header;
  if (bytes.size() < sizeof(header)) {
    return BrokenMatrix(fmt::format("{} bytes, the header alone has {}", bytes.size(), sizeof(header)));
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != format.magic || header.version != static_cast<uint32_t>(format.version)) {
    return BrokenMatrix(fmt::format("does not begin as {} does", FormatName(format)));
  }
  GWQ_RETURN_IF_ERROR(CheckTail(format, header));
  // Any of these fits int64_t once it is below 2^40, which CheckPackedShape demands of their products.
  constexpr uint64_t kLimit = uint64_t{1} << 41;
  if (header.bits > 8 || header.scale_bits > 16 || header.rows > kLimit || header.cols > kLimit ||
      header.group_size > kLimit || header.outliers > kLimit) {
    return BrokenMatrix("a size in the header is out of range");
  }
  PackedShape shape{.rows = static_cast<int64_t>(header.rows),
                    .cols = static_cast<int64_t>(header.cols),
                    .bits = static_cast<int>(header.bits),
                    .group_size = static_cast<int64_t>(header.group_size),
                    .outliers = static_cast<int64_t>(header.outliers),
                    .format = &format};
  if (&format != &kAffine1) shape.scale_bits = static_cast<int>(header.scale_bits);
  if (absl::Status status = CheckPackedShape(shape); !status.ok()) return BrokenMatrix(MessageOf(status));
  return shape;
}

absl::Status CheckZeroBytes(std::span<const std::byte> bytes, uint64_t begin, uint64_t end) {
  for (uint64_t i = begin; i < end; ++i) {
    if (bytes[i] != std::byte{0}) return BrokenMatrix(fmt::format("padding byte {} is not zero", i));
  }
  return absl::OkStatus();
}

absl::Status CheckPadding(std::span<const std::byte> bytes, const AffineView& view) {
  const PackedShape& shape = view.shape();
  const PackedLayout& layout = view.layout();
  const auto rows = static_cast<uint64_t>(shape.rows);
  const auto groups = static_cast<uint64_t>(shape.groups_per_row());
  const auto outliers = static_cast<uint64_t>(shape.outliers);
  const bool coded = shape.scale_bits == 8;
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.codes + rows * layout.code_stride, layout.scales));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.scales + rows * groups * (coded ? 1 : 2), layout.row_scales));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.row_scales + (coded ? rows * 2 : 0), layout.zeros));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.zeros + rows * layout.zero_stride, layout.values));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.values + outliers * 2, layout.counts));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.counts + static_cast<uint64_t>(layout.tiles), layout.indices));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.indices + outliers, layout.total));
  for (int64_t row = 0; row < shape.rows; ++row) {
    if (!TailIsZero(view.codes_of_row(row), shape.bits, static_cast<uint64_t>(shape.cols)) ||
        !TailIsZero(view.zeros_of_row(row), shape.bits, groups)) {
      return BrokenMatrix(fmt::format("bits after the codes or zero points of row {} are not zero", row));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHalfScales(const AffineView& view) {
  const PackedShape& shape = view.shape();
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t group = 0; group < shape.groups_per_row(); ++group) {
      if (IsFiniteHalf(view.half_scale(row, group))) continue;
      return BrokenMatrix(fmt::format("scale {} is not finite", row * shape.groups_per_row() + group));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCodedScales(const AffineView& view) {
  const PackedShape& shape = view.shape();
  for (int64_t row = 0; row < shape.rows; ++row) {
    if (!IsPositiveHalf(view.row_scale(row))) {
      return BrokenMatrix(fmt::format("the scale of row {} is not a positive finite number", row));
    }
    for (int64_t group = 0; group < shape.groups_per_row(); ++group) {
      if (view.scale_code(row, group) != 0) continue;
      return BrokenMatrix(fmt::format("the code of scale {} is 0", row * shape.groups_per_row() + group));
    }
  }
  return absl::OkStatus();
}

// Counts add up to the outliers; indices increase within each tile and stay inside it.
absl::Status CheckTiles(const AffineView& view) {
  const PackedShape& shape = view.shape();
  const int64_t weights = shape.rows * shape.cols;
  int64_t next = 0;
  for (int64_t tile = 0; tile < view.layout().tiles; ++tile) {
    const int64_t size = std::min(PackedShape::kOutlierTile, weights - tile * PackedShape::kOutlierTile);
    const int64_t count = view.tile_count(tile);
    if (count > size)
      return BrokenMatrix(fmt::format("tile {} counts {} outliers, it has {} weights", tile, count, size));
    if (count > shape.outliers - next)
      return BrokenMatrix(fmt::format("tiles count more than {} outliers", shape.outliers));
    int64_t previous = -1;
    for (int64_t i = 0; i < count; ++i, ++next) {
      const int64_t index = view.tile_index(next);
      if (index <= previous || index >= size) {
        return BrokenMatrix(fmt::format("index {} after {} in tile {} of {} weights", index, previous, tile, size));
      }
      previous = index;
    }
  }
  if (next != shape.outliers) return BrokenMatrix(fmt::format("tiles count {} of {} outliers", next, shape.outliers));
  return absl::OkStatus();
}

absl::Status CheckSlots(const AffineView& view) {
  int64_t wrong = -1;
  const PackedShape& shape = view.shape();
  view.ForEachOutlier([&](const PackedView::Outlier& outlier) {
    if (view.code(outlier.row, outlier.col) != view.zero(outlier.row, outlier.col / shape.group_size)) {
      wrong = outlier.row * shape.cols + outlier.col;
    }
  });
  if (wrong < 0) return absl::OkStatus();
  return BrokenMatrix(fmt::format("the slot of the outlier at position {} does not hold its zero point", wrong));
}

}  // namespace

absl::StatusOr<PackedShape> OpenAffine(const Format& format, std::span<const std::byte> bytes) {
  GWQ_ASSIGN_OR_RETURN(const PackedShape shape, ReadShape(format, bytes));
  const AffineView view(bytes, shape);
  if (bytes.size() != view.layout().total) {
    return BrokenMatrix(fmt::format("{} bytes, its header asks for {}", bytes.size(), view.layout().total));
  }
  GWQ_RETURN_IF_ERROR(CheckPadding(bytes, view));
  GWQ_RETURN_IF_ERROR(shape.scale_bits == 8 ? CheckCodedScales(view) : CheckHalfScales(view));
  GWQ_RETURN_IF_ERROR(CheckTiles(view));
  GWQ_RETURN_IF_ERROR(CheckSlots(view));
  return shape;
}

}  // namespace gwq
