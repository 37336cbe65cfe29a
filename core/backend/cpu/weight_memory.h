// Memory of a backend's weights: many small matrices share mappings of huge pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/backend/cpu/huge_mapping.h"
#include "core/base/mutex.h"

namespace gwq {

// Zeroed memory at a 64-byte boundary. Keeps its mapping alive: a mapping goes when the last span on it does.
class WeightSpan {
 public:
  WeightSpan() = default;
  WeightSpan(std::shared_ptr<const HugeMapping> mapping, std::byte* data, size_t bytes)
      : mapping_(std::move(mapping)), data_(data), bytes_(bytes) {}

  template <class T>
  [[nodiscard]] T* as() const {
    return reinterpret_cast<T*>(data_);
  }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<const HugeMapping> mapping_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Thread-safe.
class WeightMemory {
 public:
  // Null if the memory cannot be had.
  [[nodiscard]] WeightSpan Allocate(size_t bytes);

 private:
  Mutex mutex_;
  std::shared_ptr<const HugeMapping> slab_ ABSL_GUARDED_BY(mutex_);
  size_t used_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq
