// Counts every byte that this program's heap holds, the C libraries' too: malloc and its kin are replaced by ones that
// count and call glibc's. Not for sanitizer builds, which replace them themselves.
#pragma once

#include <cstdint>

namespace gwq::testing {

// The most bytes held at once since it was made, less those held then. One at a time.
class PeakHeap {
 public:
  PeakHeap();
  [[nodiscard]] int64_t bytes() const;

 private:
  int64_t held_before_;
};

}  // namespace gwq::testing
