// A model's folder of the repository, imported into a blob store of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "core/artifact/import.h"
#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/upload_builder.h"

namespace gwq::testing {

inline std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

inline std::filesystem::path SourcePath(const std::string& path) {
  return std::filesystem::path(std::getenv("GWQ_SOURCE_DIR")) / path;
}

// Failures show as failed expectations.
class StoredFolder {
 public:
  explicit StoredFolder(const std::filesystem::path& folder) {
    auto store = OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
    EXPECT_THAT(store, IsOk());
    store_ = *std::move(store);
    UploadBuilder upload(*store_);
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(".json") || name.ends_with(".jinja")) upload.File(name, ReadText(entry.path()));
      if (name.ends_with(".safetensors")) upload.Safetensors(name, ReadText(entry.path()));
    }
    const auto imported = ImportModel(*store_, upload.Build(), NoProgress());
    EXPECT_THAT(imported, IsOk());
    model_ = imported.value_or(Digest{});
  }
  [[nodiscard]] BlobStore& store() { return *store_; }
  [[nodiscard]] const Digest& model() const { return model_; }

 private:
  TempFolder folder_;
  std::unique_ptr<BlobStore> store_;
  Digest model_;
};

}  // namespace gwq::testing
