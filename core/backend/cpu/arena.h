// Buffers of a pass's intermediates, kept from pass to pass.
#pragma once

#include <cstdint>
#include <vector>

#include "core/backend/cpu/aligned_buffer.h"

namespace gwq {

// Hands out buffers of floats and takes them back. A buffer that came back is used again before a new one is made, so
// that a pass needs as many as are alive at once. Not thread-safe.
class Arena {
 public:
  // At least `floats` of them, contents undefined; null data where the memory cannot be had.
  [[nodiscard]] AlignedBuffer<float> Take(size_t floats);
  void Return(AlignedBuffer<float> buffer);
  // Frees what is larger than a decoding step needs, at the end of a pass.
  void Trim();
  [[nodiscard]] uint64_t idle_bytes() const;

 private:
  std::vector<AlignedBuffer<float>> idle_;
};

}  // namespace gwq
