#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/artifact/shard_header.h"
#include "core/artifact/stored_model.h"
#include "core/base/status.h"

namespace gwq {
namespace {

constexpr uint64_t kReadBytes = uint64_t{4} << 20;

// Reads blobs through a small buffer and tells how far it got.
class Rehash {
 public:
  Rehash(BlobStore& store, uint64_t total, Progress& progress)
      : store_(store), total_(static_cast<int64_t>(total)), progress_(progress), buffer_(kReadBytes) {}

  [[nodiscard]] absl::Status Check(std::string_view what, const Digest& digest, uint64_t size) {
    const absl::StatusOr<BlobInfo> info = store_.Stat(digest);
    if (absl::IsNotFound(info.status())) {
      return absl::DataLossError(fmt::format("{}: blob {} is missing from the store", what, digest.Hex()));
    }
    if (!info.ok()) return Annotate(info.status(), what);
    if (info->size != size) {
      return absl::DataLossError(
          fmt::format("{}: blob {} has {} bytes, the manifest says {}", what, digest.Hex(), info->size, size));
    }
    Sha256 hash;
    for (uint64_t at = 0; at < size; at += kReadBytes) {
      const std::span<std::byte> part = std::span(buffer_).first(std::min(kReadBytes, size - at));
      GWQ_RETURN_IF_ERROR(store_.Read(digest, at, part));
      hash.Update(part);
      done_ += static_cast<int64_t>(part.size());
      progress_.Step("verify", done_, total_);
      GWQ_RETURN_IF_ERROR(progress_.Check());
    }
    if (hash.Finish() == digest) return absl::OkStatus();
    return absl::DataLossError(fmt::format("{}: the bytes of blob {} do not match its digest", what, digest.Hex()));
  }

 private:
  BlobStore& store_;
  const int64_t total_;
  Progress& progress_;
  std::vector<std::byte> buffer_;
  int64_t done_ = 0;
};

uint64_t BytesToRead(const Manifest& manifest) {
  uint64_t bytes = 0;
  for (const ManifestFile& file : manifest.files) bytes += file.size;
  for (const ManifestShard& shard : manifest.shards) bytes += shard.size;
  return bytes;
}

}  // namespace

absl::Status StoredModel::Verify(Progress& progress) const {
  Rehash rehash(store_, BytesToRead(manifest_), progress);
  for (const ManifestFile& file : manifest_.files) {
    GWQ_RETURN_IF_ERROR(rehash.Check(file.path, file.digest, file.size));
  }
  for (const ManifestShard& shard : manifest_.shards) {
    GWQ_RETURN_IF_ERROR(rehash.Check(shard.path, shard.header, shard.header_size));
    const absl::StatusOr<std::vector<SafetensorsTensor>> described = ReadShardHeader(store_, shard);
    if (!described.ok()) return absl::DataLossError(fmt::format("{}: {}", shard.path, MessageOf(described.status())));
    for (size_t i = 0; i < shard.tensors.size(); ++i) {
      const ManifestTensor& tensor = shard.tensors[i];
      GWQ_RETURN_IF_ERROR(rehash.Check(tensor.name, tensor.digest, tensor.size));
      if (DTypeName((*described)[i].dtype) != tensor.dtype || (*described)[i].shape != tensor.shape) {
        return absl::DataLossError(fmt::format("{}: type or shape differ from the file's header", tensor.name));
      }
      if (!tensor.packed) continue;
      GWQ_ASSIGN_OR_RETURN(const PackedTensor packed, Packed(tensor.name));
      packed.blob->DropPages();
    }
  }
  return absl::OkStatus();
}

}  // namespace gwq
