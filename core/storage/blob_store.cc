#include "core/storage/blob_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<Digest> PutBlob(BlobStore& store, std::span<const std::byte> bytes) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer, store.BeginUnnamed());
  GWQ_RETURN_IF_ERROR(writer->Append(bytes));
  return writer->Commit();
}

absl::StatusOr<std::string> ReadBlob(BlobStore& store, const Digest& digest, uint64_t limit) {
  GWQ_ASSIGN_OR_RETURN(const BlobInfo info, store.Stat(digest));
  if (info.size > limit) {
    return absl::ResourceExhaustedError(
        fmt::format("blob {} has {} bytes, at most {} are read", digest.Hex(), info.size, limit));
  }
  std::string text(info.size, '\0');
  GWQ_RETURN_IF_ERROR(store.Read(digest, 0, std::as_writable_bytes(std::span(text))));
  return text;
}

absl::Status CheckWhole(BlobStore& store, const Digest& digest) {
  constexpr uint64_t kPart = uint64_t{1} << 20;
  const auto info = store.Stat(digest);
  if (absl::IsNotFound(info.status())) {
    return absl::DataLossError(fmt::format("the blob {} is gone", digest.Hex()));
  }
  GWQ_RETURN_IF_ERROR(info.status());
  Sha256 hash;
  std::vector<std::byte> part;
  for (uint64_t offset = 0; offset < info->size; offset += part.size()) {
    part.resize(std::min(kPart, info->size - offset));
    GWQ_RETURN_IF_ERROR(store.Read(digest, offset, part));
    hash.Update(part);
  }
  if (hash.Finish() == digest) return absl::OkStatus();
  return absl::DataLossError(fmt::format("the blob {} is damaged: its bytes have another SHA-256", digest.Hex()));
}

}  // namespace gwq
