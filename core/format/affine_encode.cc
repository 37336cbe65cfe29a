#include <fmt/format.h>

#include <cstring>

#include "core/base/status.h"
#include "core/format/affine.h"
#include "core/format/bit_stream.h"
#include "core/format/packed_header.h"

namespace gwq {
namespace {

absl::Status CheckSize(std::string_view field, size_t actual, int64_t expected) {
  if (actual == static_cast<size_t>(expected)) return absl::OkStatus();
  return InvalidField(field, fmt::format("{} elements, the shape has {}", actual, expected));
}

absl::Status CheckCodes(std::string_view field, std::span<const uint8_t> codes, int bits) {
  const uint32_t top = (1u << bits) - 1;
  for (size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] > top) {
      return InvalidField(fmt::format("{}[{}]", field, i), fmt::format("{} exceeds {}, the top code", codes[i], top));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOutliers(const PackedContent& content) {
  const PackedShape& shape = content.shape;
  int64_t previous = -1;
  for (size_t i = 0; i < content.outlier_positions.size(); ++i) {
    const int64_t flat = content.outlier_positions[i];
    const std::string field = fmt::format("outlier_positions[{}]", i);
    if (flat <= previous || flat >= shape.rows * shape.cols) {
      return InvalidField(field, fmt::format("{} after {}: positions increase strictly and stay below {}", flat,
                                             previous, shape.rows * shape.cols));
    }
    const int64_t group = flat / shape.cols * shape.groups_per_row() + flat % shape.cols / shape.group_size;
    if (content.codes[static_cast<size_t>(flat)] != content.zeros[static_cast<size_t>(group)]) {
      return InvalidField(
          field, fmt::format("position {} holds code {}, an outlier's slot holds the zero point {}", flat,
                             content.codes[static_cast<size_t>(flat)], content.zeros[static_cast<size_t>(group)]));
    }
    previous = flat;
  }
  return absl::OkStatus();
}

absl::Status CheckHalfScales(const PackedContent& content) {
  const PackedShape& shape = content.shape;
  GWQ_RETURN_IF_ERROR(CheckSize("scales", content.scales.size(), shape.rows * shape.groups_per_row()));
  GWQ_RETURN_IF_ERROR(CheckSize("scale_codes", content.scale_codes.size(), 0));
  GWQ_RETURN_IF_ERROR(CheckSize("row_scales", content.row_scales.size(), 0));
  for (size_t i = 0; i < content.scales.size(); ++i) {
    if (!IsFiniteHalf(content.scales[i])) {
      return InvalidField(fmt::format("scales[{}]", i), "is not finite; the group's range overflows FP16");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCodedScales(const PackedContent& content) {
  const PackedShape& shape = content.shape;
  GWQ_RETURN_IF_ERROR(CheckSize("scales", content.scales.size(), 0));
  GWQ_RETURN_IF_ERROR(CheckSize("scale_codes", content.scale_codes.size(), shape.rows * shape.groups_per_row()));
  GWQ_RETURN_IF_ERROR(CheckSize("row_scales", content.row_scales.size(), shape.rows));
  for (size_t i = 0; i < content.scale_codes.size(); ++i) {
    if (content.scale_codes[i] == 0) return InvalidField(fmt::format("scale_codes[{}]", i), "0 is outside [1, 255]");
  }
  for (size_t i = 0; i < content.row_scales.size(); ++i) {
    if (!IsPositiveHalf(content.row_scales[i])) {
      return InvalidField(fmt::format("row_scales[{}]", i), "is not a positive finite FP16 number");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckContent(const PackedContent& content) {
  const PackedShape& shape = content.shape;
  GWQ_RETURN_IF_ERROR(CheckSize("codes", content.codes.size(), shape.rows * shape.cols));
  GWQ_RETURN_IF_ERROR(CheckSize("zeros", content.zeros.size(), shape.rows * shape.groups_per_row()));
  GWQ_RETURN_IF_ERROR(CheckSize("outlier_positions", content.outlier_positions.size(), shape.outliers));
  GWQ_RETURN_IF_ERROR(CheckSize("outlier_values", content.outlier_values.size(), shape.outliers));
  GWQ_RETURN_IF_ERROR(CheckCodes("codes", content.codes, shape.bits));
  GWQ_RETURN_IF_ERROR(CheckCodes("zeros", content.zeros, shape.bits));
  GWQ_RETURN_IF_ERROR(shape.scale_bits == 8 ? CheckCodedScales(content) : CheckHalfScales(content));
  return CheckOutliers(content);
}

AffineHeader HeaderOf(const PackedShape& shape) {
  AffineHeader header;
  header.magic = shape.format->magic;
  header.version = static_cast<uint32_t>(shape.format->version);
  header.bits = static_cast<uint32_t>(shape.bits);
  header.rows = static_cast<uint64_t>(shape.rows);
  header.cols = static_cast<uint64_t>(shape.cols);
  header.group_size = static_cast<uint64_t>(shape.group_size);
  header.outliers = static_cast<uint64_t>(shape.outliers);
  if (shape.format != &kAffine1) header.scale_bits = static_cast<uint32_t>(shape.scale_bits);
  return header;
}

void WriteRows(std::span<const uint8_t> codes, int64_t rows, int64_t per_row, int bits, uint64_t stride,
               std::byte* out) {
  for (int64_t row = 0; row < rows; ++row) {
    WriteBitStream(codes.subspan(static_cast<size_t>(row * per_row), static_cast<size_t>(per_row)), bits,
                   {out + static_cast<uint64_t>(row) * stride, stride});
  }
}

template <class T>
void WriteAll(const std::vector<T>& values, std::byte* out) {
  if (!values.empty()) std::memcpy(out, values.data(), values.size() * sizeof(T));
}

}  // namespace

absl::StatusOr<std::vector<std::byte>> EncodeAffine(const PackedContent& content) {
  GWQ_RETURN_IF_ERROR(CheckContent(content));
  const PackedShape& shape = content.shape;
  const PackedLayout layout = LayoutOf(shape);
  std::vector<std::byte> blob(layout.total);
  const AffineHeader header = HeaderOf(shape);
  std::memcpy(blob.data(), &header, sizeof(header));
  WriteRows(content.codes, shape.rows, shape.cols, shape.bits, layout.code_stride, blob.data() + layout.codes);
  WriteAll(content.scales, blob.data() + layout.scales);
  WriteAll(content.scale_codes, blob.data() + layout.scales);
  WriteAll(content.row_scales, blob.data() + layout.row_scales);
  WriteRows(content.zeros, shape.rows, shape.groups_per_row(), shape.bits, layout.zero_stride,
            blob.data() + layout.zeros);
  WriteAll(content.outlier_values, blob.data() + layout.values);
  for (size_t i = 0; i < content.outlier_positions.size(); ++i) {
    const auto flat = static_cast<uint64_t>(content.outlier_positions[i]);
    std::byte& count = blob[layout.counts + flat / PackedShape::kOutlierTile];
    count = static_cast<std::byte>(std::to_integer<unsigned>(count) + 1);
    blob[layout.indices + i] = static_cast<std::byte>(flat % PackedShape::kOutlierTile);
  }
  return blob;
}

}  // namespace gwq
