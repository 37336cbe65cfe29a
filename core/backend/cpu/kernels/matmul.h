// Matrix product over tiles, written once over a SIMD trait. Included by one source an instruction set; nothing here
// has external linkage and nothing from the standard library is called, so that no code compiled for one instruction
// set can be linked into another's path.
#pragma once

#include <cstdint>

#include "core/backend/cpu/kernels/kernels.h"
#include "core/backend/cpu/kernels/repeat.h"

namespace gwq {
namespace {

// Calls sink(Index<J>, column J) for the columns of one unit.
template <class V, Encoding E>
struct Unit;

template <class V, int N>
struct UnitWords {
  typename V::Words word[N];
};

template <class V, int N>
inline __attribute__((always_inline)) UnitWords<V, N> LoadUnitWords(const uint8_t* from) {
  UnitWords<V, N> unit;
  Repeat<N>([&](auto w) __attribute__((always_inline)) { unit.word[w] = V::LoadWords(from + 64 * w); });
  return unit;
}

// The codes that stand whole in a word: word by word, from bit 0 up.
template <class V, int Bits, int N, class Sink>
inline __attribute__((always_inline)) void EachWholeCode(const UnitWords<V, N>& unit, const Sink& sink) {
  constexpr int kCodes = 32 / Bits;
  Repeat<N>([&](auto w) __attribute__((always_inline)) {
    Repeat<kCodes>([&](auto j) __attribute__((always_inline)) {
      constexpr int kWord = decltype(w)::value, kCode = decltype(j)::value;
      sink(Index<kWord * kCodes + kCode>(), V::template Code<Bits, kCode>(unit.word[kWord]));
    });
  });
}

template <class V>
struct Unit<V, Encoding::kU2> {
  template <class Sink>
  static inline __attribute__((always_inline)) void Each(const uint8_t* from, const Sink& sink) {
    EachWholeCode<V, 2>(LoadUnitWords<V, 1>(from), sink);
  }
};

template <class V>
struct Unit<V, Encoding::kU4> {
  template <class Sink>
  static inline __attribute__((always_inline)) void Each(const uint8_t* from, const Sink& sink) {
    EachWholeCode<V, 4>(LoadUnitWords<V, 1>(from), sink);
  }
};

template <class V>
struct Unit<V, Encoding::kU3> {
  template <class Sink>
  static inline __attribute__((always_inline)) void Each(const uint8_t* from, const Sink& sink) {
    const UnitWords<V, 3> unit = LoadUnitWords<V, 3>(from);
    EachWholeCode<V, 3>(unit, sink);
    sink(Index<30>(), V::template Split3<30>(unit.word[0], unit.word[1]));
    sink(Index<31>(), V::template Split3<31>(unit.word[2], unit.word[1]));
  }
};

template <class V>
struct Unit<V, Encoding::kU5> {
  template <class Sink>
  static inline __attribute__((always_inline)) void Each(const uint8_t* from, const Sink& sink) {
    const UnitWords<V, 5> unit = LoadUnitWords<V, 5>(from);
    EachWholeCode<V, 5>(unit, sink);
    sink(Index<30>(), V::template Split5<30>(unit.word[0], unit.word[1], unit.word[4]));
    sink(Index<31>(), V::template Split5<31>(unit.word[2], unit.word[3], unit.word[4]));
  }
};

template <class V>
struct Unit<V, Encoding::kU6> {
  template <class Sink>
  static inline __attribute__((always_inline)) void Each(const uint8_t* from, const Sink& sink) {
    const UnitWords<V, 3> unit = LoadUnitWords<V, 3>(from);
    EachWholeCode<V, 6>(unit, sink);
    sink(Index<15>(), V::Split6(unit.word[0], unit.word[1], unit.word[2]));
  }
};

template <class V, Encoding E>
struct Unit {
  template <int J>
  static inline __attribute__((always_inline)) auto Column(const uint8_t* from) {
    if constexpr (E == Encoding::kU8) return V::Bytes(from + 16 * J);
    if constexpr (E == Encoding::kF16) return V::Halves(from + 32 * J);
    if constexpr (E == Encoding::kBF16) return V::Brains(from + 32 * J);
    if constexpr (E == Encoding::kF32) return V::Floats(from + 64 * J);
  }
  template <class Sink>
  static inline __attribute__((always_inline)) void Each(const uint8_t* from, const Sink& sink) {
    [&]<int... J>(std::integer_sequence<int, J...>) __attribute__((always_inline)) {
      (sink(Index<J>(), Column<J>(from)), ...);
    }(std::make_integer_sequence<int, 8>());
  }
};

// Codes are read this far ahead: the hardware alone does not keep up with a kernel that computes between its reads.
inline constexpr int64_t kPrefetchBytes = 2048;

// Sums of one block for R rows.
template <class V, Encoding E, int R, bool Prefetch>
inline __attribute__((always_inline)) void SumBlock(const uint8_t* codes, const float* x, int64_t x_stride,
                                                    int64_t cols, typename V::F (&sums)[R]) {
  typename V::F partial[R][4];
  const float* rows[R];
  Repeat<R>([&](auto r) __attribute__((always_inline)) {
    for (int p = 0; p < 4; ++p) partial[r][p] = V::Zero();
    rows[r] = x + r * x_stride;
    // Hides how the pointers are related: the compiler would otherwise keep an offset a row and column, and spill them.
    __asm__("" : "+r"(rows[r]));
  });
  for (int64_t col = 0; col < cols; col += UnitCols(E), codes += UnitBytes(E)) {
    if constexpr (Prefetch) {
      for (int64_t line = 0; line < UnitBytes(E); line += 64) __builtin_prefetch(codes + kPrefetchBytes + line);
    }
    Unit<V, E>::Each(codes, [&](auto j, typename V::F w) __attribute__((always_inline)) {
      Repeat<R>([&](auto r) __attribute__((always_inline)) {
        partial[r][j & 3] = V::Fma(w, V::Broadcast(rows[r][j]), partial[r][j & 3]);
      });
    });
    Repeat<R>([&](auto r) __attribute__((always_inline)) { rows[r] += UnitCols(E); });
  }
  Repeat<R>([&](auto r) __attribute__((always_inline)) {
    sums[r] = V::Add(V::Add(partial[r][0], partial[r][1]), V::Add(partial[r][2], partial[r][3]));
  });
}

struct Block {
  const uint8_t* codes;
  const uint8_t* group_params;  // null if dense
  int64_t index;
  int64_t col;
  int64_t cols;  // padded to units
};

// Visits the blocks of a tile in order.
template <Encoding E, class Visit>
inline __attribute__((always_inline)) void ForEachBlock(const MatrixTiles& w, int64_t tile, const Visit& visit) {
  Block block{w.codes + tile * w.tile_bytes, nullptr, 0, 0, 0};
  const uint8_t* group_params =
      w.group_params == nullptr ? nullptr : w.group_params + tile * w.groups * w.group_param_bytes;
  for (int64_t group = 0; group < w.groups; ++group) {
    const int64_t end = group + 1 == w.groups ? w.padded_cols : (group + 1) * w.group;
    block.group_params = group_params == nullptr ? nullptr : group_params + group * w.group_param_bytes;
    while (block.col < end) {
      block.cols = end - block.col < kBlockCols ? end - block.col : kBlockCols;
      visit(block);
      block.codes += block.cols / UnitCols(E) * UnitBytes(E);
      block.col += block.cols;
      ++block.index;
    }
  }
}

template <class V>
struct Grid {
  typename V::F scale;
  typename V::F zero;
};

// Scale and zero point of a block's group for the 16 outputs of `tile`; zeros where dense. The product of a scale's
// code and a row's scale is exact.
template <class V>
inline __attribute__((always_inline)) Grid<V> LoadGrid(const MatrixTiles& w, int64_t tile, const Block& block) {
  if (block.group_params == nullptr) return {V::Zero(), V::Zero()};
  if (w.row_scales == nullptr)
    return {V::Halves(block.group_params), V::Bytes(block.group_params + kHalfGridBytes - kTileRows)};
  return {V::Mul(V::Bytes(block.group_params), V::Load(w.row_scales + tile * kTileRows)),
          V::Bytes(block.group_params + kCodedGridBytes - kTileRows)};
}

template <class V>
inline __attribute__((always_inline)) typename V::F AddBlock(const Block& block, typename V::F scale,
                                                             typename V::F zero, float x_sum, typename V::F sum,
                                                             typename V::F total) {
  if (block.group_params == nullptr) return V::Add(total, sum);
  return V::Fma(scale, V::Fnma(zero, V::Broadcast(x_sum), sum), total);
}

// Sum of a row's outliers for the 16 outputs of a tile.
template <class V>
inline typename V::F SumOutliers(const MatrixTiles& w, int64_t tile, const float* x) {
  typename V::F sum = V::Zero();
  for (int64_t segment = 0; segment < w.segments; ++segment) {
    const int64_t list = tile * w.segments + segment;
    const uint32_t* entry = w.entries + w.first_entry[list];
    const float* at = x + segment * kSparseSegment;
    for (uint32_t rank = w.first_mask[list]; rank < w.first_mask[list + 1]; ++rank) {
      const uint32_t mask = w.masks[rank];
      sum = V::AddRank(entry, mask, at, sum);
      entry += __builtin_popcount(mask);
    }
  }
  return sum;
}

// The lists of a tile are short and far from those of others: fetched while the codes are worked on.
inline void PrefetchOutliers(const MatrixTiles& w, int64_t tile) {
  if (w.segments == 0) return;
  const int64_t list = tile * w.segments;
  const auto* entry = reinterpret_cast<const char*>(w.entries + w.first_entry[list]);
  const auto* end = reinterpret_cast<const char*>(w.entries + w.first_entry[list + w.segments]);
  for (; entry < end; entry += 64) __builtin_prefetch(entry);
  __builtin_prefetch(w.masks + w.first_mask[list]);
}

// Bias and residual; `total` has its outliers.
template <class V>
inline void Finish(const MatMulArgs& args, int64_t tile, int64_t row, typename V::F total) {
  const int64_t col = tile * kTileRows;
  if (args.bias != nullptr) total = V::Add(total, V::Load(args.bias + col));
  if (args.residual != nullptr) total = V::Add(V::Load(args.residual + row * args.residual_stride + col), total);
  V::Store(args.out + row * args.out_stride + col, total);
}

template <class V>
inline typename V::F AddOutliers(const MatMulArgs& args, int64_t tile, int64_t row, typename V::F total) {
  if (args.weight->segments == 0) return total;
  return V::Add(total, SumOutliers<V>(*args.weight, tile, args.x + row * args.x_stride));
}

// R rows straight from the codes: decoding, where a weight is used too rarely to be kept unpacked.
template <class V, Encoding E, int R>
void TileDirect(const MatMulArgs& args, int64_t tile, int64_t first_row) {
  const MatrixTiles& w = *args.weight;
  const float* x = args.x + first_row * args.x_stride;
  const float* x_sums = args.sums + first_row * w.blocks;
  PrefetchOutliers(w, tile);
  typename V::F totals[R];
  for (int r = 0; r < R; ++r) totals[r] = V::Zero();
  ForEachBlock<E>(w, tile, [&](const Block& block) __attribute__((always_inline)) {
    typename V::F sums[R];
    SumBlock<V, E, R, true>(block.codes, x + block.col, args.x_stride, block.cols, sums);
    const Grid<V> group_params = LoadGrid<V>(w, tile, block);
    for (int r = 0; r < R; ++r) {
      const float x_sum = block.group_params == nullptr ? 0.0F : x_sums[r * w.blocks + block.index];
      totals[r] = AddBlock<V>(block, group_params.scale, group_params.zero, x_sum, sums[r], totals[r]);
    }
  });
  for (int r = 0; r < R; ++r) {
    Finish<V>(args, tile, first_row + r, AddOutliers<V>(args, tile, first_row + r, totals[r]));
  }
}

// Outliers of a tile for all rows of a chunk: a lane is a row here, and `sums` is [16 outputs, kChunkPad rows].
template <class V>
void SumOutliersOfChunk(const MatrixTiles& w, int64_t tile, const float* columns, float* sums) {
  for (int64_t i = 0; i < kTileRows * kChunkPad; ++i) sums[i] = 0.0F;
  for (int64_t segment = 0; segment < w.segments; ++segment) {
    const int64_t list = tile * w.segments + segment;
    const uint32_t* entry = w.entries + w.first_entry[list];
    const float* at = columns + segment * kSparseSegment * kChunkPad;
    for (uint32_t rank = w.first_mask[list]; rank < w.first_mask[list + 1]; ++rank) {
      for (uint32_t mask = w.masks[rank]; mask != 0; mask &= mask - 1, ++entry) {
        float* sum = sums + __builtin_ctz(mask) * kChunkPad;
        const float* column = at + (*entry & 0xffffu) * kChunkPad;
        const auto value = V::Broadcast(V::Half(static_cast<uint16_t>(*entry >> 16)));
        for (int64_t i = 0; i < kChunkPad; i += 16) {
          V::Store(sum + i, V::Fma(value, V::Load(column + i), V::Load(sum + i)));
        }
      }
    }
  }
}

// Adds sums [16, kChunkPad] to totals [rows, 16].
template <class V>
void AddOutliersOfChunk(const float* sums, int64_t rows, float* totals) {
  alignas(64) float row_sums[kTileRows];
  for (int64_t row = 0; row < rows; ++row, totals += kTileRows) {
    for (int64_t lane = 0; lane < kTileRows; ++lane) row_sums[lane] = sums[lane * kChunkPad + row];
    V::Store(totals, V::Add(V::Load(totals), V::Load(row_sums)));
  }
}

template <class V, int R>
void BlockRows(const MatMulArgs& args, const Block& block, const float* unpacked, int64_t row, typename V::F scale,
               typename V::F zero, float* totals) {
  typename V::F sums[R];
  SumBlock<V, Encoding::kF32, R, false>(reinterpret_cast<const uint8_t*>(unpacked),
                                        args.x + row * args.x_stride + block.col, args.x_stride, block.cols, sums);
  for (int r = 0; r < R; ++r) {
    const float x_sum = block.group_params == nullptr ? 0.0F : args.sums[(row + r) * args.weight->blocks + block.index];
    V::Store(totals + 16 * r, AddBlock<V>(block, scale, zero, x_sum, sums[r], V::Load(totals + 16 * r)));
  }
}

// Many rows: each block is unpacked once and all rows of the chunk run over it.
template <class V, Encoding E>
void TileChunk(const MatMulArgs& args, int64_t tile, int64_t first_row, int64_t rows) {
  alignas(64) float unpacked[kBlockCols * kTileRows];
  alignas(64) float totals[kChunkRows * kTileRows];
  for (int64_t i = 0; i < rows * kTileRows; ++i) totals[i] = 0.0F;
  ForEachBlock<E>(*args.weight, tile, [&](const Block& block) {
    float* to = unpacked;
    for (int64_t col = 0; col < block.cols; col += UnitCols(E), to += UnitCols(E) * kTileRows) {
      Unit<V, E>::Each(block.codes + col / UnitCols(E) * UnitBytes(E),
                       [&](auto j, typename V::F w) { V::Store(to + decltype(j)::value * kTileRows, w); });
    }
    const Grid<V> group_params = LoadGrid<V>(*args.weight, tile, block);
    int64_t row = 0;
    for (; row + V::kRowBlock <= rows; row += V::kRowBlock) {
      BlockRows<V, V::kRowBlock>(args, block, unpacked, first_row + row, group_params.scale, group_params.zero,
                                 totals + 16 * row);
    }
    if constexpr (V::kRowBlock > 2) {
      for (; row + 2 <= rows; row += 2) {
        BlockRows<V, 2>(args, block, unpacked, first_row + row, group_params.scale, group_params.zero,
                        totals + 16 * row);
      }
    }
    for (; row < rows; ++row) {
      BlockRows<V, 1>(args, block, unpacked, first_row + row, group_params.scale, group_params.zero, totals + 16 * row);
    }
  });
  const MatrixTiles& w = *args.weight;
  if (w.segments > 0 && args.columns != nullptr) {
    alignas(64) float sums[kTileRows * kChunkPad];
    SumOutliersOfChunk<V>(w, tile, args.columns + first_row / kChunkRows * w.cols * kChunkPad, sums);
    AddOutliersOfChunk<V>(sums, rows, totals);
  } else {
    for (int64_t row = 0; row < rows; ++row) {
      V::Store(totals + 16 * row, AddOutliers<V>(args, tile, first_row + row, V::Load(totals + 16 * row)));
    }
  }
  for (int64_t row = 0; row < rows; ++row) Finish<V>(args, tile, first_row + row, V::Load(totals + 16 * row));
}

template <class V, Encoding E>
void MatMulTile(const MatMulArgs& args, int64_t tile) {
  if (args.rows <= V::kDirectRows) {
    int64_t row = 0;
    if constexpr (V::kDirectRows > 1) {
      for (; row + 4 <= args.rows; row += 4) TileDirect<V, E, 4>(args, tile, row);
      for (; row + 2 <= args.rows; row += 2) TileDirect<V, E, 2>(args, tile, row);
    }
    for (; row < args.rows; ++row) TileDirect<V, E, 1>(args, tile, row);
    return;
  }
  for (int64_t row = 0; row < args.rows; row += kChunkRows) {
    TileChunk<V, E>(args, tile, row, args.rows - row < kChunkRows ? args.rows - row : kChunkRows);
  }
}

template <class V, Encoding E>
void MatMulTiles(const MatMulArgs& args) {
  for (int64_t tile = args.tile_begin; tile < args.tile_end; ++tile) MatMulTile<V, E>(args, tile);
}

template <class V>
void MatMul(const MatMulArgs& args) {
  switch (args.weight->encoding) {
    case Encoding::kU2:
      return MatMulTiles<V, Encoding::kU2>(args);
    case Encoding::kU4:
      return MatMulTiles<V, Encoding::kU4>(args);
    case Encoding::kU3:
      return MatMulTiles<V, Encoding::kU3>(args);
    case Encoding::kU5:
      return MatMulTiles<V, Encoding::kU5>(args);
    case Encoding::kU6:
      return MatMulTiles<V, Encoding::kU6>(args);
    case Encoding::kU8:
      return MatMulTiles<V, Encoding::kU8>(args);
    case Encoding::kF16:
      return MatMulTiles<V, Encoding::kF16>(args);
    case Encoding::kBF16:
      return MatMulTiles<V, Encoding::kBF16>(args);
    case Encoding::kF32:
      return MatMulTiles<V, Encoding::kF32>(args);
  }
}

void TransposeChunk(const float* x, int64_t x_stride, int64_t rows, int64_t cols, float* out) {
  for (int64_t col = 0; col < cols; col += 16) {
    const int64_t width = cols - col < 16 ? cols - col : 16;
    for (int64_t row = 0; row < kChunkPad; ++row) {
      const float* from = x + row * x_stride + col;
      for (int64_t i = 0; i < width; ++i) out[(col + i) * kChunkPad + row] = row < rows ? from[i] : 0.0F;
    }
  }
}

// Octets first, so that the adds of one octet do not wait for those of another.
void BlockSums(const MatrixTiles& w, const float* x, float* sums) {
  int64_t index = 0;
  for (int64_t group = 0; group < w.groups; ++group) {
    const int64_t end = group + 1 == w.groups ? w.padded_cols : (group + 1) * w.group;
    for (int64_t col = group * w.group; col < end; col += kBlockCols, ++index) {
      const int64_t cols = end - col < kBlockCols ? end - col : kBlockCols;
      float sum = 0;
      for (const float* at = x + col; at < x + col + cols; at += 8) {
        sum += ((at[0] + at[4]) + (at[2] + at[6])) + ((at[1] + at[5]) + (at[3] + at[7]));
      }
      sums[index] = sum;
    }
  }
}

}  // namespace
}  // namespace gwq
