#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <random>

#include "core/base/status.h"
#include "core/io/file_system.h"
#include "core/io/paths.h"

namespace gwq {
namespace {

std::string TemporaryBeside(const std::string& path) { return fmt::format("{}.{}.tmp", path, UniqueSuffix()); }

absl::Status WriteAndSync(FileSystem& files, const std::string& path, std::span<const std::byte> bytes) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file, files.OpenForAppend(path, /*truncate=*/true));
  GWQ_RETURN_IF_ERROR(file->Append(bytes));
  GWQ_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

}  // namespace

std::string ParentFolder(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string UniqueSuffix() {
  static std::atomic<uint64_t> count{0};
  // The process id alone is not enough: containers that share a folder may all be process 1.
  static const uint64_t process = (uint64_t{std::random_device{}()} << 32) ^ static_cast<uint64_t>(::getpid());
  return fmt::format("{:016x}-{}", process, count.fetch_add(1));
}

absl::Status CreateFoldersDurably(FileSystem& files, const std::string& path) {
  std::vector<std::string> missing;
  // A file system that is down says of its root, too, that it does not exist.
  for (std::string folder = path; !files.Exists(folder) && folder != ParentFolder(folder);) {
    missing.push_back(folder);
    folder = ParentFolder(folder);
  }
  GWQ_RETURN_IF_ERROR(files.CreateFolders(path));
  for (const std::string& folder : missing) GWQ_RETURN_IF_ERROR(files.SyncFolder(ParentFolder(folder)));
  if (!missing.empty()) return absl::OkStatus();
  const absl::Status synced = files.SyncFolder(ParentFolder(path));
  return absl::IsPermissionDenied(synced) ? absl::OkStatus() : synced;
}

absl::Status WriteFileAtomically(FileSystem& files, const std::string& path, std::span<const std::byte> bytes) {
  const std::string temporary = TemporaryBeside(path);
  absl::Status status = WriteAndSync(files, temporary, bytes);
  if (status.ok()) status = files.Rename(temporary, path);
  if (!status.ok()) {
    files.Remove(temporary).IgnoreError();
    return status;
  }
  return files.SyncFolder(ParentFolder(path));
}

absl::Status CheckFileCanBeWritten(FileSystem& files, const std::string& path) {
  if (files.Exists(path)) GWQ_RETURN_IF_ERROR(files.Size(path).status());
  const std::string temporary = TemporaryBeside(path);
  GWQ_RETURN_IF_ERROR(files.OpenForAppend(temporary, /*truncate=*/true).status());
  return files.Remove(temporary);
}

absl::StatusOr<std::string> ReadSmallFile(FileSystem& files, const std::string& path, uint64_t limit) {
  GWQ_ASSIGN_OR_RETURN(const uint64_t size, files.Size(path));
  if (size > limit) {
    return absl::ResourceExhaustedError(fmt::format("'{}' has {} bytes, at most {} are read", path, size, limit));
  }
  std::string text(size, '\0');
  GWQ_RETURN_IF_ERROR(files.Read(path, 0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace gwq
