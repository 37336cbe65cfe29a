#include "core/io/scratch_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace gwq {
namespace {

absl::Status Failed(std::string_view what, int error) {
  const std::string text = fmt::format("{}: {}; free some room or set TMPDIR to another folder", what,
                                       std::generic_category().message(error));
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return full ? absl::ResourceExhaustedError(text) : absl::FailedPreconditionError(text);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchFile>> ScratchFile::Create() {
  std::error_code error;
  const std::string folder = std::filesystem::temp_directory_path(error).string();
  if (error) {
    const char* const wanted = std::getenv("TMPDIR");
    return absl::FailedPreconditionError(
        fmt::format("no temporary file in '{}' ({}); set TMPDIR to a folder that can be written",
                    wanted == nullptr ? "/tmp" : wanted, error.message()));
  }
  std::string path = folder + "/gwq-scratch-XXXXXX";
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) return Failed(fmt::format("a temporary file in '{}'", folder), errno);
  ::unlink(path.c_str());
  return std::unique_ptr<ScratchFile>(new ScratchFile(fd));
}

ScratchFile::~ScratchFile() { ::close(fd_); }

absl::Status ScratchFile::Write(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("writing a temporary file", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::Status ScratchFile::Read(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t read = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return Failed("reading a temporary file", errno);
    if (read == 0) return absl::OutOfRangeError(fmt::format("a temporary file ends before byte {}", offset));
    out = out.subspan(static_cast<size_t>(read));
    offset += static_cast<uint64_t>(read);
  }
  return absl::OkStatus();
}

}  // namespace gwq
