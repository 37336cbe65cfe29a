#include "core/backend/cpu/cpu_kv_cache.h"

#include <fmt/format.h>

#include <cstring>

#include "core/backend/cpu/kernels/matrix_tiles.h"
#include "core/base/status.h"

namespace gwq {
namespace {

absl::Status CheckRange(std::string_view field, int64_t value, int64_t limit) {
  if (value >= 1 && value <= limit) return absl::OkStatus();
  return InvalidField(field, fmt::format("{} is outside [1, {}]", value, limit));
}

absl::Status CheckShape(const KvCacheShape& shape) {
  GWQ_RETURN_IF_ERROR(CheckRange("cache.layers", shape.layers, 4096));
  GWQ_RETURN_IF_ERROR(CheckRange("cache.kv_heads", shape.kv_heads, 4096));
  GWQ_RETURN_IF_ERROR(CheckRange("cache.head_dim", shape.head_dim, 4096));
  GWQ_RETURN_IF_ERROR(CheckRange("cache.block_tokens", shape.block_tokens, 4096));
  return CheckRange("cache.blocks", shape.blocks, 1 << 24);
}

}  // namespace

CpuKvCache::CpuKvCache(const KvCacheShape& shape)
    : shape_(shape),
      value_stride_(RoundUp(shape.head_dim, 16)),
      key_floats_(RoundUp(shape.block_tokens, 16) * shape.head_dim),
      value_floats_(shape.block_tokens * value_stride_),
      block_floats_(shape.kv_heads * (key_floats_ + value_floats_)) {}

absl::StatusOr<std::unique_ptr<CpuKvCache>> CpuKvCache::Create(const KvCacheShape& shape) {
  GWQ_RETURN_IF_ERROR(CheckShape(shape));
  std::unique_ptr<CpuKvCache> cache(new CpuKvCache(shape));
  const double floats =
      static_cast<double>(shape.layers) * static_cast<double>(shape.blocks) * static_cast<double>(cache->block_floats_);
  constexpr double kAddressable = 1e15;
  if (floats < kAddressable) {
    cache->memory_ = HugeMapping(static_cast<size_t>(floats) * sizeof(float));
  }
  if (cache->memory_.data() == nullptr) {
    return absl::ResourceExhaustedError(
        fmt::format("no memory for a KV cache of {:.0f} MB; lower its tokens", floats * sizeof(float) / 1e6));
  }
  return cache;
}

float* CpuKvCache::keys(int layer, int64_t head) const {
  return reinterpret_cast<float*>(memory_.data()) + layer * shape_.blocks * block_floats_ +
         head * (key_floats_ + value_floats_);
}

float* CpuKvCache::values(int layer, int64_t head) const { return keys(layer, head) + key_floats_; }

void CpuKvCache::Put(int layer, int64_t head, int32_t block, int64_t token_in_block, const float* key,
                     const float* value) {
  float* keys_at = keys(layer, head) + block * block_floats_ + token_in_block / 16 * 16 * shape_.head_dim;
  for (int64_t d = 0; d < shape_.head_dim; ++d) keys_at[d * 16 + token_in_block % 16] = key[d];
  float* values_at = values(layer, head) + block * block_floats_ + token_in_block * value_stride_;
  std::memcpy(values_at, value, static_cast<size_t>(shape_.head_dim) * sizeof(float));
}

}  // namespace gwq
