// What a client does before a commit: files cut into blobs, blobs in the store, the manifest declared.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "core/io/gguf.h"
#include "core/io/safetensors.h"
#include "core/manifest/manifest.h"
#include "core/storage/blob_store.h"
#include "core/storage/commit_group.h"

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
    shard.tensors.resize(tensors.size());
    CommitGroup commits;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto& described = tensors[i];
      ManifestTensor& tensor = shard.tensors[i];
      tensor.name = described.name;
      tensor.offset = described.offset;
      tensor.size = described.size;
      auto writer = store_.BeginUnnamed();
      ASSERT_TRUE(writer.ok()) << writer.status();
      const std::string_view data = bytes.substr(header_size + described.offset, described.size);
      ASSERT_TRUE((*writer)->Append(std::as_bytes(std::span(data))).ok());
      commits.Commit(*std::move(writer), &tensor.digest);
    }
    ASSERT_TRUE(commits.Finish().ok());
    manifest_.shards.push_back(std::move(shard));
  }

  BlobStore& store_;
  Manifest manifest_;
};

}  // namespace gwq::testing
