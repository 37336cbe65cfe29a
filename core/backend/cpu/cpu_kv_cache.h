// Keys and values as the attention kernel reads them; see AttendArgs in kernels.h.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/backend/cpu/huge_mapping.h"

namespace gwq {

// Memory is reserved at once and becomes resident block by block as sequences fill it; bytes() is all of it.
class CpuKvCache final : public KvCache {
 public:
  // INVALID_ARGUMENT for a size out of range; RESOURCE_EXHAUSTED if the memory cannot be had.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CpuKvCache>> Create(const KvCacheShape& shape);

  [[nodiscard]] const KvCacheShape& shape() const override { return shape_; }
  [[nodiscard]] uint64_t bytes() const override { return memory_.size(); }

  // Of block 0; block b begins b * stride floats later.
  [[nodiscard]] float* keys(int layer, int64_t head) const;
  [[nodiscard]] float* values(int layer, int64_t head) const;
  [[nodiscard]] int64_t block_stride() const { return block_floats_; }
  [[nodiscard]] int64_t value_stride() const { return value_stride_; }
  // Stores the key and value of one head of one token, head_dim floats each.
  void Put(int layer, int64_t head, int32_t block, int64_t token_in_block, const float* key, const float* value);

 private:
  explicit CpuKvCache(const KvCacheShape& shape);

  KvCacheShape shape_;
  int64_t value_stride_;
  int64_t key_floats_;    // of a head of a block
  int64_t value_floats_;  // of a head of a block
  int64_t block_floats_;  // keys and values of all heads of a block of a layer
  HugeMapping memory_;
};

}  // namespace gwq
