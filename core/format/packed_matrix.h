// The canonical stored form of a quantized matrix: packed codes plus a sparse set of FP16 outliers.
// docs/packed-format.md describes it to the byte with a worked example; backends repack it when they load it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

// What fixes every size: nothing here depends on the weights' values, so a plan knows the bytes before any gradient.
struct PackedShape {
  int64_t rows = 0;         // output channels
  int64_t cols = 0;         // input channels
  int bits = 4;             // 2, 3, 4 or 8
  int64_t group_size = 64;  // columns per group; the last group of a row may be shorter
  int64_t outliers = 0;     // weights kept in FP16

  [[nodiscard]] int64_t groups_per_row() const { return (cols + group_size - 1) / group_size; }
  [[nodiscard]] int64_t outlier_tiles() const { return (rows * cols + kOutlierTile - 1) / kOutlierTile; }

  // Row-major weights per outlier tile. 255 and not 256, so that a full tile's count and any index fit one byte.
  static constexpr int64_t kOutlierTile = 255;
  friend bool operator==(const PackedShape&, const PackedShape&) = default;
};

// INVALID_ARGUMENT naming the field: bits not 2, 3, 4 or 8; group size not in [8, cols rounded up] or no multiple of 8;
// rows or cols below 1 or rows * cols above 2^40; outliers not in [0, rows * cols].
[[nodiscard]] absl::Status CheckPackedShape(const PackedShape& shape);

// Byte offsets of the sections of a blob, all multiples of 64. In order:
// - header: 64 bytes: magic "GWQPACK1"; little-endian u32 version, bits, u64 rows, cols, group_size, outliers; zeros
// - codes: per row a little-endian bit stream, code c at bits [c * bits, (c + 1) * bits), padded to a byte
// - scales: FP16 [rows, groups_per_row]; zeros: per row a bit stream of zero points, padded to a byte
// - values: FP16 [outliers], in row-major order of their positions
// - counts: u8 [outlier_tiles], the outliers in each tile of 255 row-major weights
// - indices: u8 [outliers], the position inside the tile, strictly increasing within a tile
// A weight that is no outlier is (code - zero) * scale; an outlier's slot holds the zero point's code and its weight is
// the value.
struct PackedLayout {
  uint64_t codes = 0, scales = 0, zeros = 0, values = 0, counts = 0, indices = 0;
  uint64_t total = 0;        // size of the blob
  uint64_t code_stride = 0;  // bytes of codes per row
  uint64_t zero_stride = 0;  // bytes of zero points per row
};
// `shape` must pass CheckPackedShape.
[[nodiscard]] PackedLayout LayoutOf(const PackedShape& shape);

// A checked window on a packed blob; does not own it.
class PackedView {
 public:
  // Checks magic, header against `bytes`' size, counts against outliers, index order and range. DATA_LOSS names what is
  // wrong.
  [[nodiscard]] static absl::StatusOr<PackedView> Open(std::span<const std::byte> bytes);

  [[nodiscard]] const PackedShape& shape() const { return shape_; }
  [[nodiscard]] uint32_t code(int64_t row, int64_t col) const;
  [[nodiscard]] uint32_t zero(int64_t row, int64_t group) const;
  [[nodiscard]] float scale(int64_t row, int64_t group) const;
  // Raw sections for repacking.
  [[nodiscard]] std::span<const std::byte> codes_of_row(int64_t row) const;
  // Unpacks codes of one row, cols() of them; zero points of one row, groups_per_row() of them; scales widened to
  // float.
  void UnpackCodes(int64_t row, std::span<uint8_t> out) const;
  void UnpackZeros(int64_t row, std::span<uint8_t> out) const;
  void UnpackScales(int64_t row, std::span<float> out) const;

  struct Outlier {
    int64_t row;
    int64_t col;
    uint16_t half;  // FP16 bits
  };
  // Calls visit(const Outlier&) in row-major order.
  template <class Visit>
  void ForEachOutlier(Visit&& visit) const {
    int64_t next = 0;
    for (int64_t tile = 0; tile < shape_.outlier_tiles(); ++tile) {
      for (int i = 0; i < tile_count(tile); ++i, ++next) {
        const int64_t flat = tile * PackedShape::kOutlierTile + tile_index(next);
        visit(Outlier{flat / shape_.cols, flat % shape_.cols, value(next)});
      }
    }
  }
  // The dense matrix, row-major: dequantized codes with the outliers written over them. `out` has rows * cols floats.
  void DequantizeAll(std::span<float> out) const;

 private:
  [[nodiscard]] int tile_count(int64_t tile) const {
    return std::to_integer<int>(bytes_[layout_.counts + static_cast<uint64_t>(tile)]);
  }
  [[nodiscard]] int tile_index(int64_t i) const {
    return std::to_integer<int>(bytes_[layout_.indices + static_cast<uint64_t>(i)]);
  }
  [[nodiscard]] uint16_t value(int64_t i) const;

  std::span<const std::byte> bytes_;
  PackedShape shape_;
  PackedLayout layout_;
};

// Quantized content before it is laid out. codes: rows * cols; scales (FP16 bits) and zeros: rows * groups_per_row;
// outliers in strictly increasing flat (row-major) positions.
struct PackedContent {
  PackedShape shape;
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<uint8_t> zeros;
  std::vector<int64_t> outlier_positions;
  std::vector<uint16_t> outlier_values;
};
// The canonical bytes: the same content gives the same bytes. INVALID_ARGUMENT where sizes, ranges or order are off.
[[nodiscard]] absl::StatusOr<std::vector<std::byte>> EncodePacked(const PackedContent& content);

}  // namespace gwq
