// The canonical stored form of a quantized matrix, whatever format it is stored in: its shape, its content before it is
// laid out, and a checked window on its bytes. core/format/format.h lists the formats; docs/packed-format.md describes
// each to the byte with a worked example. Backends repack a matrix when they load it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace gwq {

struct Format;
// Bits of a code: any number in this range.
inline constexpr int kLeastBits = 2;
inline constexpr int kMostBits = 8;

extern const Format kAffine1;  // version 1 of "affine"; see core/format/format.h

// What fixes every size: nothing here depends on the weights' values, so a plan knows the bytes before any gradient.
// A field that the format does not have stands at its default; core/format/format.h lists the fields.
struct PackedShape {
  int64_t rows = 0;         // output channels
  int64_t cols = 0;         // input channels
  int bits = 4;             // of a code, in [kLeastBits, kMostBits]
  int64_t group_size = 64;  // columns per group; the last group of a row may be shorter
  int64_t outliers = 0;     // weights kept in FP16
  int scale_bits = 16;      // of a group's scale: 16 (FP16), or 8 (a code against the row's scale) from version 2 on
  const Format* format = &kAffine1;  // never null; a row of the table

  [[nodiscard]] int64_t groups_per_row() const { return (cols + group_size - 1) / group_size; }

  // Row-major weights per outlier tile. 255 and not 256, so that a full tile's count and any index fit one byte.
  static constexpr int64_t kOutlierTile = 255;
  friend bool operator==(const PackedShape&, const PackedShape&) = default;
};

// INVALID_ARGUMENT naming the field: rows or cols below 1 or rows * cols above 2^40; a field that the format lacks and
// that is not at its default; what else the format refuses (affine: bits not in [2, 8]; group size not in
// [8, cols rounded up] or no multiple of 8; outliers not in [0, rows * cols]; scale bits other than 16, or 8 in
// version 2).
[[nodiscard]] absl::Status CheckPackedShape(const PackedShape& shape);

// Byte offsets of the sections of a blob, all multiples of 64, in this order; a section that a format lacks has no
// bytes. Every format sets `total`.
// - header: 64 bytes, see core/format/packed_header.h
// - codes: per row a little-endian bit stream, code c at bits [c * bits, (c + 1) * bits), padded to a byte
// - scales: FP16 [rows, groups_per_row], or u8 codes of them where scale_bits is 8
// - row_scales: FP16 [rows], only where scale_bits is 8 (core/format/coded_scales.h)
// - zeros: per row a bit stream of zero points, padded to a byte
// - values: FP16 [outliers], in row-major order of their positions
// - counts: u8 [tiles], the outliers in each tile of 255 row-major weights
// - indices: u8 [outliers], the position inside the tile, strictly increasing within a tile
// A weight that is no outlier is (code - zero) * scale; an outlier's slot holds the zero point's code and its weight is
// the value.
struct PackedLayout {
  uint64_t codes = 0, scales = 0, row_scales = 0, zeros = 0, values = 0, counts = 0, indices = 0;
  uint64_t total = 0;        // size of the blob
  uint64_t code_stride = 0;  // bytes of codes per row
  uint64_t zero_stride = 0;  // bytes of zero points per row
  int64_t tiles = 0;         // that are counted: all, or none if version 2 has no outliers
};
// `shape` must pass CheckPackedShape.
[[nodiscard]] PackedLayout LayoutOf(const PackedShape& shape);

// A checked window on a packed blob of any format; does not own it. Its parts are read by the format's own view
// (core/format/affine_view.h).
class PackedView {
 public:
  // Finds the format by the first bytes and checks all that it demands. DATA_LOSS names what is wrong, also an unknown
  // format.
  [[nodiscard]] static absl::StatusOr<PackedView> Open(std::span<const std::byte> bytes);
  // The same for a format that is known. `format` must outlive the view.
  [[nodiscard]] static absl::StatusOr<PackedView> OpenAs(const Format& format, std::span<const std::byte> bytes);

  [[nodiscard]] const PackedShape& shape() const { return shape_; }
  [[nodiscard]] const Format& format() const { return *shape_.format; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  struct Outlier {
    int64_t row;
    int64_t col;
    uint16_t half;  // FP16 bits
  };
  // Weights that are stored beside the codes, in row-major order; none if the format has none.
  void ForEachOutlier(absl::FunctionRef<void(const Outlier&)> visit) const;
  // The weights of each row in order, cols of them: dequantized codes with the outliers written over them. The first
  // error that `visit` returns ends the walk.
  [[nodiscard]] absl::Status ForEachRow(
      absl::FunctionRef<absl::Status(int64_t row, std::span<const float> weights)> visit) const;
  // The dense matrix, row-major. `out` has rows * cols floats.
  void DequantizeAll(std::span<float> out) const;

 private:
  std::span<const std::byte> bytes_;
  PackedShape shape_;
};

// Quantized content before it is laid out, for every format: a format takes the parts that it has and refuses others.
// affine: codes, rows * cols; zeros, rows * groups_per_row; scales (FP16 bits), rows * groups_per_row, or with
// scale_bits 8 instead scale_codes, rows * groups_per_row, and row_scales (FP16 bits), rows; outliers in strictly
// increasing flat (row-major) positions.
struct PackedContent {
  PackedShape shape;
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<uint8_t> zeros;
  std::vector<int64_t> outlier_positions;
  std::vector<uint16_t> outlier_values;
  std::vector<uint8_t> scale_codes;
  std::vector<uint16_t> row_scales;
};
// The canonical bytes: the same content gives the same bytes. INVALID_ARGUMENT if sizes, ranges or order are off.
[[nodiscard]] absl::StatusOr<std::vector<std::byte>> EncodePacked(const PackedContent& content);

}  // namespace gwq
