// Artifacts of recipes that earlier builds made: the same bytes as ever.
//
// golden/digests.json was written by the release of November 2026. What LibTorch computes depends on the instruction
// set, so an entry with "isa" holds on machines of that level alone; the others hold everywhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/artifact/import.h"
#include "core/backend/cpu/cpu_backend.h"
#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/quant/quantize.h"
#include "core/spec/quantize_evaluations.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"
#include "tests/support/temp_folder.h"
#include "tests/support/upload_builder.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::IsOk;

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

std::filesystem::path SourcePath(const std::string& path) {
  return std::filesystem::path(std::getenv("GWQ_SOURCE_DIR")) / path;
}

// The model as it is imported, in a store of its own.
class StoredFolder {
 public:
  explicit StoredFolder(const std::filesystem::path& folder) {
    auto store = OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
    EXPECT_THAT(store, IsOk());
    store_ = *std::move(store);
    testing::UploadBuilder upload(*store_);
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
  testing::TempFolder folder_;
  std::unique_ptr<BlobStore> store_;
  Digest model_;
};

std::string Made(BlobStore& store, const Digest& model, Json recipe_json) {
  EXPECT_THAT(TakeOldTextEvaluation(recipe_json), IsOk());
  const auto recipe = ParseRecipe(recipe_json.dump());
  EXPECT_THAT(recipe, IsOk());
  const auto result = QuantizeModel(store, model, *recipe, NoProgress());
  EXPECT_THAT(result, IsOk());
  return result.ok() ? result->artifact.Hex() : "";
}

TEST(KeptDigests, AreMadeAgain) {
  const Json kept = Json::parse(ReadText(SourcePath("tests/core/quant/golden/digests.json")));
  const std::string isa(IsaLevelName(BestIsaLevel()));
  int compared = 0;
  for (const Json& entry : kept) {
    const std::string model = entry["model"];
    if (model == "smollm2" || entry.value("isa", isa) != isa) continue;
    SCOPED_TRACE(entry.dump());
    ++compared;
    if (model == "easy-vqa") {
      StoredFolder stored(SourcePath("tests/models/easy-vqa-qwen2-vl"));
      EXPECT_EQ(Made(stored.store(), stored.model(), entry["recipe"]), entry["digest"]);
    } else {
      testing::StoredGolden golden(model);
      EXPECT_EQ(Made(golden.store(), golden.digest(), entry["recipe"]), entry["digest"]);
    }
  }
  EXPECT_GE(compared, 13) << "those without gradients hold on every machine";
}

}  // namespace
}  // namespace gwq
