#include "core/models/vision_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/status.h"

namespace gwq {
namespace {

// Positions and row indices fit 32 bits, and the attention of one tile stays within reason.
constexpr int64_t kMaxTilePatches = int64_t{1} << 18;
constexpr int64_t kMaxRows = int64_t{1} << 20;

absl::Status CheckTile(const VisionConfig& config, const PatchGrid& tile, size_t index) {
  const std::string field = fmt::format("tiles[{}]", index);
  const std::string size = fmt::format("{} x {} patches", tile.high, tile.wide);
  if (tile.high < 1 || tile.wide < 1 || tile.high > kMaxTilePatches || tile.wide > kMaxTilePatches / tile.high) {
    return InvalidField(field, fmt::format("{}: a tile has from 1 to {}", size, kMaxTilePatches));
  }
  if (tile.high % config.merge != 0 || tile.wide % config.merge != 0) {
    return InvalidField(field, fmt::format("{}: both must be multiples of {}", size, config.merge));
  }
  if (config.position_side == 0) return absl::OkStatus();
  const int64_t side = config.position_side;
  const bool fills = tile.high == side && tile.wide == side;
  if (fills || (config.resampled_positions && tile.high <= side && tile.wide <= side)) return absl::OkStatus();
  return InvalidField(field, fmt::format("{}: the model's positions are for {} x {}", size, side, side));
}

// Positions of `count` patches along a side of `side` learned ones. transformers rounds them in single precision, which
// moves single patches at some sides that no published model has (19, 25, 29...).
std::vector<int32_t> Resampled(int64_t count, int64_t side) {
  std::vector<int32_t> positions;
  for (int64_t i = 0; i < count; ++i) positions.push_back(static_cast<int32_t>(i * side / count));
  return positions;
}

// Appends a tile's rows to a layout.
class TileAppender {
 public:
  TileAppender(const VisionConfig& config, VisionLayout& layout) : config_(config), layout_(layout) {
    const int64_t spatial = config.attention.head_dim / 2;
    for (int64_t i = 0; i < spatial; i += 2) {
      const float exponent = static_cast<float>(i) / static_cast<float>(spatial);
      frequencies_.push_back(1.0F / std::pow(config.rope_theta, exponent));
    }
  }

  void Append(const PatchGrid& tile) {
    if (config_.position_side > 0) {
      AppendRowByRow(tile);
    } else {
      AppendSquareBySquare(tile);
    }
    patches_ += tile.high * tile.wide;
    tokens_ += tile.high * tile.wide / (config_.merge * config_.merge);
    layout_.tile_ends.push_back(rows_);
  }

  // Where each token came to stand, once all tiles are in.
  void Finish() {
    if (token_order_.empty()) return;
    layout_.exit.resize(token_order_.size());
    for (size_t i = 0; i < token_order_.size(); ++i) {
      layout_.exit[static_cast<size_t>(token_order_[i])] = static_cast<int32_t>(i);
    }
  }

  [[nodiscard]] int64_t patches() const { return patches_; }
  [[nodiscard]] int64_t rows() const { return rows_; }
  [[nodiscard]] int64_t tokens() const { return tokens_; }

 private:
  void AppendRowByRow(const PatchGrid& tile) {
    const int64_t first = rows_ + (config_.class_token ? 1 : 0);
    if (config_.class_token) {
      layout_.entry.push_back(-1);
      layout_.position_ids.push_back(0);
      for (int64_t i = 0; i < tile.high * tile.wide; ++i) layout_.entry.push_back(static_cast<int32_t>(patches_ + i));
    }
    const std::vector<int32_t> down = Resampled(tile.high, config_.position_side);
    const std::vector<int32_t> across = Resampled(tile.wide, config_.position_side);
    const int32_t offset = config_.class_token ? 1 : 0;
    for (const int32_t y : down) {
      for (const int32_t x : across) {
        layout_.position_ids.push_back(offset + y * static_cast<int32_t>(config_.position_side) + x);
      }
    }
    for (int64_t y = 0; y < tile.high; y += config_.merge) {
      for (int64_t x = 0; x < tile.wide; x += config_.merge) {
        for (int64_t i = 0; i < config_.merge * config_.merge; ++i) {
          const int64_t row = first + (y + i / config_.merge) * tile.wide + x + i % config_.merge;
          layout_.merge.push_back(static_cast<int32_t>(row));
        }
      }
    }
    rows_ = first + tile.high * tile.wide;
  }

  // Tokens are squares of merge x merge patches, which stay together; with windows they are grouped by window.
  void AppendSquareBySquare(const PatchGrid& tile) {
    const int64_t high = tile.high / config_.merge;
    const int64_t wide = tile.wide / config_.merge;
    if (config_.window_tokens == 0) {
      AppendTokens(0, high, 0, wide, wide);
      return;
    }
    for (int64_t y = 0; y < high; y += config_.window_tokens) {
      for (int64_t x = 0; x < wide; x += config_.window_tokens) {
        AppendTokens(y, std::min(high, y + config_.window_tokens), x, std::min(wide, x + config_.window_tokens), wide);
        layout_.window_ends.push_back(rows_);
      }
    }
  }

  void AppendTokens(int64_t top, int64_t bottom, int64_t left, int64_t right, int64_t wide) {
    const int64_t square = config_.merge * config_.merge;
    for (int64_t y = top; y < bottom; ++y) {
      for (int64_t x = left; x < right; ++x) {
        const int64_t token = tokens_ + y * wide + x;
        if (config_.window_tokens > 0) token_order_.push_back(token);
        for (int64_t i = 0; i < square; ++i, ++rows_) {
          if (config_.window_tokens > 0) layout_.entry.push_back(static_cast<int32_t>(token * square + i));
          layout_.merge.push_back(static_cast<int32_t>(rows_));
          AppendAngles(y * config_.merge + i / config_.merge);
          AppendAngles(x * config_.merge + i % config_.merge);
        }
      }
    }
  }

  void AppendAngles(int64_t position) {
    for (const float frequency : frequencies_) {
      const float angle = static_cast<float>(position) * frequency;
      layout_.cosines.push_back(std::cos(angle));
      layout_.sines.push_back(std::sin(angle));
    }
  }

  const VisionConfig& config_;
  VisionLayout& layout_;
  std::vector<float> frequencies_;
  std::vector<int64_t> token_order_;
  int64_t patches_ = 0;
  int64_t rows_ = 0;
  int64_t tokens_ = 0;
};

}  // namespace

absl::Status CheckTiles(const VisionConfig& config, std::span<const PatchGrid> tiles) {
  if (tiles.empty()) return InvalidField("tiles", "there is none");
  int64_t total = 0;
  for (size_t i = 0; i < tiles.size(); ++i) {
    GWQ_RETURN_IF_ERROR(CheckTile(config, tiles[i], i));
    total += tiles[i].high * tiles[i].wide + 1;
    if (total > kMaxRows) return InvalidField("tiles", fmt::format("more than {} patches", kMaxRows));
  }
  return absl::OkStatus();
}

absl::StatusOr<VisionLayout> LayoutOf(const VisionConfig& config, std::span<const PatchGrid> tiles) {
  GWQ_RETURN_IF_ERROR(CheckTiles(config, tiles));
  VisionLayout layout;
  TileAppender appender(config, layout);
  for (const PatchGrid& tile : tiles) appender.Append(tile);
  appender.Finish();
  layout.rows.push_back(appender.patches());
  for (int block = 0; block <= config.blocks; ++block) layout.rows.push_back(appender.rows());
  layout.rows.push_back(appender.tokens());
  return layout;
}

}  // namespace gwq
