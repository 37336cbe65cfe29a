// Working data that does not fit into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"

namespace gwq {

// A temporary file without a name, in the folder that TMPDIR names or else /tmp: it is gone with the object and with
// the process, however that ends. It is read and written, not mapped, so that its pages are no memory of the process.
// Thread-safe where ranges do not overlap.
class ScratchFile {
 public:
  // FAILED_PRECONDITION if the folder cannot be written; the text names it and TMPDIR.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ScratchFile>> Create();
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  // Grows the file where needed. RESOURCE_EXHAUSTED if the disk is full.
  [[nodiscard]] absl::Status Write(uint64_t offset, std::span<const std::byte> bytes);
  // Fills all of `out`; OUT_OF_RANGE past the end.
  [[nodiscard]] absl::Status Read(uint64_t offset, std::span<std::byte> out) const;

 private:
  explicit ScratchFile(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace gwq
