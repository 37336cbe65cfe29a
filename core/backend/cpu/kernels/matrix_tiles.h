// How CpuBackend holds a matrix: tiles of 16 output channels, so that a SIMD lane is one output and never shares a sum.
// Plain data, read by the kernels of every instruction set.
#pragma once

#include <cstdint>

namespace gwq {

enum class Encoding : uint8_t { kU2, kU4, kU3, kU5, kU6, kU8, kF16, kBF16, kF32 };

inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kBlockCols = 64;  // columns summed before the sum is scaled and added to the total
inline constexpr int64_t kRowPad = 32;     // activations are padded with zeros to a multiple of this
// Of a group of a tile: 16 scales, then 16 zero points of a byte. A scale is FP16, or a code of a byte that the row's
// scale is multiplied by.
inline constexpr int64_t kHalfGridBytes = 48;
inline constexpr int64_t kCodedGridBytes = 32;
// Outliers carry 16-bit columns. A wider matrix is cut into segments of this many columns, and each has its own list.
inline constexpr int64_t kSparseSegment = 65536;

// Columns come in units (8; 16 for kU2 and kU6, 32 for kU3 and kU5); groups are whole numbers of units except the last,
// which is padded up.
//   kU2  a unit is 16 little-endian words, one per output: code j at bits [2j, 2j + 2)
//   kU4  a unit is 16 little-endian words, one per output: code j at bits [4j, 4j + 4)
//   kU3  a unit is 3 x 16 words a, b, c: codes 0-9 in a, 10-19 in b, 20-29 in c, 3 bits each from bit 0 up;
//            code 30 is a >> 30 | (b >> 30 & 1) << 2, code 31 is c >> 30 | (b >> 31) << 2
//   kU5  a unit is 5 x 16 words a to e: codes 0-5 in a, 6-11 in b, and so on, 5 bits each from bit 0 up;
//            code 30 is a >> 30 | (b >> 30) << 2 | (e >> 30 & 1) << 4, code 31 is c >> 30 | (d >> 30) << 2 | (e >> 31)
//            << 4
//   kU6  a unit is 3 x 16 words a, b, c: codes 0-4 in a, 5-9 in b, 10-14 in c, 6 bits each from bit 0 up;
//            code 15 is a >> 30 | (b >> 30) << 2 | (c >> 30) << 4
//   kU8, kF16, kBF16, kF32  a column is 16 elements, one per output
struct MatrixTiles {
  Encoding encoding = Encoding::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t tiles = 0;
  int64_t group = 0;   // columns per scale; dense matrices are one group of all columns
  int64_t groups = 0;  // a row
  int64_t padded_cols = 0;
  int64_t blocks = 0;  // a row
  const uint8_t* codes = nullptr;
  int64_t tile_bytes = 0;                 // of codes
  const uint8_t* group_params = nullptr;  // [tiles, groups, group_param_bytes]; null if dense
  int64_t group_param_bytes = kHalfGridBytes;
  const float* row_scales = nullptr;  // [tiles, 16] where scales are codes; null if they are FP16

  // Outliers of list (tile * segments + segment): rank by rank, rank r holding the r-th outlier of each row that has
  // one. A mask tells the rows of a rank; entries follow in order of rows: column | FP16 bits << 16.
  int64_t segments = 0;  // 0 if there are no outliers
  const uint32_t* first_mask = nullptr;
  const uint64_t* first_entry = nullptr;
  const uint16_t* masks = nullptr;
  const uint32_t* entries = nullptr;
};

constexpr int64_t UnitCols(Encoding encoding) {
  switch (encoding) {
    case Encoding::kU2:
    case Encoding::kU6:
      return 16;
    case Encoding::kU3:
    case Encoding::kU5:
      return 32;
    case Encoding::kU4:
    case Encoding::kU8:
    case Encoding::kF16:
    case Encoding::kBF16:
    case Encoding::kF32:
      return 8;
  }
  return 0;
}

constexpr int64_t UnitBytes(Encoding encoding) {
  switch (encoding) {
    case Encoding::kU2:
    case Encoding::kU4:
      return 64;
    case Encoding::kU3:
    case Encoding::kU6:
      return 192;
    case Encoding::kU5:
      return 320;
    case Encoding::kU8:
      return 128;
    case Encoding::kF16:
    case Encoding::kBF16:
      return 256;
    case Encoding::kF32:
      return 512;
  }
  return 0;
}

constexpr int64_t RoundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace gwq
