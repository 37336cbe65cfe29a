// A file that grows in steps and is found again after a crash, cut to what was synced.
//
// Beside the data stands "<path>.sync": one record a Sync, the length as a little-endian u64 and its complement, which
// tells a torn record from a whole one. Only a length that was synced after its bytes is ever believed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "core/io/file_system.h"

namespace gwq {

// Not thread-safe. After an error of Append or Sync the object is of no further use; opening anew goes on from the last
// Sync.
class PartialFile {
 public:
  // Goes on from what was synced under `path`; bytes past it are cut off. The folder must exist. Calls `seen` with the
  // bytes that are there already, in order, a few MiB at a time.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<PartialFile>> Open(
      FileSystem& files, const std::string& path, const std::function<void(std::span<const std::byte>)>& seen);
  // Synced bytes under `path`; 0 where there are none.
  [[nodiscard]] static uint64_t SyncedSize(FileSystem& files, const std::string& path);
  // Removes data and record; missing files are fine.
  [[nodiscard]] static absl::Status Remove(FileSystem& files, const std::string& path);

  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] absl::Status Append(std::span<const std::byte> bytes);
  [[nodiscard]] absl::Status Sync();
  // Sync of the data alone and close: before a rename makes the file something else.
  [[nodiscard]] absl::Status SyncAndClose();

 private:
  PartialFile(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  FileSystem& files_;
  const std::string path_;
  uint64_t size_ = 0;
  bool named_ = false;  // the folder was synced since the two files were made
  std::unique_ptr<WritableFile> data_;
  std::unique_ptr<WritableFile> record_;
};

}  // namespace gwq
