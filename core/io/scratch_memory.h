// Working memory for what a library insists on holding whole: the kernel may write it to disk instead of keeping it.
#pragma once

#include <cstddef>
#include <span>

#include "absl/status/statusor.h"

namespace gwq {

// Up to kHeapBytes it is heap; more is a mapping of a temporary file that has no name any more, in the folder that
// TMPDIR names or /tmp, so that its pages can be written out and cost no memory that others need. Gone with the object,
// and with the process. Movable; not thread-safe.
class ScratchMemory {
 public:
  static constexpr size_t kHeapBytes = size_t{4} << 20;
  static constexpr size_t kAlignment = 64;

  // `bytes` zeros. The disk's room is taken at once, so that touching them cannot fail later: RESOURCE_EXHAUSTED where
  // there is none, another error where the folder cannot be written; both name the folder and TMPDIR.
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
