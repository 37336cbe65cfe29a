#include "tests/tools/model_folder.h"

#include <fstream>

#include "core/base/status.h"

namespace gwq {
namespace {

namespace fs = std::filesystem;

absl::Status WriteBlobAt(BlobStore& store, const Digest& digest, uint64_t offset, std::ofstream& out) {
  GWQ_ASSIGN_OR_RETURN(const auto blob, store.Materialize(digest));
  while (static_cast<uint64_t>(out.tellp()) < offset) out.put('\0');
  out.write(reinterpret_cast<const char*>(blob->bytes().data()), static_cast<std::streamsize>(blob->bytes().size()));
  return out.good() ? absl::OkStatus() : absl::UnavailableError("a file could not be written");
}

}  // namespace

absl::Status WriteModelFolder(BlobStore& store, const Manifest& manifest, const fs::path& folder) {
  fs::create_directories(folder);
  for (const ManifestFile& file : manifest.files) {
    fs::create_directories((folder / file.path).parent_path());
    std::ofstream out(folder / file.path, std::ios::binary);
    GWQ_RETURN_IF_ERROR(WriteBlobAt(store, file.digest, 0, out));
  }
  for (const ManifestShard& shard : manifest.shards) {
    std::ofstream out(folder / shard.path, std::ios::binary);
    GWQ_RETURN_IF_ERROR(WriteBlobAt(store, shard.header, 0, out));
    for (const ManifestTensor& tensor : shard.tensors) {
      GWQ_RETURN_IF_ERROR(WriteBlobAt(store, tensor.digest, shard.header_size + tensor.offset, out));
    }
    while (static_cast<uint64_t>(out.tellp()) < shard.size) out.put('\0');
  }
  return absl::OkStatus();
}

}  // namespace gwq
