#include "core/backend/cpu/huge_mapping.h"

#include <sys/mman.h>

#include <utility>

namespace gwq {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmallPage = 4096;

}  // namespace

HugeMapping::HugeMapping(size_t bytes) {
  const size_t size = (bytes + kSmallPage - 1) / kSmallPage * kSmallPage;
  const size_t mapped = size + kHugePage;
  if (size < bytes || mapped < size) return;
  void* raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return;
  // Cut to a start on a huge page.
  auto* const begin = static_cast<std::byte*>(raw);
  const size_t skip = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (skip > 0) munmap(begin, skip);
  if (mapped - skip > size) munmap(begin + skip + size, mapped - skip - size);
  data_ = begin + skip;
  size_ = size;
  madvise(data_, size_, MADV_HUGEPAGE);
}

HugeMapping::HugeMapping(HugeMapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

HugeMapping& HugeMapping::operator=(HugeMapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

HugeMapping::~HugeMapping() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace gwq
