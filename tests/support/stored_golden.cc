#include "tests/support/stored_golden.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/artifact/import.h"
#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/golden_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/upload_builder.h"

namespace gwq::testing {

std::string WordTokenizerJson() {
  nlohmann::json vocabulary;
  for (int i = 0; i < 64; ++i) vocabulary["w" + std::to_string(i)] = i;
  const nlohmann::json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", nlohmann::json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
      {"post_processor", nullptr},
      {"decoder", nullptr},
      {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "w0"}}},
  };
  return tokenizer.dump();
}

StoredGolden::StoredGolden(const std::string& name, const std::map<std::string, std::string>& more) {
  auto store = OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
  EXPECT_THAT(store, IsOk());
  store_ = *std::move(store);
  UploadBuilder upload(*store_);
  upload.File("tokenizer.json", WordTokenizerJson());
  for (const auto& [path, text] : more) upload.File(path, text);
  for (const auto& entry : std::filesystem::directory_iterator(GoldenPath("models/" + name))) {
    const std::string file = entry.path().filename().string();
    if (file == "goldens.safetensors") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    if (file.ends_with(".json")) upload.File(file, bytes.str());
    if (file.ends_with(".safetensors")) upload.Safetensors(file, bytes.str());
  }
  const auto digest = ImportModel(*store_, upload.Build(), NoProgress());
  EXPECT_THAT(digest, IsOk());
  digest_ = digest.value_or(Digest{});
}

std::string StoredGolden::BlobPath(const Digest& digest) const {
  const std::string hex = digest.Hex();
  return folder_ / ("blobs/" + hex.substr(0, 2) + "/" + hex);
}

std::unique_ptr<const StoredModel> StoredGolden::Open(const Digest& digest) {
  auto model = StoredModel::Open(*store_, digest);
  EXPECT_THAT(model, IsOk());
  return model.ok() ? *std::move(model) : nullptr;
}

}  // namespace gwq::testing
