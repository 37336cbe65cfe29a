// Memory at 64-byte boundaries, the width of a vector and of a cache line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace gwq {

// Move-only. Elements start uninitialized. Allocate answers null if the memory cannot be had.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  [[nodiscard]] static AlignedBuffer Allocate(size_t count) {
    AlignedBuffer buffer;
    buffer.data_.reset(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{64}, std::nothrow)));
    buffer.size_ = buffer.data_ == nullptr ? 0 : count;
    return buffer;
  }
  [[nodiscard]] T* data() const { return data_.get(); }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] uint64_t bytes() const { return size_ * sizeof(T); }

 private:
  struct Free {
    void operator()(T* data) const { ::operator delete(data, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

}  // namespace gwq
