// The seam under everything durable: what is written here survives a crash only once it is synced, and a test can take
// away what was not.
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

// A read-only mapping of a whole file. The bytes stay valid for the life of the object, also when the file is unlinked.
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

// Held until destroyed, also against other processes; the kernel releases it when the process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// Paths are absolute or relative to the working directory. All calls are thread-safe and may block. NOT_FOUND,
// ALREADY_EXISTS, RESOURCE_EXHAUSTED (no space) and PERMISSION_DENIED are told apart; everything else is INTERNAL with
// errno's text. Map, Read and Size are for regular files: a folder, pipe, socket or device is INVALID_ARGUMENT, at once
// also where a pipe has no writer.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Creates the file, or opens it to append where `truncate` is false.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<WritableFile>> OpenForAppend(const std::string& path,
                                                                                    bool truncate) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<MappedFile>> Map(const std::string& path) = 0;
  // Fills all of `out` from `offset`, or OUT_OF_RANGE where the file is shorter.
  [[nodiscard]] virtual absl::Status Read(const std::string& path, uint64_t offset, std::span<std::byte> out) = 0;
  [[nodiscard]] virtual absl::StatusOr<uint64_t> Size(const std::string& path) = 0;
  [[nodiscard]] virtual absl::StatusOr<FileInfo> Stat(const std::string& path) = 0;
  [[nodiscard]] virtual bool Exists(const std::string& path) = 0;
  // Sets the time that Stat tells.
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
  // Waits for the lock that the file `path`, created where it is missing, stands for: many shared holders or one
  // exclusive one, over all threads and processes.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, bool exclusive) = 0;
};

// The machine's file system. Never destroyed.
[[nodiscard]] FileSystem& LocalFileSystem();

// Creates the folders that are missing, and returns once their names are on the device. Where `path` is there already
// its own name is synced all the same, because whoever made it may have crashed before; a parent folder that may not be
// opened is left alone then.
[[nodiscard]] absl::Status CreateFoldersDurably(FileSystem& files, const std::string& path);

// Writes `bytes` as `path` so that a reader sees the old file or the new one whole, also after a crash:
// temporary file, fsync, rename, folder fsync.
[[nodiscard]] absl::Status WriteFileAtomically(FileSystem& files, const std::string& path,
                                               std::span<const std::byte> bytes);
// What would keep WriteFileAtomically from writing `path` now, found out with a temporary file beside it that does not
// stay: NOT_FOUND or PERMISSION_DENIED for the folder, INVALID_ARGUMENT where `path` is there and no regular file.
[[nodiscard]] absl::Status CheckFileCanBeWritten(FileSystem& files, const std::string& path);
// Reads a whole small file; RESOURCE_EXHAUSTED past `limit` bytes.
[[nodiscard]] absl::StatusOr<std::string> ReadSmallFile(FileSystem& files, const std::string& path, uint64_t limit);

}  // namespace gwq
