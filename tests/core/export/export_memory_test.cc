// What an export maps at a time, and what it says of weights beyond FP16.
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "core/artifact/import.h"
#include "core/artifact/writer.h"
#include "core/base/clock.h"
#include "core/export/export.h"
#include "core/io/fault_file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/core/format/random_content.h"
#include "tests/support/log_lines.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_upload.h"
#include "tests/support/upload_builder.h"

namespace gwq {
namespace {

using testing::IsOk;
using testing::LogLines;

constexpr char kTable[] = "model.embed_tokens.weight";
constexpr char kMatrix[] = "model.layers.0.mlp.up_proj.weight";

// Counts how often the pages of each file are dropped.
class CountingFiles final : public FaultFileSystem {
 public:
  CountingFiles() : FaultFileSystem(LocalFileSystem()) {}
  absl::StatusOr<std::unique_ptr<MappedFile>> Map(const std::string& path) override {
    auto file = FaultFileSystem::Map(path);
    if (!file.ok()) return file;
    return std::make_unique<Mapped>(*std::move(file), dropped_[path]);
  }
  // Of the blob with this digest.
  [[nodiscard]] int Dropped(const Digest& digest) const {
    int count = 0;
    for (const auto& [path, times] : dropped_) count += path.ends_with(digest.Hex()) ? times : 0;
    return count;
  }

 private:
  class Mapped final : public MappedFile {
   public:
    Mapped(std::unique_ptr<MappedFile> file, int& dropped) : file_(std::move(file)), dropped_(dropped) {}
    std::span<const std::byte> bytes() const override { return file_->bytes(); }
    void DropPages() const override {
      ++dropped_;
      file_->DropPages();
    }

   private:
    const std::unique_ptr<MappedFile> file_;
    int& dropped_;
  };

  std::map<std::string, int> dropped_;
};

class ExportMemory : public ::testing::Test {
 protected:
  // A model of these tensors.
  void Use(const nlohmann::json& config, const testing::TinyTensors& tensors) {
    testing::UploadBuilder upload(*store_);
    upload.File("config.json", config.dump());
    upload.File("tokenizer.json", testing::TinyTokenizer());
    upload.Safetensors("model.safetensors", testing::SafetensorsFile(tensors));
    source_ = StoredModel::Open(*store_, ImportModel(*store_, upload.Build(), NoProgress()).value()).value();
  }
  // With kMatrix packed if `packed` is not empty; all else is kept.
  void Export(std::span<const std::byte> packed = {}) {
    ArtifactWriter writer(*store_, *source_);
    for (const TensorSpec& spec : source_->model()->tensors()) {
      const bool keep = spec.name != kMatrix || packed.empty();
      EXPECT_THAT(keep ? writer.Keep(spec.name) : writer.AddPacked(spec.name, packed), IsOk());
    }
    const Digest artifact = writer.FinishArtifact("{}", "{}").value();
    EXPECT_THAT(ExportArtifact(*store_, artifact, {}, log_), IsOk());
  }

  testing::TempFolder folder_;
  CountingFiles files_;
  FakeClock clock_;
  const std::unique_ptr<BlobStore> store_ = OpenLocalBlobStore(files_, folder_.path(), clock_).value();
  std::unique_ptr<const StoredModel> source_;
  LogLines log_;
};

TEST_F(ExportMemory, PagesOfALargeTensorAreDroppedOnTheWay) {
  nlohmann::json config = testing::TinyConfig();
  config["vocab_size"] = 1 << 18;  // a table of 16 MiB
  Use(config, testing::TinyWeights(config, DType::kBF16));
  Export();
  EXPECT_GE(files_.Dropped(source_->Find(kTable)->digest), 4) << "every 4 MiB";
}

TEST_F(ExportMemory, PagesOfAPackedMatrixAreDroppedOnTheWay) {
  nlohmann::json config = testing::TinyConfig();
  config["intermediate_size"] = 1 << 17;  // a matrix of 4 Mi weights, 8 MiB in FP16
  Use(config, testing::TinyWeights(config, DType::kF16));
  std::mt19937 random(3);
  const auto packed = EncodePacked(testing::RandomContent({1 << 17, 32, 4, 32, 1000}, random)).value();
  Export(packed);
  EXPECT_GE(files_.Dropped(Sha256Of(packed)), 2) << "every 4 MiB of what is written";
}

TEST_F(ExportMemory, WeightsBeyondFp16AreCountedInTheLog) {
  testing::TinyTensors tensors = testing::TinyWeights(testing::TinyConfig(), DType::kBF16);
  // BF16 2^100, twice.
  for (size_t i : {0, 7}) tensors[kMatrix].bytes.replace(2 * i, 2, "\x80\x71", 2);
  Use(testing::TinyConfig(), tensors);
  Export();
  ASSERT_FALSE(log_.lines.empty());
  EXPECT_EQ(log_.lines.front(), std::string(kMatrix) + ": 2 weights are beyond FP16 and became its largest number");
}

}  // namespace
}  // namespace gwq
