// The file system as an interface, under everything that must be durable. Written bytes survive a crash only after a
// sync, and a test can take away those that were not synced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

// A file open for writing at its end. Not thread-safe. Closing without Sync promises nothing after a crash.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  [[nodiscard]] virtual absl::Status Append(std::span<const std::byte> bytes) = 0;
  // fsync: returns once the bytes are on the device.
  [[nodiscard]] virtual absl::Status Sync() = 0;
  [[nodiscard]] virtual absl::Status Close() = 0;
};

// A read-only mapping of a whole file. The bytes stay valid for the life of the object, even if the file is unlinked.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  [[nodiscard]] virtual std::span<const std::byte> bytes() const = 0;
  // Tells the kernel that the pages are not needed any more; they are read again when touched.
  virtual void DropPages() const = 0;
};

struct FileInfo {
  uint64_t size = 0;
  int64_t modified_wall_millis = 0;
};

// A lock that is held until the object is destroyed, also against other processes. The kernel releases it if the
// process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// Paths are absolute or relative to the working directory. All calls are thread-safe and may block. NOT_FOUND,
// ALREADY_EXISTS, RESOURCE_EXHAUSTED (no space) and PERMISSION_DENIED are distinguished; all other errors are INTERNAL
// with errno's text. Map, Read and Size are for regular files: a folder, pipe, socket or device is INVALID_ARGUMENT,
// without waiting for the writer of a pipe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Creates the file, or opens it to append if `truncate` is false.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<WritableFile>> OpenForAppend(const std::string& path,
                                                                                    bool truncate) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<MappedFile>> Map(const std::string& path) = 0;
  // Fills all of `out` from `offset`; OUT_OF_RANGE if the file is shorter.
  [[nodiscard]] virtual absl::Status Read(const std::string& path, uint64_t offset, std::span<std::byte> out) = 0;
  [[nodiscard]] virtual absl::StatusOr<uint64_t> Size(const std::string& path) = 0;
  [[nodiscard]] virtual absl::StatusOr<FileInfo> Stat(const std::string& path) = 0;
  [[nodiscard]] virtual bool Exists(const std::string& path) = 0;
  // Sets the time that Stat returns.
  [[nodiscard]] virtual absl::Status SetModified(const std::string& path, int64_t wall_millis) = 0;
  // Cuts the file to `size` bytes and syncs it.
  [[nodiscard]] virtual absl::Status Truncate(const std::string& path, uint64_t size) = 0;
  // Replaces `to` atomically; durable once the folder is synced.
  [[nodiscard]] virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  [[nodiscard]] virtual absl::Status Remove(const std::string& path) = 0;
  [[nodiscard]] virtual absl::Status CreateFolders(const std::string& path) = 0;
  [[nodiscard]] virtual absl::Status SyncFolder(const std::string& path) = 0;
  // Names (not paths) of the folder's entries, sorted.
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  // Waits for the lock on the file `path`, which is created if it is missing: many shared holders or one exclusive
  // holder, over all threads and processes.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, bool exclusive) = 0;
};

// The machine's file system. Never destroyed.
[[nodiscard]] FileSystem& LocalFileSystem();

// Creates the folders that are missing, and returns once their names are on the device. If `path` exists already, its
// name is still synced, because the process that created it may have crashed before it did; a parent folder that cannot
// be opened is then ignored.
[[nodiscard]] absl::Status CreateFoldersDurably(FileSystem& files, const std::string& path);

// Writes `bytes` as `path` so that a reader sees the old file or the new one whole, also after a crash:
// temporary file, fsync, rename, folder fsync.
[[nodiscard]] absl::Status WriteFileAtomically(FileSystem& files, const std::string& path,
                                               std::span<const std::byte> bytes);
// Whether WriteFileAtomically could write `path` now, tested with a temporary file next to it: NOT_FOUND or
// PERMISSION_DENIED for the folder, INVALID_ARGUMENT if `path` exists and is not a regular file.
[[nodiscard]] absl::Status CheckFileCanBeWritten(FileSystem& files, const std::string& path);
// Reads a whole small file; RESOURCE_EXHAUSTED past `limit` bytes.
[[nodiscard]] absl::StatusOr<std::string> ReadSmallFile(FileSystem& files, const std::string& path, uint64_t limit);

}  // namespace gwq
