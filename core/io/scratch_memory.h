// Working memory for data that a library must hold as a whole: the kernel may write it to disk instead of keeping it.
#pragma once

#include <cstddef>
#include <span>

#include "absl/status/statusor.h"

namespace gwq {

// Up to kHeapBytes it is heap memory. More is a mapping of an unlinked temporary file in the folder TMPDIR, or in /tmp
// if that is not set, so that its pages can be written out. The file disappears with the object and with the process.
// Movable; not thread-safe.
class ScratchMemory {
 public:
  static constexpr size_t kHeapBytes = size_t{4} << 20;
  static constexpr size_t kAlignment = 64;

  // `bytes` zeros. The disk space is allocated at once, so that touching the bytes cannot fail later:
  // RESOURCE_EXHAUSTED if there is none, another error if the folder cannot be written. Both name the folder and
  // TMPDIR.
  [[nodiscard]] static absl::StatusOr<ScratchMemory> Create(size_t bytes);

  ScratchMemory() = default;  // empty
  ScratchMemory(ScratchMemory&& other) noexcept;
  ScratchMemory& operator=(ScratchMemory&& other) noexcept;
  ~ScratchMemory();

  // Aligned to kAlignment.
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  explicit ScratchMemory(std::span<std::byte> bytes) : bytes_(bytes) {}

  std::span<std::byte> bytes_;
};

}  // namespace gwq
