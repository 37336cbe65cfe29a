#include "core/storage/local_blob_store.h"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <unordered_set>

#include "absl/hash/hash.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/io/paths.h"
#include "core/storage/partial_file.h"

namespace gwq {
namespace {

constexpr size_t kMaxKeyBytes = 200;  // escaped, so that "<key>.sync" is a file name

// Letters, digits, '-' and '_' stand for themselves, so a prefix of a key is a prefix of its name and no name has a
// dot.
std::string EscapeKey(std::string_view key) {
  std::string out;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                       byte == '-' || byte == '_';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

// What the store and its writers share; a writer may outlive the store.
struct Shared {
  FileSystem& files;
  const Clock& clock;
  const std::string root;
  Mutex mutex;
  std::set<std::string> live_keys ABSL_GUARDED_BY(mutex);
  std::set<std::string> durable_folders ABSL_GUARDED_BY(mutex);  // known to be there after a crash

  [[nodiscard]] std::string BlobsFolder() const { return root + "/blobs"; }
  [[nodiscard]] std::string PartialFolder() const { return root + "/partial"; }
  [[nodiscard]] std::string TemporaryFolder() const { return root + "/temporary"; }
  [[nodiscard]] std::string BlobFolder(const Digest& digest) const {
    return fmt::format("{}/{}", BlobsFolder(), digest.Hex().substr(0, 2));
  }
  [[nodiscard]] std::string BlobPath(const Digest& digest) const {
    return fmt::format("{}/{}", BlobFolder(digest), digest.Hex());
  }
  [[nodiscard]] absl::StatusOr<std::unique_ptr<FileLock>> Lock(bool exclusive) const {
    return files.Lock(root + "/lock", exclusive);
  }

  // Once a folder and process, also where it exists: whoever made it may have crashed before its name was synced.
  [[nodiscard]] absl::Status MakeDurable(const std::string& folder) {
    {
      MutexLock lock(mutex);
      if (durable_folders.contains(folder)) return absl::OkStatus();
    }
    GWQ_RETURN_IF_ERROR(CreateFoldersDurably(files, folder));
    MutexLock lock(mutex);
    durable_folders.insert(folder);
    return absl::OkStatus();
  }

  // Durable and visible on OK. `path` is synced and closed.
  [[nodiscard]] absl::Status Publish(const std::string& path, const Digest& digest) {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, Lock(/*exclusive=*/false));
    const std::string folder = BlobFolder(digest);
    GWQ_RETURN_IF_ERROR(MakeDurable(folder));
    GWQ_RETURN_IF_ERROR(files.SetModified(path, clock.WallMillis()));
    GWQ_RETURN_IF_ERROR(files.Rename(path, BlobPath(digest)));
    return files.SyncFolder(folder);
  }
};

struct Expected {
  std::string key;  // escaped
  Digest digest;
  uint64_t size = 0;
};

class LocalBlobWriter final : public BlobWriter {
 public:
  // `expected` is empty for an unnamed blob.
  LocalBlobWriter(std::shared_ptr<Shared> shared, std::string path, std::optional<Expected> expected)
      : shared_(std::move(shared)), path_(std::move(path)), expected_(std::move(expected)) {}

  ~LocalBlobWriter() override {
    // Nobody can find an unnamed blob again.
    if (!expected_ && !ended_) Drop();
    file_.reset();
    if (!expected_) return;
    MutexLock lock(shared_->mutex);
    shared_->live_keys.erase(expected_->key);
  }
  LocalBlobWriter(const LocalBlobWriter&) = delete;
  LocalBlobWriter& operator=(const LocalBlobWriter&) = delete;

  [[nodiscard]] absl::Status Open() {
    const auto seen = [this](std::span<const std::byte> bytes) { hash_.Update(bytes); };
    GWQ_ASSIGN_OR_RETURN(file_, PartialFile::Open(shared_->files, path_, seen));
    return absl::OkStatus();
  }

  uint64_t offset() const override { return file_->size(); }

  absl::Status Append(std::span<const std::byte> bytes) override {
    GWQ_RETURN_IF_ERROR(CheckOpen());
    if (expected_ && bytes.size() > expected_->size - std::min(offset(), expected_->size)) {
      return absl::InvalidArgumentError(fmt::format("{} bytes at {} reach past the {} that blob {} was declared with",
                                                    bytes.size(), offset(), expected_->size, expected_->digest.Hex()));
    }
    const absl::Status status = file_->Append(bytes);
    if (!status.ok()) return End(status);
    hash_.Update(bytes);
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    GWQ_RETURN_IF_ERROR(CheckOpen());
    const absl::Status status = file_->Sync();
    return status.ok() ? status : End(status);
  }

