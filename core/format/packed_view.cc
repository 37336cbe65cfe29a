#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/status.h"
#include "core/base/tensor_view.h"
#include "core/format/bit_stream.h"
#include "core/format/packed_header.h"
#include "core/format/packed_matrix.h"

namespace gwq {
namespace {

absl::Status Broken(std::string_view what) { return absl::DataLossError(fmt::format("packed matrix: {}", what)); }

uint16_t ReadHalf(std::span<const std::byte> bytes, uint64_t offset) {
  uint16_t bits;
  std::memcpy(&bits, bytes.data() + offset, sizeof(bits));
  return bits;
}

absl::StatusOr<PackedShape> ReadShape(std::span<const std::byte> bytes) {
  PackedHeader header;
  if (bytes.size() < sizeof(header)) {
    return Broken(fmt::format("{} bytes, the header alone has {}", bytes.size(), sizeof(header)));
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kPackedMagic) return Broken("does not begin with GWQPACK1");
  if (header.version != kPackedVersion) {
    return Broken(fmt::format("version {}, this program reads {}", header.version, kPackedVersion));
  }
  if (header.zeros != decltype(header.zeros){}) return Broken("the header's last 16 bytes are not zero");
  // Any of these fits int64_t once it is below 2^40, which CheckPackedShape demands of their products.
  constexpr uint64_t kLimit = uint64_t{1} << 41;
  if (header.bits > 8 || header.rows > kLimit || header.cols > kLimit || header.group_size > kLimit ||
      header.outliers > kLimit) {
    return Broken("a size in the header is out of range");
  }
  PackedShape shape{static_cast<int64_t>(header.rows), static_cast<int64_t>(header.cols), static_cast<int>(header.bits),
                    static_cast<int64_t>(header.group_size), static_cast<int64_t>(header.outliers)};
  if (absl::Status status = CheckPackedShape(shape); !status.ok()) return Broken(MessageOf(status));
  return shape;
}

absl::Status CheckZeroBytes(std::span<const std::byte> bytes, uint64_t begin, uint64_t end) {
  for (uint64_t i = begin; i < end; ++i) {
    if (bytes[i] != std::byte{0}) return Broken(fmt::format("padding byte {} is not zero", i));
  }
  return absl::OkStatus();
}

absl::Status CheckPadding(std::span<const std::byte> bytes, const PackedShape& shape, const PackedLayout& layout) {
  const auto rows = static_cast<uint64_t>(shape.rows);
  const auto groups = static_cast<uint64_t>(shape.groups_per_row());
  const auto outliers = static_cast<uint64_t>(shape.outliers);
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.codes + rows * layout.code_stride, layout.scales));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.scales + rows * groups * 2, layout.zeros));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.zeros + rows * layout.zero_stride, layout.values));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.values + outliers * 2, layout.counts));
  GWQ_RETURN_IF_ERROR(
      CheckZeroBytes(bytes, layout.counts + static_cast<uint64_t>(shape.outlier_tiles()), layout.indices));
  GWQ_RETURN_IF_ERROR(CheckZeroBytes(bytes, layout.indices + outliers, layout.total));
  for (uint64_t row = 0; row < rows; ++row) {
    const auto codes = bytes.subspan(layout.codes + row * layout.code_stride, layout.code_stride);
    const auto zeros = bytes.subspan(layout.zeros + row * layout.zero_stride, layout.zero_stride);
    if (!TailIsZero(codes, shape.bits, static_cast<uint64_t>(shape.cols)) || !TailIsZero(zeros, shape.bits, groups)) {
      return Broken(fmt::format("bits after the codes or zero points of row {} are not zero", row));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckScales(std::span<const std::byte> bytes, const PackedShape& shape, const PackedLayout& layout) {
  const auto count = static_cast<uint64_t>(shape.rows * shape.groups_per_row());
  for (uint64_t i = 0; i < count; ++i) {
    if ((ReadHalf(bytes, layout.scales + 2 * i) & 0x7c00u) == 0x7c00u) {
      return Broken(fmt::format("scale {} is not finite", i));
    }
  }
  return absl::OkStatus();
}

// Counts add up to the outliers; indices increase within each tile and stay inside it.
absl::Status CheckTiles(std::span<const std::byte> bytes, const PackedShape& shape, const PackedLayout& layout) {
  const int64_t weights = shape.rows * shape.cols;
  int64_t next = 0;
  for (int64_t tile = 0; tile < shape.outlier_tiles(); ++tile) {
    const int64_t size = std::min(PackedShape::kOutlierTile, weights - tile * PackedShape::kOutlierTile);
    const auto count = std::to_integer<int64_t>(bytes[layout.counts + static_cast<uint64_t>(tile)]);
    if (count > size) return Broken(fmt::format("tile {} counts {} outliers, it has {} weights", tile, count, size));
    if (count > shape.outliers - next) return Broken(fmt::format("tiles count more than {} outliers", shape.outliers));
    int64_t previous = -1;
    for (int64_t i = 0; i < count; ++i, ++next) {
      const auto index = std::to_integer<int64_t>(bytes[layout.indices + static_cast<uint64_t>(next)]);
      if (index <= previous || index >= size) {
        return Broken(fmt::format("index {} after {} in tile {} of {} weights", index, previous, tile, size));
      }
      previous = index;
    }
  }
  if (next != shape.outliers) return Broken(fmt::format("tiles count {} of {} outliers", next, shape.outliers));
  return absl::OkStatus();
}

absl::Status CheckSlots(const PackedView& view) {
  int64_t wrong = -1;
  const PackedShape& shape = view.shape();
  view.ForEachOutlier([&](const PackedView::Outlier& outlier) {
    if (view.code(outlier.row, outlier.col) != view.zero(outlier.row, outlier.col / shape.group_size)) {
      wrong = outlier.row * shape.cols + outlier.col;
    }
  });
  if (wrong < 0) return absl::OkStatus();
  return Broken(fmt::format("the slot of the outlier at position {} does not hold its zero point", wrong));
}

}  // namespace

absl::StatusOr<PackedView> PackedView::Open(std::span<const std::byte> bytes) {
  PackedView view;
  GWQ_ASSIGN_OR_RETURN(view.shape_, ReadShape(bytes));
  view.layout_ = LayoutOf(view.shape_);
  if (bytes.size() != view.layout_.total) {
    return Broken(fmt::format("{} bytes, its header asks for {}", bytes.size(), view.layout_.total));
  }
  view.bytes_ = bytes;
  GWQ_RETURN_IF_ERROR(CheckPadding(bytes, view.shape_, view.layout_));
  GWQ_RETURN_IF_ERROR(CheckScales(bytes, view.shape_, view.layout_));
  GWQ_RETURN_IF_ERROR(CheckTiles(bytes, view.shape_, view.layout_));
  GWQ_RETURN_IF_ERROR(CheckSlots(view));
  return view;
}

std::span<const std::byte> PackedView::codes_of_row(int64_t row) const {
  return bytes_.subspan(layout_.codes + static_cast<uint64_t>(row) * layout_.code_stride, layout_.code_stride);
}

uint32_t PackedView::code(int64_t row, int64_t col) const {
  return ReadCode(codes_of_row(row), shape_.bits, static_cast<uint64_t>(col));
}

uint32_t PackedView::zero(int64_t row, int64_t group) const {
  const auto zeros =
      bytes_.subspan(layout_.zeros + static_cast<uint64_t>(row) * layout_.zero_stride, layout_.zero_stride);
  return ReadCode(zeros, shape_.bits, static_cast<uint64_t>(group));
}

float PackedView::scale(int64_t row, int64_t group) const {
  return HalfToFloat(
      ReadHalf(bytes_, layout_.scales + static_cast<uint64_t>(row * shape_.groups_per_row() + group) * 2));
}

uint16_t PackedView::value(int64_t i) const { return ReadHalf(bytes_, layout_.values + static_cast<uint64_t>(i) * 2); }

void PackedView::UnpackCodes(int64_t row, std::span<uint8_t> out) const {
  ReadBitStream(codes_of_row(row), shape_.bits, out);
}

void PackedView::UnpackZeros(int64_t row, std::span<uint8_t> out) const {
  ReadBitStream(bytes_.subspan(layout_.zeros + static_cast<uint64_t>(row) * layout_.zero_stride, layout_.zero_stride),
                shape_.bits, out);
}

void PackedView::UnpackScales(int64_t row, std::span<float> out) const {
  for (size_t group = 0; group < out.size(); ++group) out[group] = scale(row, static_cast<int64_t>(group));
}

void PackedView::DequantizeAll(std::span<float> out) const {
  const int64_t groups = shape_.groups_per_row();
  std::vector<uint8_t> codes(static_cast<size_t>(shape_.cols));
  std::vector<uint8_t> zeros(static_cast<size_t>(groups));
  std::vector<float> scales(static_cast<size_t>(groups));
  for (int64_t row = 0; row < shape_.rows; ++row) {
    UnpackCodes(row, codes);
    UnpackZeros(row, zeros);
    UnpackScales(row, scales);
    float* to = out.data() + row * shape_.cols;
    for (int64_t col = 0; col < shape_.cols; ++col) {
      const auto group = static_cast<size_t>(col / shape_.group_size);
      to[col] = static_cast<float>(codes[static_cast<size_t>(col)] - zeros[group]) * scales[group];
    }
  }
  ForEachOutlier([&](const Outlier& outlier) {
    out[static_cast<size_t>(outlier.row * shape_.cols + outlier.col)] = HalfToFloat(outlier.half);
  });
}

}  // namespace gwq
