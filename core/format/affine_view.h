// Reads the parts of a matrix in the format "affine": codes on a grid of scales and zero points, and sparse outliers.
#pragma once

#include "core/format/packed_matrix.h"

namespace gwq {

class AffineView {
 public:
  // INTERNAL if `view` is of another format.
  [[nodiscard]] static absl::StatusOr<AffineView> Of(const PackedView& view);
  // `bytes` are laid out as `shape` says and outlive the view.
  AffineView(std::span<const std::byte> bytes, const PackedShape& shape)
      : bytes_(bytes), shape_(shape), layout_(LayoutOf(shape)) {}

  [[nodiscard]] const PackedShape& shape() const { return shape_; }
  [[nodiscard]] const PackedLayout& layout() const { return layout_; }
  [[nodiscard]] uint32_t code(int64_t row, int64_t col) const;
  [[nodiscard]] uint32_t zero(int64_t row, int64_t group) const;
  // As the weights are multiplied by it, whatever scale_bits is.
  [[nodiscard]] float scale(int64_t row, int64_t group) const;
  // As stored. FP16 bits, where scale_bits is 16; a code and the FP16 bits of the row's scale, where it is 8.
  [[nodiscard]] uint16_t half_scale(int64_t row, int64_t group) const;
  [[nodiscard]] uint8_t scale_code(int64_t row, int64_t group) const;
  [[nodiscard]] uint16_t row_scale(int64_t row) const;

  [[nodiscard]] std::span<const std::byte> codes_of_row(int64_t row) const;
  [[nodiscard]] std::span<const std::byte> zeros_of_row(int64_t row) const;
  // Unpacks codes of one row, cols of them; zero points and scales of one row, groups_per_row() of them.
  void UnpackCodes(int64_t row, std::span<uint8_t> out) const;
  void UnpackZeros(int64_t row, std::span<uint8_t> out) const;
  void UnpackScales(int64_t row, std::span<float> out) const;

  [[nodiscard]] int tile_count(int64_t tile) const;
  [[nodiscard]] int tile_index(int64_t outlier) const;
  [[nodiscard]] uint16_t value(int64_t outlier) const;  // FP16 bits
  void ForEachOutlier(absl::FunctionRef<void(const PackedView::Outlier&)> visit) const;

  // Goes through the outliers of rows that are asked for in order.
  class OutlierCursor {
   public:
    explicit OutlierCursor(const AffineView& view) : view_(view) {}
    // The next one if it stands in `row`. Null otherwise, also past the last one.
    [[nodiscard]] const PackedView::Outlier* NextOf(int64_t row);

   private:
    bool Advance();

    const AffineView& view_;
    PackedView::Outlier current_ = {-1, 0, 0};
    bool taken_ = true;  // `current_` was returned
    int64_t next_ = 0;   // outlier
    int64_t tile_ = -1;
    int64_t tile_end_ = 0;  // the first outlier of the next tile
  };

 private:
  [[nodiscard]] uint16_t HalfAt(uint64_t offset) const;
  [[nodiscard]] PackedView::Outlier OutlierAt(int64_t tile, int64_t outlier) const;

  std::span<const std::byte> bytes_;
  PackedShape shape_;
  PackedLayout layout_;
};

}  // namespace gwq
