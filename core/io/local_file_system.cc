#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/base/status.h"
#include "core/io/file_system.h"

namespace gwq {
namespace {

absl::Status ErrnoStatus(std::string_view action, const std::string& path, int error) {
  const std::string text = fmt::format("{} '{}': {}", action, path, std::generic_category().message(error));
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(text);
    case EEXIST:
      return absl::AlreadyExistsError(text);
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(text);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(text);
    default:
      return absl::InternalError(text);
  }
}

// Repeats a call that a signal interrupted.
template <class Call>
auto Retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

absl::StatusOr<Descriptor> Open(const std::string& path, int flags) {
  const int fd = Retried([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0640); });
  if (fd < 0) return ErrnoStatus("opening", path, errno);
  return Descriptor(fd);
}

std::string_view KindOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "a folder";
    case S_IFIFO:
      return "a pipe";
    case S_IFSOCK:
      return "a socket";
    default:
      return "a device";
  }
}

absl::Status NotRegular(const std::string& path, std::string_view kind) {
  return absl::InvalidArgumentError(
      fmt::format("'{}' is {}: only regular files are read; copy what it holds into one", path, kind));
}

absl::Status CheckRegular(const std::string& path, mode_t mode) {
  return S_ISREG(mode) ? absl::OkStatus() : NotRegular(path, KindOf(mode));
}

struct RegularFile {
  Descriptor fd;
  size_t size;
};

absl::StatusOr<RegularFile> OpenRegular(const std::string& path) {
  // Without O_NONBLOCK the open of a pipe waits for a writer, and that of some devices for their other end.
  Descriptor fd(Retried([&] { return ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); }));
  if (fd.get() < 0 && errno == ENXIO) return NotRegular(path, "a socket or a device that is not there");
  if (fd.get() < 0) return ErrnoStatus("opening", path, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) < 0) return ErrnoStatus("reading the size of", path, errno);
  GWQ_RETURN_IF_ERROR(CheckRegular(path, info.st_mode));
  return RegularFile{std::move(fd), static_cast<size_t>(info.st_size)};
}

class LocalWritableFile final : public WritableFile {
 public:
  LocalWritableFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::Status Append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = Retried([&] { return ::write(fd_.get(), bytes.data(), bytes.size()); });
      if (written < 0) return ErrnoStatus("writing", path_, errno);
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }
  absl::Status Sync() override {
    if (Retried([&] { return ::fsync(fd_.get()); }) < 0) return ErrnoStatus("syncing", path_, errno);
    return absl::OkStatus();
  }
  absl::Status Close() override {
    // After EINTR the descriptor is gone on Linux: closing again could close somebody else's.
    if (::close(fd_.Release()) < 0 && errno != EINTR) return ErrnoStatus("closing", path_, errno);
    return absl::OkStatus();
  }

 private:
  Descriptor fd_;
  const std::string path_;
};

class LocalMappedFile final : public MappedFile {
 public:
  LocalMappedFile(void* address, size_t size) : address_(address), size_(size) {}
  ~LocalMappedFile() override {
    if (size_ > 0) ::munmap(address_, size_);
  }
  LocalMappedFile(const LocalMappedFile&) = delete;
  LocalMappedFile& operator=(const LocalMappedFile&) = delete;

  std::span<const std::byte> bytes() const override { return {static_cast<const std::byte*>(address_), size_}; }
  void DropPages() const override {
    if (size_ > 0) ::madvise(address_, size_, MADV_DONTNEED);
  }

 private:
  void* const address_;
  const size_t size_;
};

class LocalFileLock final : public FileLock {
 public:
  explicit LocalFileLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  Descriptor fd_;
};

