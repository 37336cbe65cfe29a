#include "core/format/affine_view.h"

#include <cstring>

#include "core/base/status.h"
#include "core/base/tensor_view.h"
#include "core/format/bit_stream.h"
#include "core/format/coded_scales.h"
#include "core/format/format.h"

namespace gwq {

absl::StatusOr<AffineView> AffineView::Of(const PackedView& view) {
  if (view.format().tag == kAffine1.tag) return AffineView(view.bytes(), view.shape());
  return absl::InternalError("the parts of an affine matrix were asked for, the matrix is " +
                             DescribeShape(view.shape()));
}

uint16_t AffineView::HalfAt(uint64_t offset) const {
  uint16_t bits;
  std::memcpy(&bits, bytes_.data() + offset, sizeof(bits));
  return bits;
}

std::span<const std::byte> AffineView::codes_of_row(int64_t row) const {
  return bytes_.subspan(layout_.codes + static_cast<uint64_t>(row) * layout_.code_stride, layout_.code_stride);
}

std::span<const std::byte> AffineView::zeros_of_row(int64_t row) const {
  return bytes_.subspan(layout_.zeros + static_cast<uint64_t>(row) * layout_.zero_stride, layout_.zero_stride);
}

uint32_t AffineView::code(int64_t row, int64_t col) const {
  return ReadCode(codes_of_row(row), shape_.bits, static_cast<uint64_t>(col));
}

uint32_t AffineView::zero(int64_t row, int64_t group) const {
  return ReadCode(zeros_of_row(row), shape_.bits, static_cast<uint64_t>(group));
}

uint16_t AffineView::half_scale(int64_t row, int64_t group) const {
  return HalfAt(layout_.scales + static_cast<uint64_t>(row * shape_.groups_per_row() + group) * sizeof(uint16_t));
}

uint8_t AffineView::scale_code(int64_t row, int64_t group) const {
  return std::to_integer<uint8_t>(
      bytes_[layout_.scales + static_cast<uint64_t>(row * shape_.groups_per_row() + group)]);
}

uint16_t AffineView::row_scale(int64_t row) const {
  return HalfAt(layout_.row_scales + static_cast<uint64_t>(row) * sizeof(uint16_t));
}

float AffineView::scale(int64_t row, int64_t group) const {
  if (shape_.scale_bits == 8) return CodedScale(scale_code(row, group), row_scale(row));
  return HalfToFloat(half_scale(row, group));
}

void AffineView::UnpackCodes(int64_t row, std::span<uint8_t> out) const {
  ReadBitStream(codes_of_row(row), shape_.bits, out);
}

void AffineView::UnpackZeros(int64_t row, std::span<uint8_t> out) const {
  ReadBitStream(zeros_of_row(row), shape_.bits, out);
}

void AffineView::UnpackScales(int64_t row, std::span<float> out) const {
  for (size_t group = 0; group < out.size(); ++group) out[group] = scale(row, static_cast<int64_t>(group));
}

int AffineView::tile_count(int64_t tile) const {
  return std::to_integer<int>(bytes_[layout_.counts + static_cast<uint64_t>(tile)]);
}

int AffineView::tile_index(int64_t outlier) const {
  return std::to_integer<int>(bytes_[layout_.indices + static_cast<uint64_t>(outlier)]);
}

uint16_t AffineView::value(int64_t outlier) const {
  return HalfAt(layout_.values + static_cast<uint64_t>(outlier) * sizeof(uint16_t));
}

PackedView::Outlier AffineView::OutlierAt(int64_t tile, int64_t outlier) const {
  const int64_t flat = tile * PackedShape::kOutlierTile + tile_index(outlier);
  return {flat / shape_.cols, flat % shape_.cols, value(outlier)};
}

void AffineView::ForEachOutlier(absl::FunctionRef<void(const PackedView::Outlier&)> visit) const {
  int64_t next = 0;
  for (int64_t tile = 0; tile < layout_.tiles; ++tile) {
    for (int i = 0; i < tile_count(tile); ++i, ++next) visit(OutlierAt(tile, next));
  }
}

bool AffineView::OutlierCursor::Advance() {
  while (next_ == tile_end_) {
    if (++tile_ >= view_.layout_.tiles) return false;
    tile_end_ += view_.tile_count(tile_);
  }
  current_ = view_.OutlierAt(tile_, next_++);
  return true;
}

const PackedView::Outlier* AffineView::OutlierCursor::NextOf(int64_t row) {
  if (taken_ && !Advance()) return nullptr;
  taken_ = current_.row == row;
  return taken_ ? &current_ : nullptr;
}

}  // namespace gwq
