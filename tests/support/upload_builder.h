// What a client does before a commit: files cut into blobs, blobs in the store, the manifest declared.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "core/artifact/manifest.h"
#include "core/io/gguf.h"
#include "core/io/safetensors.h"
#include "core/storage/blob_store.h"

namespace gwq::testing {

class UploadBuilder {
 public:
  explicit UploadBuilder(BlobStore& store) : store_(store) { manifest_.kind = "model"; }

  void File(std::string_view path, std::string_view text) {
    manifest_.files.push_back({std::string(path), text.size(), Put(text)});
  }

  void Safetensors(std::string_view path, std::string_view bytes) {
    const auto size = SafetensorsHeaderSize(std::as_bytes(std::span(bytes)), bytes.size());
    ASSERT_TRUE(size.ok()) << size.status();
    const auto header = ParseSafetensorsHeader(std::as_bytes(std::span(bytes.substr(0, *size))), bytes.size());
    ASSERT_TRUE(header.ok()) << header.status();
    Shard(path, bytes, *size, header->tensors);
  }

  void Gguf(std::string_view path, std::string_view bytes) {
    const auto header = ParseGgufHeader(std::as_bytes(std::span(bytes)), bytes.size());
    ASSERT_TRUE(header.ok()) << header.status();
    Shard(path, bytes, header->header_size, header->tensors);
  }

  // Files and shards in the manifest's order.
  [[nodiscard]] Manifest Build() const {
    Manifest out = manifest_;
    std::ranges::sort(out.files, {}, &ManifestFile::path);
    std::ranges::sort(out.shards, {}, &ManifestShard::path);
    return out;
  }

 private:
  Digest Put(std::string_view bytes) {
    const auto digest = PutBlob(store_, std::as_bytes(std::span(bytes)));
    EXPECT_TRUE(digest.ok()) << digest.status();
    return digest.value_or(Digest{});
  }

  template <class Tensors>
  void Shard(std::string_view path, std::string_view bytes, uint64_t header_size, const Tensors& tensors) {
    ManifestShard shard;
    shard.path = path;
    shard.size = bytes.size();
    shard.header_size = header_size;
    shard.header = Put(bytes.substr(0, header_size));
    for (const auto& described : tensors) {
      ManifestTensor tensor;
      tensor.name = described.name;
      tensor.offset = described.offset;
      tensor.size = described.size;
      tensor.digest = Put(bytes.substr(header_size + described.offset, described.size));
      shard.tensors.push_back(std::move(tensor));
    }
    manifest_.shards.push_back(std::move(shard));
  }

  BlobStore& store_;
  Manifest manifest_;
};

}  // namespace gwq::testing
