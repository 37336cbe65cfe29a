#include "core/io/fault_file_system.h"

#include <limits>
#include <utility>

#include "core/base/status.h"
#include "core/io/paths.h"

namespace gwq {
namespace {

void WriteWhole(FileSystem& files, const std::string& path, std::span<const std::byte> bytes, bool truncate) {
  auto file = files.OpenForAppend(path, truncate);
  if (!file.ok()) return;
  (*file)->Append(bytes).IgnoreError();
  (*file)->Close().IgnoreError();
}

void RemoveAll(FileSystem& files, const std::string& path) {
  const auto names = files.List(path);
  if (names.ok()) {
    for (const std::string& name : *names) RemoveAll(files, path + "/" + name);
  }
  files.Remove(path).IgnoreError();
}

}  // namespace

class FaultFileSystem::File final : public WritableFile {
 public:
  File(FaultFileSystem& owner, std::unique_ptr<WritableFile> file, std::string path)
      : owner_(owner), file_(std::move(file)), path_(std::move(path)) {}

  absl::Status Append(std::span<const std::byte> bytes) override {
    MutexLock lock(owner_.mutex_);
    GWQ_RETURN_IF_ERROR(owner_.Count());
    return file_->Append(bytes);
  }
  absl::Status Sync() override {
    MutexLock lock(owner_.mutex_);
    GWQ_RETURN_IF_ERROR(owner_.Count());
    GWQ_ASSIGN_OR_RETURN(const uint64_t size, owner_.base_.Size(path_));
    owner_.synced_sizes_[path_] = size;
    return absl::OkStatus();  // the base needs no fsync: only this object takes bytes away
  }
  absl::Status Close() override { return file_->Close(); }

 private:
  FaultFileSystem& owner_;
  const std::unique_ptr<WritableFile> file_;
  const std::string path_;
};

FaultFileSystem::FaultFileSystem(FileSystem& base, std::function<void()> on_crash)
    : base_(base), on_crash_(std::move(on_crash)) {}

void FaultFileSystem::CrashAt(int64_t operation, CrashKind kind) {
  MutexLock lock(mutex_);
  crash_at_ = operation;
  crash_kind_ = kind;
}

void FaultFileSystem::FailAt(int64_t operation, absl::Status status) {
  MutexLock lock(mutex_);
  fail_at_ = operation;
  failure_ = std::move(status);
}

int64_t FaultFileSystem::operations() const {
  MutexLock lock(mutex_);
  return operations_;
}

absl::Status FaultFileSystem::CountOperation() {
  MutexLock lock(mutex_);
  return Count();
}

void FaultFileSystem::Crash(CrashKind kind) {
  MutexLock lock(mutex_);
  CrashLocked(kind);
}

bool FaultFileSystem::crashed() const {
  MutexLock lock(mutex_);
  return crashed_;
}

void FaultFileSystem::Restart() {
  MutexLock lock(mutex_);
  crashed_ = false;
  crash_at_ = fail_at_ = -1;
  changes_.clear();
  synced_sizes_.clear();
}

absl::Status FaultFileSystem::Check() const {
  MutexLock lock(mutex_);
  return crashed_ ? absl::UnavailableError("the machine has crashed") : absl::OkStatus();
}

absl::Status FaultFileSystem::Count() {
  if (!crashed_ && operations_ == crash_at_) CrashLocked(crash_kind_);
  if (crashed_) return absl::UnavailableError("the machine has crashed");
  if (operations_++ != fail_at_) return absl::OkStatus();
  return failure_;
}

void FaultFileSystem::CrashLocked(CrashKind kind) {
  crashed_ = true;
  if (kind != CrashKind::kKeepUnsynced) {
    for (const auto& [path, synced] : synced_sizes_) {
      const auto size = base_.Size(path);
      if (!size.ok() || *size <= synced) continue;
      base_.Truncate(path, synced).IgnoreError();
      if (kind == CrashKind::kZeroUnsynced) {
        WriteWhole(base_, path, std::vector<std::byte>(*size - synced), /*truncate=*/false);
      }
    }
  }
  if (kind == CrashKind::kDropUnsynced) {
    for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) Undo(*change);
  }
  if (on_crash_) on_crash_();
}

void FaultFileSystem::Undo(const Change& change) {
  if (change.kind == Change::Kind::kCreate) base_.Remove(change.path).IgnoreError();
  if (change.kind == Change::Kind::kCreateFolder) RemoveAll(base_, change.path);
  if (change.kind == Change::Kind::kRename) base_.Rename(change.path, change.from).IgnoreError();
  if (!change.previous) return;
  WriteWhole(base_, change.path, std::as_bytes(std::span(*change.previous)), /*truncate=*/true);
  base_.SetModified(change.path, change.previous_modified).IgnoreError();
}