  absl::StatusOr<Digest> Commit() override {
    GWQ_RETURN_IF_ERROR(CheckOpen());
    const Digest digest = hash_.Finish();
    ended_ = true;
    if (expected_ && (digest != expected_->digest || offset() != expected_->size)) {
      Drop();
      return absl::DataLossError(
          fmt::format("{} bytes with digest {} came where {} bytes with digest {} were declared; "
                      "they are dropped: send the blob again from its start",
                      offset(), digest.Hex(), expected_->size, expected_->digest.Hex()));
    }
    GWQ_RETURN_IF_ERROR(file_->SyncAndClose());
    GWQ_RETURN_IF_ERROR(shared_->Publish(path_, digest));
    // The blob is there: what is left of the partial record is only litter, and Begin clears it too.
    PartialFile::Remove(shared_->files, path_).IgnoreError();
    return digest;
  }

  void Discard() override {
    if (ended_) return;
    ended_ = true;
    Drop();
  }

 private:
  [[nodiscard]] absl::Status CheckOpen() const {
    if (!ended_) return absl::OkStatus();
    return absl::FailedPreconditionError("the blob writer has ended: begin a new one");
  }
  absl::Status End(absl::Status status) {
    ended_ = true;
    if (!expected_) Drop();
    return status;
  }
  void Drop() { PartialFile::Remove(shared_->files, path_).IgnoreError(); }

  const std::shared_ptr<Shared> shared_;
  const std::string path_;
  const std::optional<Expected> expected_;
  std::unique_ptr<PartialFile> file_;
  Sha256 hash_;
  bool ended_ = false;
};

class LocalPinnedBlob final : public PinnedBlob {
 public:
  explicit LocalPinnedBlob(std::unique_ptr<MappedFile> file) : file_(std::move(file)) {}
  std::span<const std::byte> bytes() const override { return file_->bytes(); }
  void DropPages() const override { file_->DropPages(); }

