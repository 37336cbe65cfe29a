#include "core/storage/partial_file.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/status.h"
#include "core/io/paths.h"

namespace gwq {
namespace {

constexpr uint64_t kRecordBytes = 16;
constexpr uint64_t kReadBytes = uint64_t{4} << 20;
constexpr uint64_t kMaxRecordFile = uint64_t{16} << 20;

std::string RecordPath(const std::string& path) { return path + ".sync"; }

struct Synced {
  uint64_t size = 0;          // of the data
  uint64_t record_bytes = 0;  // whole records
};

Synced ReadRecord(FileSystem& files, const std::string& path) {
  Synced synced;
  const auto record = ReadSmallFile(files, RecordPath(path), kMaxRecordFile);
  const auto data_size = files.Size(path);
  if (!record.ok() || !data_size.ok()) return synced;
  for (uint64_t at = 0; at + kRecordBytes <= record->size(); at += kRecordBytes) {
    uint64_t words[2];
    std::memcpy(words, record->data() + at, kRecordBytes);
    if (words[1] != ~words[0] || words[0] < synced.size || words[0] > *data_size) break;
    synced = {words[0], at + kRecordBytes};
  }
  return synced;
}

absl::Status IgnoreMissing(absl::Status status) { return absl::IsNotFound(status) ? absl::OkStatus() : status; }

absl::Status ReadThrough(FileSystem& files, const std::string& path, uint64_t size,
                         const std::function<void(std::span<const std::byte>)>& seen) {
  std::vector<std::byte> buffer(std::min(size, kReadBytes));
  for (uint64_t at = 0; at < size; at += buffer.size()) {
    buffer.resize(std::min(size - at, kReadBytes));
    GWQ_RETURN_IF_ERROR(files.Read(path, at, buffer));
    seen(buffer);
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t PartialFile::SyncedSize(FileSystem& files, const std::string& path) { return ReadRecord(files, path).size; }

absl::Status PartialFile::Remove(FileSystem& files, const std::string& path) {
  // The record first: data without one counts as nothing, a record without data could meet a later file's bytes.
  GWQ_RETURN_IF_ERROR(IgnoreMissing(files.Remove(RecordPath(path))));
  return IgnoreMissing(files.Remove(path));
}

absl::StatusOr<std::unique_ptr<PartialFile>> PartialFile::Open(
    FileSystem& files, const std::string& path, const std::function<void(std::span<const std::byte>)>& seen) {
  const Synced synced = ReadRecord(files, path);
  if (synced.size == 0) {
    GWQ_RETURN_IF_ERROR(Remove(files, path));
  } else {
    GWQ_RETURN_IF_ERROR(files.Truncate(path, synced.size));
    GWQ_RETURN_IF_ERROR(files.Truncate(RecordPath(path), synced.record_bytes));
  }
  GWQ_RETURN_IF_ERROR(ReadThrough(files, path, synced.size, seen));
  std::unique_ptr<PartialFile> file(new PartialFile(files, path));
  file->size_ = synced.size;
  file->named_ = synced.size > 0;
  GWQ_ASSIGN_OR_RETURN(file->data_, files.OpenForAppend(path, /*truncate=*/false));
  return file;
}

absl::Status PartialFile::Append(std::span<const std::byte> bytes) {
  GWQ_RETURN_IF_ERROR(data_->Append(bytes));
  size_ += bytes.size();
  return absl::OkStatus();
}

absl::Status PartialFile::Sync() {
  GWQ_RETURN_IF_ERROR(data_->Sync());
  if (record_ == nullptr) {
    GWQ_ASSIGN_OR_RETURN(record_, files_.OpenForAppend(RecordPath(path_), /*truncate=*/false));
  }
  const std::array<uint64_t, 2> words = {size_, ~size_};
  GWQ_RETURN_IF_ERROR(record_->Append(std::as_bytes(std::span(words))));
  GWQ_RETURN_IF_ERROR(record_->Sync());
  if (named_) return absl::OkStatus();
  GWQ_RETURN_IF_ERROR(files_.SyncFolder(ParentFolder(path_)));
  named_ = true;
  return absl::OkStatus();
}

absl::Status PartialFile::SyncAndClose() {
  GWQ_RETURN_IF_ERROR(data_->Sync());
  GWQ_RETURN_IF_ERROR(data_->Close());
  if (record_ == nullptr) return absl::OkStatus();
  return record_->Close();
}

}  // namespace gwq