void FaultFileSystem::Remember(const std::string& path, Change& change) {
  const auto info = base_.Stat(path);
  auto text = ReadSmallFile(base_, path, std::numeric_limits<uint64_t>::max());
  if (!info.ok() || !text.ok()) return;
  change.previous = *std::move(text);
  change.previous_modified = info->modified_wall_millis;
}

absl::StatusOr<std::unique_ptr<WritableFile>> FaultFileSystem::OpenForAppend(const std::string& path, bool truncate) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(Count());
  const auto size = base_.Size(path);
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file, base_.OpenForAppend(path, truncate));
  if (!size.ok()) changes_.push_back({Change::Kind::kCreate, path, {}, {}, 0});
  if (truncate || !size.ok()) {
    synced_sizes_[path] = 0;
  } else {
    synced_sizes_.try_emplace(path, *size);
  }
  return std::make_unique<File>(*this, std::move(file), path);
}

absl::StatusOr<std::unique_ptr<MappedFile>> FaultFileSystem::Map(const std::string& path) {
  GWQ_RETURN_IF_ERROR(Check());
  return base_.Map(path);
}

absl::Status FaultFileSystem::Read(const std::string& path, uint64_t offset, std::span<std::byte> out) {
  GWQ_RETURN_IF_ERROR(Check());
  return base_.Read(path, offset, out);
}

absl::StatusOr<uint64_t> FaultFileSystem::Size(const std::string& path) {
  GWQ_RETURN_IF_ERROR(Check());
  return base_.Size(path);
}

absl::StatusOr<FileInfo> FaultFileSystem::Stat(const std::string& path) {
  GWQ_RETURN_IF_ERROR(Check());
  return base_.Stat(path);
}

bool FaultFileSystem::Exists(const std::string& path) { return Check().ok() && base_.Exists(path); }

absl::Status FaultFileSystem::SetModified(const std::string& path, int64_t wall_millis) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(Count());
  return base_.SetModified(path, wall_millis);
}

absl::Status FaultFileSystem::Truncate(const std::string& path, uint64_t size) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(Count());
  GWQ_RETURN_IF_ERROR(base_.Truncate(path, size));
  synced_sizes_[path] = size;
  return absl::OkStatus();
}

absl::Status FaultFileSystem::Rename(const std::string& from, const std::string& to) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(Count());
  Change change{Change::Kind::kRename, to, from, {}, 0};
  Remember(to, change);
  GWQ_RETURN_IF_ERROR(base_.Rename(from, to));
  changes_.push_back(std::move(change));
  synced_sizes_.erase(to);
  if (auto moved = synced_sizes_.extract(from)) {
    moved.key() = to;
    synced_sizes_.insert(std::move(moved));
  }
  return absl::OkStatus();
}

absl::Status FaultFileSystem::Remove(const std::string& path) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(Count());
  Change change{Change::Kind::kRemove, path, {}, {}, 0};
  Remember(path, change);
  GWQ_RETURN_IF_ERROR(base_.Remove(path));
  synced_sizes_.erase(path);
  changes_.push_back(std::move(change));
  return absl::OkStatus();
}

absl::Status FaultFileSystem::CreateFolders(const std::string& path) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(Count());
  std::vector<Change> made;
  for (std::string folder = path; folder != "/" && folder != "." && !base_.Exists(folder);
       folder = ParentFolder(folder)) {
    made.insert(made.begin(), {Change::Kind::kCreateFolder, folder, {}, {}, 0});
  }
  GWQ_RETURN_IF_ERROR(base_.CreateFolders(path));
  changes_.insert(changes_.end(), made.begin(), made.end());
  return absl::OkStatus();
}

absl::Status FaultFileSystem::SyncFolder(const std::string& path) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(Count());
  if (!base_.Exists(path)) return absl::NotFoundError(path);
  std::erase_if(changes_, [&](const Change& change) { return ParentFolder(change.path) == path; });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FaultFileSystem::List(const std::string& path) {
  GWQ_RETURN_IF_ERROR(Check());
  return base_.List(path);
}

absl::StatusOr<std::unique_ptr<FileLock>> FaultFileSystem::Lock(const std::string& path, bool exclusive) {
  GWQ_RETURN_IF_ERROR(Check());
  return base_.Lock(path, exclusive);
}

}  // namespace gwq
