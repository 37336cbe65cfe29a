// Anonymous memory in pages of 2 MiB where the kernel gives them. Weights are read once per token, front to back: with
// small pages the walks of the page table cost as much as the reads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gwq {

// Move-only. Zero at first, resident as it is touched.
class HugeMapping {
 public:
  HugeMapping() = default;
  // Null data where the memory cannot be had.
  explicit HugeMapping(size_t bytes);
  HugeMapping(HugeMapping&& other) noexcept;
  HugeMapping& operator=(HugeMapping&& other) noexcept;
  ~HugeMapping();

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace gwq
