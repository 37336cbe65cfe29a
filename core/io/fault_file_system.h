// A file system that loses unsynced data, for tests of everything that must be durable.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/mutex.h"
#include "core/io/file_system.h"

namespace gwq {

// What is left of unsynced work after a crash. Real machines show all of these.
enum class CrashKind {
  kDropUnsynced,  // neither names nor bytes: files cut to what was synced, new names gone, replaced and removed files
                  // back
  kZeroUnsynced,  // the names are there, the bytes are zeros (sizes reach the disk before data)
  kKeepUnsynced,  // everything: the process died, the machine did not
};

// Passes everything on to `base`, counts the operations that change something, and can fail or crash at a chosen one. A
// crash happens before that operation: unsynced work is undone on `base`, on_crash is called (a test of a whole process
// kills the process there), and every later call returns UNAVAILABLE until Restart. Files must not be renamed while
// they are open for writing. Thread-safe.
class FaultFileSystem : public FileSystem {
 public:
  explicit FaultFileSystem(FileSystem& base, std::function<void()> on_crash = nullptr);

  // Operations are counted from 0; each of these replaces what was asked for before. A failure happens once.
  void CrashAt(int64_t operation, CrashKind kind);
  void FailAt(int64_t operation, absl::Status status);
  [[nodiscard]] int64_t operations() const;
  // For other durable things that crash together with the files, such as a database: counts one operation, and returns
  // what an operation on files would return.
  [[nodiscard]] absl::Status CountOperation();
  void Crash(CrashKind kind);
  [[nodiscard]] bool crashed() const;
  // The machine is up again: everything on `base` is durable, and no failure is planned.
  void Restart();

  absl::StatusOr<std::unique_ptr<WritableFile>> OpenForAppend(const std::string& path, bool truncate) override;
  absl::StatusOr<std::unique_ptr<MappedFile>> Map(const std::string& path) override;
  absl::Status Read(const std::string& path, uint64_t offset, std::span<std::byte> out) override;
  absl::StatusOr<uint64_t> Size(const std::string& path) override;
  absl::StatusOr<FileInfo> Stat(const std::string& path) override;
  bool Exists(const std::string& path) override;
  absl::Status SetModified(const std::string& path, int64_t wall_millis) override;
  absl::Status Truncate(const std::string& path, uint64_t size) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status CreateFolders(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, bool exclusive) override;

 private:
  class File;
  // A name that changed and whose folder was not synced since.
  struct Change {
    enum class Kind { kCreate, kCreateFolder, kRename, kRemove } kind;
    std::string path;
    std::string from;                     // kRename
    std::optional<std::string> previous;  // bytes that were there before: kRename over a file, kRemove
    int64_t previous_modified = 0;
  };

  absl::Status Check() const;
  // Counts one changing operation; the planned failure, or UNAVAILABLE after the planned crash.
  absl::Status Count() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CrashLocked(CrashKind kind) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Undo(const Change& change);
  // Takes down what `path` holds, to be put back by Undo.
  void Remember(const std::string& path, Change& change);

  FileSystem& base_;
  const std::function<void()> on_crash_;
  mutable Mutex mutex_;
  int64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t crash_at_ ABSL_GUARDED_BY(mutex_) = -1;
  CrashKind crash_kind_ ABSL_GUARDED_BY(mutex_) = CrashKind::kDropUnsynced;
  int64_t fail_at_ ABSL_GUARDED_BY(mutex_) = -1;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool crashed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Change> changes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> synced_sizes_ ABSL_GUARDED_BY(mutex_);  // of files with bytes that may be un-synced
};

}  // namespace gwq
