#include "core/io/scratch_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace gwq {
namespace {

absl::Status Failed(const std::string& folder, size_t bytes, int error) {
  const std::string text =
      fmt::format("a temporary file of {} bytes in '{}': {}; free some room or set TMPDIR to another folder", bytes,
                  folder, std::generic_category().message(error));
  const bool full =
      error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE || error == ENOMEM || error == EFBIG;
  return full ? absl::ResourceExhaustedError(text) : absl::FailedPreconditionError(text);
}

// Zero, or the errno of what failed.
int MapTemporaryFile(const std::string& folder, size_t bytes, void*& address) {
  std::string path = folder + "/gwq-scratch-XXXXXX";
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) return errno;
  ::unlink(path.c_str());
  // A mapped page that finds the disk full when it is touched would end the process with SIGBUS.
  int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (error == 0) {
    address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    error = address == MAP_FAILED ? errno : 0;
  }
  ::close(fd);
  return error;
}

bool IsHeap(size_t bytes) { return bytes <= ScratchMemory::kHeapBytes; }

void Free(std::span<std::byte> bytes) {
  if (IsHeap(bytes.size())) {
    std::free(bytes.data());
  } else {
    ::munmap(bytes.data(), bytes.size());
  }
}

}  // namespace

absl::StatusOr<ScratchMemory> ScratchMemory::Create(size_t bytes) {
  if (IsHeap(bytes)) {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* const memory = std::aligned_alloc(kAlignment, rounded);
    if (memory == nullptr && rounded > 0)
      return absl::ResourceExhaustedError(fmt::format("no {} bytes of memory are left", bytes));
    if (bytes > 0) std::memset(memory, 0, bytes);
    return ScratchMemory({static_cast<std::byte*>(memory), bytes});
  }
  std::error_code error;
  const std::string folder = std::filesystem::temp_directory_path(error).string();
  if (error) {
    return absl::FailedPreconditionError(
        fmt::format("no folder for temporary files ({}); set TMPDIR to one that can be written", error.message()));
  }
  void* address = nullptr;
  if (const int failed = MapTemporaryFile(folder, bytes, address); failed != 0) return Failed(folder, bytes, failed);
  return ScratchMemory({static_cast<std::byte*>(address), bytes});
}

ScratchMemory::ScratchMemory(ScratchMemory&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

ScratchMemory& ScratchMemory::operator=(ScratchMemory&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

ScratchMemory::~ScratchMemory() { Free(bytes_); }

}  // namespace gwq
