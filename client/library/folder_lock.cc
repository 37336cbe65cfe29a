#include "client/library/folder_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace gwq::client {
namespace {

absl::Status Failed(std::string_view action, const std::string& folder, int error) {
  const std::string text = fmt::format("{} '{}': {}", action, folder, std::generic_category().message(error));
  return error == EACCES ? absl::PermissionDeniedError(text) : absl::InternalError(text);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FolderLock>> FolderLock::Take(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return Failed("opening folder", folder, errno);
  std::unique_ptr<FolderLock> lock(new FolderLock(descriptor));
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return Failed("locking folder", folder, errno);
  return absl::UnavailableError(
      fmt::format("'{}' is being written by another pull: wait for its end, or give another folder", folder));
}

FolderLock::~FolderLock() { ::close(descriptor_); }

}  // namespace gwq::client
