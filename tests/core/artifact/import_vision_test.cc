// Vision-language models from a Hugging Face directory to running out of the store, whatever version of transformers
// named their tensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/artifact/import.h"
#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "core/backend/cpu/cpu_backend.h"
#include "core/format/packed_matrix.h"
#include "core/io/fault_file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/golden_prompt.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_upload.h"
#include "tests/support/upload_builder.h"
#include "tests/support/vision_conformance.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::GoldenModel;
using testing::IsOk;

constexpr double kLogitsTolerance = 1e-4;

class ImportVision : public ::testing::TestWithParam<std::string> {
 protected:
  ImportVision() : store_(OpenLocalBlobStore(files_, folder_ / "store", clock_).value()) {
    backend_ = CreateCpuBackend({.threads = 1, .isa = std::nullopt}).value();
  }

  [[nodiscard]] static std::string ReadGolden(const std::string& name) {
    const std::string path = testing::GoldenPath("models/" + GetParam() + "/" + name);
    return ReadSmallFile(LocalFileSystem(), path, 1 << 24).value();
  }

  [[nodiscard]] Manifest Upload() {
    testing::UploadBuilder builder(*store_);
    builder.File("config.json", ReadGolden("config.json"));
    builder.File("tokenizer.json", testing::TinyTokenizer());
    builder.Safetensors("model.safetensors", ReadGolden("model.safetensors"));
    return builder.Build();
  }

  // Null after a failed expectation.
  [[nodiscard]] std::unique_ptr<const StoredModel> Open(const absl::StatusOr<Digest>& digest) {
    EXPECT_THAT(digest, IsOk());
    if (!digest.ok()) return nullptr;
    auto model = StoredModel::Open(*store_, *digest);
    EXPECT_THAT(model, IsOk());
    return model.ok() ? *std::move(model) : nullptr;
  }

  [[nodiscard]] std::unique_ptr<LoadedModel> Load(const StoredModel& model) {
    const auto loader = MakeWeightLoader(model, *backend_);
    auto loaded = LoadedModel::Load(model.model(), *loader, nullptr);
    EXPECT_THAT(loaded, IsOk());
    return loaded.ok() ? *std::move(loaded) : nullptr;
  }

  testing::TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};  // does not wait for the disk
  FakeClock clock_;
  const std::unique_ptr<BlobStore> store_;
  std::unique_ptr<Backend> backend_;
};

TEST_P(ImportVision, TellsEveryTensorsPartAndRunsOutOfTheStore) {
  const auto model = Open(ImportModel(*store_, Upload(), NoProgress()));
  ASSERT_NE(model, nullptr);
  std::map<std::string, int> parts;
  for (const TensorSpec& spec : model->model()->tensors()) {
    const ManifestTensor* const tensor = model->Find(spec.name);
    ASSERT_NE(tensor, nullptr) << spec.name;
    EXPECT_EQ(tensor->kind, TensorKindName(spec.kind)) << spec.name;
    EXPECT_EQ(tensor->part, ModelPartName(spec.part)) << spec.name;
    ++parts[tensor->part];
  }
  EXPECT_GT(parts["language"], 0);
  EXPECT_GT(parts["vision"], 0);
  EXPECT_GT(parts["projector"], 0);
  EXPECT_THAT(model->Verify(NoProgress()), IsOk());

  const auto loaded = Load(*model);
  ASSERT_NE(loaded, nullptr);
  const auto golden = GoldenModel::Load(GetParam());
  ASSERT_THAT(golden, IsOk());
  testing::ExpectGoldenVision(*backend_, *loaded, *golden, kLogitsTolerance, /*bitwise=*/true);
}

TEST_P(ImportVision, ATensorOfTheTowerThatIsMissingIsNamed) {
  Manifest upload = Upload();
  const auto golden = GoldenModel::Load(GetParam());
  ASSERT_THAT(golden, IsOk());
  const std::vector<TensorSpec>& specs = golden->model->tensors();
  const auto linear = std::ranges::find_if(specs.rbegin(), specs.rend(), [](const TensorSpec& spec) {
    return spec.part == ModelPart::kProjector && spec.kind == TensorKind::kLinear;
  });
  ASSERT_NE(linear, specs.rend());
  // Under another name: what is there is left alone, what is needed is missing.
  std::string bytes = ReadGolden("model.safetensors");
  const size_t at = bytes.find('"' + linear->name + '"');
  ASSERT_NE(at, std::string::npos);
  bytes[at + 1] = 'X';
  testing::UploadBuilder builder(*store_);
  builder.File("config.json", ReadGolden("config.json"));
  builder.File("tokenizer.json", testing::TinyTokenizer());
  builder.Safetensors("model.safetensors", bytes);
  EXPECT_THAT(ImportModel(*store_, builder.Build(), NoProgress()), FailsAt("tensors[" + linear->name + "]"));
}

// A convolution over patches is stored in four or five dimensions, and packed as the matrix that it is.
TEST_P(ImportVision, AnArtifactMayHoldThePatchEmbeddingPacked) {
  const auto source = Open(ImportModel(*store_, Upload(), NoProgress()));
  ASSERT_NE(source, nullptr);
  ArtifactWriter writer(*store_, *source);
  for (const TensorSpec& spec : source->model()->tensors()) {
    if (spec.shape.size() <= 2) {
      ASSERT_THAT(writer.Keep(spec.name), IsOk());
      continue;
    }
    const Shape matrix = MatrixShape(spec.shape);
    PackedContent content;
    content.shape = {.rows = matrix[0], .cols = matrix[1], .bits = 4, .group_size = 8, .outliers = 0};
    content.codes.assign(static_cast<size_t>(matrix[0] * matrix[1]), 5);
    const auto groups = static_cast<size_t>(matrix[0] * content.shape.groups_per_row());
    content.scales.assign(groups, FloatToHalf(0.5F));
    content.zeros.assign(groups, 3);
    const auto packed = EncodePacked(content);
    ASSERT_THAT(packed, IsOk());
    ASSERT_THAT(writer.AddPacked(spec.name, *packed), IsOk());
  }
  const auto artifact = Open(writer.FinishArtifact("{}", "{}"));
  ASSERT_NE(artifact, nullptr);
  const auto loader = MakeWeightLoader(*artifact, *backend_);
  const auto stage = artifact->model()->vision()->LoadStage(0, *loader);
  ASSERT_THAT(stage, IsOk());
  EXPECT_EQ((*stage)->weights()[0].weight->shape().size(), 2u);
  const auto loaded = Load(*artifact);
  ASSERT_NE(loaded, nullptr);
  const auto golden = GoldenModel::Load(GetParam());
  ASSERT_THAT(golden, IsOk());
  EXPECT_THAT(testing::EncodeImages(*backend_, *loaded, testing::LoadGoldenPrompt(*golden, "a")), IsOk());
}

INSTANTIATE_TEST_SUITE_P(Models, ImportVision, ::testing::ValuesIn(testing::GoldenVisionModelNames()),
                         [](const auto& which) {
                           std::string name = which.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace gwq