class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> OpenForAppend(const std::string& path, bool truncate) override {
    GWQ_ASSIGN_OR_RETURN(Descriptor fd, Open(path, O_WRONLY | O_CREAT | O_APPEND | (truncate ? O_TRUNC : 0)));
    return std::make_unique<LocalWritableFile>(std::move(fd), path);
  }

  absl::StatusOr<std::unique_ptr<MappedFile>> Map(const std::string& path) override {
    GWQ_ASSIGN_OR_RETURN(const RegularFile file, OpenRegular(path));
    if (file.size == 0) return std::make_unique<LocalMappedFile>(nullptr, 0);  // mmap refuses a length of 0
    void* const address = ::mmap(nullptr, file.size, PROT_READ, MAP_SHARED, file.fd.get(), 0);
    if (address == MAP_FAILED) return ErrnoStatus("mapping", path, errno);
    return std::make_unique<LocalMappedFile>(address, file.size);
  }

  absl::Status Read(const std::string& path, uint64_t offset, std::span<std::byte> out) override {
    GWQ_ASSIGN_OR_RETURN(const RegularFile file, OpenRegular(path));
    while (!out.empty()) {
      // The kernel takes an offset past 2^63 for a negative one.
      const ssize_t got = offset >= file.size ? 0 : Retried([&] {
        return ::pread(file.fd.get(), out.data(), out.size(), static_cast<off_t>(offset));
      });
      if (got < 0) return ErrnoStatus("reading", path, errno);
      if (got == 0) {
        return absl::OutOfRangeError(
            fmt::format("'{}' ends at byte {}, {} bytes more were asked for", path, offset, out.size()));
      }
      out = out.subspan(static_cast<size_t>(got));
      offset += static_cast<uint64_t>(got);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size(const std::string& path) override {
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0) return ErrnoStatus("reading the size of", path, errno);
    GWQ_RETURN_IF_ERROR(CheckRegular(path, info.st_mode));
    return static_cast<uint64_t>(info.st_size);
  }

  absl::StatusOr<FileInfo> Stat(const std::string& path) override {
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0) return ErrnoStatus("reading the size of", path, errno);
    return FileInfo{static_cast<uint64_t>(info.st_size), info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000};
  }

  bool Exists(const std::string& path) override { return ::access(path.c_str(), F_OK) == 0; }

  absl::Status SetModified(const std::string& path, int64_t wall_millis) override {
    timespec times[2] = {{0, UTIME_OMIT}, {wall_millis / 1000, (wall_millis % 1000) * 1000000}};
    if (::utimensat(AT_FDCWD, path.c_str(), times, 0) < 0) return ErrnoStatus("setting the time of", path, errno);
    return absl::OkStatus();
  }

  absl::Status Truncate(const std::string& path, uint64_t size) override {
    GWQ_ASSIGN_OR_RETURN(const Descriptor fd, Open(path, O_WRONLY));
    if (Retried([&] { return ::ftruncate(fd.get(), static_cast<off_t>(size)); }) < 0 ||
        Retried([&] { return ::fsync(fd.get()); }) < 0) {
      return ErrnoStatus("cutting", path, errno);
    }
    return absl::OkStatus();
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) < 0) return ErrnoStatus(fmt::format("renaming '{}' to", from), to, errno);
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    if (::remove(path.c_str()) < 0) return ErrnoStatus("removing", path, errno);
    return absl::OkStatus();
  }

  absl::Status CreateFolders(const std::string& path) override {
    for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      const std::string folder = path.substr(0, end);
      if (!folder.empty() && ::mkdir(folder.c_str(), 0750) < 0 && errno != EEXIST) {
        return ErrnoStatus("creating folder", folder, errno);
      }
      if (end == std::string::npos) break;
    }
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0) return ErrnoStatus("creating folder", path, errno);
    if (!S_ISDIR(info.st_mode)) return absl::AlreadyExistsError(fmt::format("'{}' exists and is not a folder", path));
    return absl::OkStatus();
  }

  absl::Status SyncFolder(const std::string& path) override {
    GWQ_ASSIGN_OR_RETURN(const Descriptor fd, Open(path, O_RDONLY | O_DIRECTORY));
    if (Retried([&] { return ::fsync(fd.get()); }) < 0) return ErrnoStatus("syncing folder", path, errno);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), &::closedir);
    if (folder == nullptr) return ErrnoStatus("listing", path, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(folder.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return ErrnoStatus("listing", path, errno);
    std::ranges::sort(names);
    return names;
  }

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, bool exclusive) override {
    GWQ_ASSIGN_OR_RETURN(Descriptor fd, Open(path, O_RDWR | O_CREAT));
    if (Retried([&] { return ::flock(fd.get(), exclusive ? LOCK_EX : LOCK_SH); }) < 0) {
      return ErrnoStatus("locking", path, errno);
    }
    return std::make_unique<LocalFileLock>(std::move(fd));
  }
};

}  // namespace

FileSystem& LocalFileSystem() {
  static auto* const files = new PosixFileSystem;
  return *files;
}

}  // namespace gwq
