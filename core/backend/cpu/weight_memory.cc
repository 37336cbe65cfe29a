#include "core/backend/cpu/weight_memory.h"

#include <utility>

namespace gwq {
namespace {

// What is not used of a slab is not resident; what is unloaded of it stays until its neighbours go.
constexpr size_t kSlabBytes = size_t{32} << 20;
constexpr size_t kOwnMappingBytes = size_t{16} << 20;

}  // namespace

WeightSpan WeightMemory::Allocate(size_t bytes) {
  const size_t size = (bytes + 63) / 64 * 64;
  if (size >= kOwnMappingBytes) {
    auto mapping = std::make_shared<const HugeMapping>(size);
    std::byte* const data = mapping->data();
    return {std::move(mapping), data, bytes};
  }
  MutexLock lock(mutex_);
  if (slab_ == nullptr || slab_->size() - used_ < size) {
    auto slab = std::make_shared<const HugeMapping>(kSlabBytes);
    if (slab->data() == nullptr) return {};
    slab_ = std::move(slab);
    used_ = 0;
  }
  std::byte* const data = slab_->data() + used_;
  used_ += size;
  return {slab_, data, bytes};
}

}  // namespace gwq