 private:
  const std::unique_ptr<MappedFile> file_;
};

absl::Status NameMissing(const Digest& digest, absl::Status status) {
  if (!absl::IsNotFound(status)) return status;
  return absl::NotFoundError(fmt::format("no blob {} in the store", digest.Hex()));
}

class LocalBlobStore final : public BlobStore {
 public:
  explicit LocalBlobStore(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  [[nodiscard]] absl::Status Open() {
    for (const std::string& folder :
         {shared_->root, shared_->BlobsFolder(), shared_->PartialFolder(), shared_->TemporaryFolder()}) {
      GWQ_RETURN_IF_ERROR(CreateFoldersDurably(shared_->files, folder));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<BlobWriter>> Begin(std::string_view key, const Digest& expected,
                                                    uint64_t size) override {
    const std::string name = EscapeKey(key);
    if (name.empty() || name.size() > kMaxKeyBytes) {
      return absl::InvalidArgumentError(
          fmt::format("key of {} escaped bytes; 1 to {} are allowed", name.size(), kMaxKeyBytes));
    }
    {
      MutexLock lock(shared_->mutex);
      if (!shared_->live_keys.insert(name).second) {
        return absl::AlreadyExistsError(fmt::format("blob {} is being written by another call", expected.Hex()));
      }
    }
    const std::string path = fmt::format("{}/{}", shared_->PartialFolder(), name);
    auto writer = std::make_unique<LocalBlobWriter>(shared_, path, Expected{name, expected, size});
    if (PartialFile::SyncedSize(shared_->files, path) > size) {
      GWQ_RETURN_IF_ERROR(PartialFile::Remove(shared_->files, path));
    }
    GWQ_RETURN_IF_ERROR(writer->Open());
    return writer;
  }

  absl::StatusOr<std::unique_ptr<BlobWriter>> BeginUnnamed() override {
    const std::string path = fmt::format("{}/{}", shared_->TemporaryFolder(), UniqueSuffix());
    auto writer = std::make_unique<LocalBlobWriter>(shared_, path, std::nullopt);
    GWQ_RETURN_IF_ERROR(writer->Open());
    return writer;
  }

  uint64_t PartialSize(std::string_view key) override {
    return PartialFile::SyncedSize(shared_->files, fmt::format("{}/{}", shared_->PartialFolder(), EscapeKey(key)));
  }

  absl::Status DropPartials(std::string_view prefix) override {
    const std::string start = EscapeKey(prefix);
    GWQ_ASSIGN_OR_RETURN(const std::vector<std::string> names, shared_->files.List(shared_->PartialFolder()));
    for (const std::string& name : names) {
      if (!name.starts_with(start)) continue;
      const std::string key = name.substr(0, name.find('.'));
      GWQ_RETURN_IF_ERROR(PartialFile::Remove(shared_->files, fmt::format("{}/{}", shared_->PartialFolder(), key)));
    }
    return shared_->files.SyncFolder(shared_->PartialFolder());
  }

  absl::StatusOr<BlobInfo> Stat(const Digest& digest) override {
    const absl::StatusOr<FileInfo> info = shared_->files.Stat(shared_->BlobPath(digest));
    if (!info.ok()) return NameMissing(digest, info.status());
    return BlobInfo{digest, info->size, info->modified_wall_millis};
  }

  absl::Status Read(const Digest& digest, uint64_t offset, std::span<std::byte> out) override {
    return NameMissing(digest, shared_->files.Read(shared_->BlobPath(digest), offset, out));
  }

  absl::StatusOr<std::unique_ptr<PinnedBlob>> Materialize(const Digest& digest) override {
    absl::StatusOr<std::unique_ptr<MappedFile>> file = shared_->files.Map(shared_->BlobPath(digest));
    if (!file.ok()) return NameMissing(digest, file.status());
    return std::make_unique<LocalPinnedBlob>(*std::move(file));
  }

  absl::StatusOr<uint64_t> CollectGarbage(const std::vector<Digest>& keep, int64_t stored_before_wall_millis) override {
    const std::unordered_set<Digest, absl::Hash<Digest>> kept(keep.begin(), keep.end());
    uint64_t freed = 0;
    GWQ_ASSIGN_OR_RETURN(const std::vector<std::string> folders, shared_->files.List(shared_->BlobsFolder()));
    for (const std::string& folder : folders) {
      const auto garbage = [&](const std::string& name) {
        const absl::StatusOr<Digest> digest = Digest::Parse(name);
        return digest.ok() && !kept.contains(*digest);
      };
      GWQ_RETURN_IF_ERROR(
          RemoveOld(fmt::format("{}/{}", shared_->BlobsFolder(), folder), stored_before_wall_millis, garbage, freed));
    }
    const auto any = [](const std::string&) { return true; };
    GWQ_RETURN_IF_ERROR(RemoveOld(shared_->TemporaryFolder(), stored_before_wall_millis, any, freed));
    return freed;
  }

  // Not synced: a name that a crash brings back is the collector's.
  absl::Status Remove(const Digest& digest) override {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, shared_->Lock(/*exclusive=*/true));
    const absl::Status removed = shared_->files.Remove(shared_->BlobPath(digest));
    return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
  }

 private:
  template <class IsGarbage>
  [[nodiscard]] absl::Status RemoveOld(const std::string& folder, int64_t stored_before, IsGarbage is_garbage,
                                       uint64_t& freed) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<std::string> names, shared_->files.List(folder));
    bool removed = false;
    for (const std::string& name : names) {
      if (!is_garbage(name)) continue;
      const std::string path = fmt::format("{}/{}", folder, name);
      // One lock a file: a commit that renews a blob's time comes wholly before the look at it or wholly after.
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, shared_->Lock(/*exclusive=*/true));
      const absl::StatusOr<FileInfo> info = shared_->files.Stat(path);
      if (absl::IsNotFound(info.status())) continue;  // another collector was first
      GWQ_RETURN_IF_ERROR(info.status());
      if (info->modified_wall_millis >= stored_before) continue;
      GWQ_RETURN_IF_ERROR(shared_->files.Remove(path));
      freed += info->size;
      removed = true;
    }
    return removed ? shared_->files.SyncFolder(folder) : absl::OkStatus();
  }

  const std::shared_ptr<Shared> shared_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> OpenLocalBlobStore(FileSystem& files, const std::string& root,
                                                              const Clock& clock) {
  auto store = std::make_unique<LocalBlobStore>(std::make_shared<Shared>(files, clock, root));
  GWQ_RETURN_IF_ERROR(Annotate(store->Open(), fmt::format("opening the blob store in '{}'", root)));
  return store;
}

bool HasLocalBlobStore(FileSystem& files, const std::string& root) { return files.Exists(root + "/blobs"); }

}  // namespace gwq
