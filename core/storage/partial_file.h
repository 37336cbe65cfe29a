// A file that grows in steps and can be opened again after a crash, cut to its synced bytes.
//
// The file "<path>.sync" has one record per Sync: the length as a little-endian u64 and its complement, so that a torn
// record can be recognised. A length is valid only if it was synced after its bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "core/io/file_system.h"

namespace gwq {

// Not thread-safe. After an error of Append or Sync the object cannot be used any more; opening the file again
// continues from the last Sync.
class PartialFile {
 public:
  // Continues from the synced bytes under `path`; bytes after them are cut off. The folder must exist. Calls `seen`
  // with the synced bytes, in order, a few MiB at a time.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<PartialFile>> Open(
      FileSystem& files, const std::string& path, const std::function<void(std::span<const std::byte>)>& seen);
  // Synced bytes under `path`; 0 if there are none.
  [[nodiscard]] static uint64_t SyncedSize(FileSystem& files, const std::string& path);
  // Removes data and record; missing files are fine.
  [[nodiscard]] static absl::Status Remove(FileSystem& files, const std::string& path);

  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] absl::Status Append(std::span<const std::byte> bytes);
  [[nodiscard]] absl::Status Sync();
  // Syncs the data alone and closes the file, before a rename.
  [[nodiscard]] absl::Status SyncAndClose();

 private:
  PartialFile(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  FileSystem& files_;
  const std::string path_;
  uint64_t size_ = 0;
  bool named_ = false;  // the folder has been synced since the two files were created
  std::unique_ptr<WritableFile> data_;
  std::unique_ptr<WritableFile> record_;
};

}  // namespace gwq
