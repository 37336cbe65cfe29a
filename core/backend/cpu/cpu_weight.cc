#include "core/backend/cpu/cpu_weight.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "core/backend/cpu/packed_unit.h"
#include "core/base/status.h"

namespace gwq {
namespace {

absl::Status NoMemory(uint64_t bytes) {
  return absl::ResourceExhaustedError(fmt::format("no memory for a weight of {} bytes", bytes));
}

int64_t BlocksOf(const MatrixTiles& tiles) {
  const int64_t full = RoundUp(tiles.group, kBlockCols) / kBlockCols;
  const int64_t last = tiles.padded_cols - (tiles.groups - 1) * tiles.group;
  return (tiles.groups - 1) * full + RoundUp(last, kBlockCols) / kBlockCols;
}

// Sizes that follow from the encoding, the dimensions and the group.
void DescribeTiles(MatrixTiles& tiles) {
  const int64_t unit = UnitCols(tiles.encoding);
  tiles.tiles = RoundUp(tiles.rows, kTileRows) / kTileRows;
  if (tiles.group == 0) {
    tiles.group = RoundUp(tiles.cols, unit);
    tiles.groups = 1;
  } else {
    tiles.groups = RoundUp(tiles.cols, tiles.group) / tiles.group;
  }
  const int64_t before_last = (tiles.groups - 1) * tiles.group;
  tiles.padded_cols = before_last + RoundUp(tiles.cols - before_last, unit);
  tiles.blocks = BlocksOf(tiles);
  tiles.tile_bytes = tiles.padded_cols / unit * UnitBytes(tiles.encoding);
}

// `type` is one that IsWeightType takes.
Encoding DenseEncoding(DType type) {
  if (type == DType::kF16) return Encoding::kF16;
  return type == DType::kBF16 ? Encoding::kBF16 : Encoding::kF32;
}

// A unit of codes must not straddle groups: other group sizes take four bits or a byte per code in memory, and so do
// codes of 7 bits.
absl::StatusOr<Encoding> GridEncoding(const GridShape& shape) {
  const auto whole_or = [&](Encoding narrow, Encoding wide) {
    return shape.group_size % UnitCols(narrow) == 0 ? narrow : wide;
  };
  switch (shape.bits) {
    case 2:
      return whole_or(Encoding::kU2, Encoding::kU4);
    case 3:
      return whole_or(Encoding::kU3, Encoding::kU4);
    case 4:
      return Encoding::kU4;
    case 5:
      return whole_or(Encoding::kU5, Encoding::kU8);
    case 6:
      return whole_or(Encoding::kU6, Encoding::kU8);
    case 7:
    case 8:
      return Encoding::kU8;
    default:
      return absl::UnimplementedError(
          fmt::format("the cpu backend has no kernel for codes of {} bits; it has 2 to 8", shape.bits));
  }
}

absl::StatusOr<MatrixTiles> GridTiles(const GridShape& shape) {
  MatrixTiles tiles;
  GWQ_ASSIGN_OR_RETURN(tiles.encoding, GridEncoding(shape));
  tiles.rows = shape.rows;
  tiles.cols = shape.cols;
  tiles.group = shape.group_size;
  tiles.group_param_bytes = shape.coded_scales ? kCodedGridBytes : kHalfGridBytes;
  return tiles;
}

size_t GroupParamBytes(const MatrixTiles& tiles) {
  return static_cast<size_t>(tiles.tiles * tiles.groups * tiles.group_param_bytes);
}

size_t RowScaleBytes(const MatrixTiles& tiles) { return static_cast<size_t>(tiles.tiles * kTileRows) * sizeof(float); }

}  // namespace

uint64_t CpuWeight::bytes() const {
  return codes_.bytes() + group_params_.bytes() + row_scales_.bytes() + vector_.bytes() + sparse_.bytes();
}

absl::Status CpuWeight::AllocateTiles(WeightMemory& memory) {
  DescribeTiles(tiles_);
  const auto bytes = static_cast<size_t>(tiles_.tiles * tiles_.tile_bytes);
  codes_ = memory.Allocate(bytes);
  if (codes_.as<uint8_t>() == nullptr) return NoMemory(bytes);
  tiles_.codes = codes_.as<uint8_t>();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<CpuWeight>> CpuWeight::FromDense(const TensorView& view, WeightMemory& memory) {
  GWQ_ASSIGN_OR_RETURN(const int64_t elements, ElementCount(view.shape));
  if (!IsWeightType(view.type) || view.shape.empty() || view.shape.size() > 2 || elements == 0 ||
      view.elements() != elements) {
    return absl::InvalidArgumentError(fmt::format(
        "a {} tensor of shape {} and {} bytes is not a weight; give F32, F16 or BF16 of one or two dimensions",
        DTypeName(view.type), ShapeString(view.shape), view.data.size()));
  }
  std::unique_ptr<CpuWeight> weight(new CpuWeight(view.shape));
  if (view.shape.size() == 1) {
    const auto padded = static_cast<size_t>(RoundUp(elements, kRowPad));
    weight->vector_ = memory.Allocate(padded * sizeof(float));
    if (weight->vector_.as<float>() == nullptr) return NoMemory(padded * sizeof(float));
    ToFloat(view, 0, {weight->vector_.as<float>(), static_cast<size_t>(elements)});
    return weight;
  }
  weight->tiles_.encoding = DenseEncoding(view.type);
  weight->tiles_.rows = view.shape[0];
  weight->tiles_.cols = view.shape[1];
  GWQ_RETURN_IF_ERROR(weight->AllocateTiles(memory));
  weight->FillDense(view);
  return weight;
}

void CpuWeight::FillDense(const TensorView& view) {
  const auto size = DTypeSize(view.type);
  const auto cols = static_cast<size_t>(tiles_.cols);
  for (int64_t row = 0; row < tiles_.rows; ++row) {
    const std::byte* from = view.data.data() + static_cast<size_t>(row) * cols * size;
    uint8_t* to =
        codes_.as<uint8_t>() + row / kTileRows * tiles_.tile_bytes + static_cast<size_t>(row % kTileRows) * size;
    for (size_t col = 0; col < cols; ++col) std::memcpy(to + col * kTileRows * size, from + col * size, size);
  }
}

absl::StatusOr<std::unique_ptr<CpuWeight>> CpuWeight::FromGrid(const GridShape& shape, ReadGridRow read,
                                                               const SparseLists& outliers, WeightMemory& memory) {
  std::unique_ptr<CpuWeight> weight(new CpuWeight({shape.rows, shape.cols}));
  GWQ_ASSIGN_OR_RETURN(weight->tiles_, GridTiles(shape));
  GWQ_RETURN_IF_ERROR(weight->AllocateTiles(memory));
  GWQ_RETURN_IF_ERROR(weight->AllocateGrid(shape.coded_scales, memory));
  weight->FillGrid(shape, read);
  GWQ_RETURN_IF_ERROR(outliers.MoveTo(memory, weight->sparse_, weight->tiles_));
  return weight;
}

absl::StatusOr<uint64_t> CpuWeight::GridBytes(const GridShape& shape) {
  GWQ_ASSIGN_OR_RETURN(MatrixTiles tiles, GridTiles(shape));
  DescribeTiles(tiles);
  return static_cast<uint64_t>(tiles.tiles * tiles.tile_bytes) + GroupParamBytes(tiles) +
         (shape.coded_scales ? RowScaleBytes(tiles) : 0);
}

absl::Status CpuWeight::AllocateGrid(bool coded_scales, WeightMemory& memory) {
  const size_t bytes = GroupParamBytes(tiles_);
  group_params_ = memory.Allocate(bytes);
  if (group_params_.as<uint8_t>() == nullptr) return NoMemory(bytes);
  tiles_.group_params = group_params_.as<uint8_t>();
  if (!coded_scales) return absl::OkStatus();
  const size_t row_bytes = RowScaleBytes(tiles_);
  row_scales_ = memory.Allocate(row_bytes);
  if (row_scales_.as<float>() == nullptr) return NoMemory(row_bytes);
  tiles_.row_scales = row_scales_.as<float>();
  return absl::OkStatus();
}

void CpuWeight::FillGrid(const GridShape& shape, ReadGridRow read) {
  GridRow from;
  from.codes.resize(static_cast<size_t>(tiles_.cols));
  from.zeros.resize(static_cast<size_t>(tiles_.groups));
  from.scale_codes.resize(shape.coded_scales ? from.zeros.size() : 0);
  from.scales.resize(shape.coded_scales ? 0 : from.zeros.size());
  const int64_t unit = UnitCols(tiles_.encoding);
  for (int64_t row = 0; row < tiles_.rows; ++row) {
    const int64_t lane = row % kTileRows;
    read(row, from);
    uint8_t* tile = codes_.as<uint8_t>() + row / kTileRows * tiles_.tile_bytes;
    for (int64_t col = 0; col < tiles_.cols; col += unit, tile += UnitBytes(tiles_.encoding)) {
      PutUnit(tiles_.encoding, tile, lane,
              std::span(from.codes)
                  .subspan(static_cast<size_t>(col), static_cast<size_t>(std::min(unit, tiles_.cols - col))));
    }
    uint8_t* group_params = group_params_.as<uint8_t>() + row / kTileRows * tiles_.groups * tiles_.group_param_bytes;
    for (size_t group = 0; group < from.zeros.size(); ++group, group_params += tiles_.group_param_bytes) {
      if (shape.coded_scales) {
        group_params[lane] = from.scale_codes[group];
      } else {
        std::memcpy(group_params + lane * 2, &from.scales[group], sizeof(uint16_t));
      }
      group_params[tiles_.group_param_bytes - kTileRows + lane] = from.zeros[group];
    }
    if (shape.coded_scales) row_scales_.as<float>()[row] = from.row_scale;
  }
}

float CpuWeight::ScaleOf(int64_t row, const uint8_t* group_params) const {
  const int64_t lane = row % kTileRows;
  if (tiles_.row_scales != nullptr) return static_cast<float>(group_params[lane]) * tiles_.row_scales[row];
  uint16_t scale;
  std::memcpy(&scale, group_params + lane * 2, sizeof(scale));
  return HalfToFloat(scale);
}

float CpuWeight::ElementOf(int64_t row, int64_t col) const {
  const int64_t lane = row % kTileRows;
  const int64_t unit = UnitCols(tiles_.encoding);
  const int64_t in_unit = col % unit;
  const uint8_t* at = tiles_.codes + row / kTileRows * tiles_.tile_bytes + col / unit * UnitBytes(tiles_.encoding);
  const auto element = [&]<class T>(T value) {
    std::memcpy(&value, at + (in_unit * kTileRows + lane) * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return value;
  };
  switch (tiles_.encoding) {
    case Encoding::kF32:
      return element(float{});
    case Encoding::kF16:
      return HalfToFloat(element(uint16_t{}));
    case Encoding::kBF16:
      return BFloat16ToFloat(element(uint16_t{}));
    case Encoding::kU2:
    case Encoding::kU3:
    case Encoding::kU4:
    case Encoding::kU5:
    case Encoding::kU6:
    case Encoding::kU8:
      break;
  }
  const uint8_t* group_params =
      tiles_.group_params + (row / kTileRows * tiles_.groups + col / tiles_.group) * tiles_.group_param_bytes;
  const int zero = group_params[tiles_.group_param_bytes - kTileRows + lane];
  return static_cast<float>(CodeAt(tiles_.encoding, at, lane, in_unit) - zero) * ScaleOf(row, group_params);
}

void CpuWeight::Row(int64_t row, float* out) const {
  for (int64_t col = 0; col < tiles_.cols; ++col) out[col] = ElementOf(row, col);
  PutOutliersOfRow(tiles_, row, out);
}

}  // namespace gwq
