// Vision-language models from a Hugging Face directory to running out of the store, whatever version of transformers
// named their tensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

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

  using Files = std::map<std::string, std::string>;

  // `processor` stands beside the model's other files.
  [[nodiscard]] Manifest Upload(const Files& processor, const std::string& weights) {
    testing::UploadBuilder builder(*store_);
    builder.File("config.json", ReadGolden("config.json"));
    builder.File("tokenizer.json", testing::TinyTokenizer());
    for (const auto& [path, text] : processor) builder.File(path, text);
    builder.Safetensors("model.safetensors", weights);
    return builder.Build();
  }
  [[nodiscard]] static Files Processor() {
    return {{"preprocessor_config.json", testing::GoldenProcessorJson(ReadGolden("config.json"))}};
  }
  [[nodiscard]] Manifest Upload() { return Upload(Processor(), ReadGolden("model.safetensors")); }

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
  EXPECT_THAT(ImportModel(*store_, Upload(Processor(), bytes), NoProgress()), FailsAt("tensors[" + linear->name + "]"));
}

TEST_P(ImportVision, AProcessorThatIsMissingBrokenOrOfAnotherTowerIsNamed) {
  const auto import = [&](const Files& processor) {
    return ImportModel(*store_, Upload(processor, ReadGolden("model.safetensors")), NoProgress());
  };
  const nlohmann::json settings = nlohmann::json::parse(Processor().at("preprocessor_config.json"));
  const auto bent = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = settings;
    changed[key] = value;
    return Files{{"preprocessor_config.json", changed.dump()}};
  };
  EXPECT_THAT(import({}), FailsAt("preprocessor_config.json"));
  EXPECT_THAT(import({{"processor_config.json", "{}"}}), FailsAt("preprocessor_config.json"));
  EXPECT_THAT(import({{"preprocessor_config.json", "{"}}), FailsAt("preprocessor_config.json"));
  EXPECT_THAT(import(bent("image_processor_type", "OtherProcessor")),
              FailsAt("preprocessor_config.json.image_processor_type"));
  EXPECT_THAT(import(bent("image_mean", "grey")), FailsAt("preprocessor_config.json.image_mean"));
  EXPECT_THAT(import({{"processor_config.json", R"({"image_processor": {"do_rescale": 1}})"}}),
              FailsAt("processor_config.json.image_processor.do_rescale"));
  EXPECT_THAT(import({{"processor_config.json", nlohmann::json{{"image_processor", settings}}.dump()}}), IsOk())
      << "where transformers 5 writes them";
  if (!settings.contains("patch_size")) return;  // else the tower's
  EXPECT_THAT(import(bent("patch_size", 4)), FailsAt("preprocessor_config.json.patch_size"));
}

// Random codes, scales and outliers of a matrix.
PackedContent RandomMatrix(const Shape& matrix, std::mt19937& random) {
  PackedContent content;
  content.shape = {.rows = matrix[0], .cols = matrix[1], .bits = 4, .group_size = 8, .outliers = 1};
  content.codes.resize(static_cast<size_t>(matrix[0] * matrix[1]));
  for (uint8_t& code : content.codes) code = static_cast<uint8_t>(random() % 16);
  const auto groups = static_cast<size_t>(matrix[0] * content.shape.groups_per_row());
  content.scales.assign(groups, FloatToHalf(0.03F));
  content.zeros.assign(groups, 7);
  content.codes[5] = 7;
  content.outlier_positions = {5};
  content.outlier_values = {FloatToHalf(1.5F)};
  return content;
}

// Every matrix of tower and projector packed gives what the same numbers give unpacked. A convolution over patches is
// stored in four or five dimensions, and packed as the matrix that it is.
TEST_P(ImportVision, AnArtifactMayHoldTheWholeTowerPacked) {
  const auto source = Open(ImportModel(*store_, Upload(), NoProgress()));
  ASSERT_NE(source, nullptr);
  ArtifactWriter packed(*store_, *source);
  ArtifactWriter dense(*store_, *source);
  std::mt19937 random(3);
  for (const TensorSpec& spec : source->model()->tensors()) {
    if (spec.part == ModelPart::kLanguage || spec.kind != TensorKind::kLinear) {
      ASSERT_THAT(packed.Keep(spec.name), IsOk());
      ASSERT_THAT(dense.Keep(spec.name), IsOk());
      continue;
    }
    const auto bytes = EncodePacked(RandomMatrix(MatrixShape(spec.shape), random));
    ASSERT_THAT(bytes, IsOk());
    ASSERT_THAT(packed.AddPacked(spec.name, *bytes), IsOk());
    std::vector<float> values(static_cast<size_t>(ElementCount(spec.shape).value()));
    PackedView::Open(*bytes)->DequantizeAll(values);
    ASSERT_THAT(dense.AddDense(spec.name, DType::kF32, std::as_bytes(std::span(values))), IsOk());
  }
  const auto packed_model = Open(packed.FinishArtifact("{}", "{}"));
  const auto dense_model = Open(dense.FinishArtifact("{}", "{}"));
  ASSERT_TRUE(packed_model != nullptr && dense_model != nullptr);
  EXPECT_THAT(packed_model->Verify(NoProgress()), IsOk());
  const auto packed_loaded = Load(*packed_model);
  const auto dense_loaded = Load(*dense_model);
  ASSERT_TRUE(packed_loaded != nullptr && dense_loaded != nullptr);
  EXPECT_LT(packed_loaded->weight_bytes(), dense_loaded->weight_bytes());

  const auto golden = GoldenModel::Load(GetParam());
  ASSERT_THAT(golden, IsOk());
  const testing::GoldenPrompt prompt = testing::LoadGoldenPrompt(*golden, "b");
  const auto from_packed = testing::EncodeImages(*backend_, *packed_loaded, prompt);
  const auto from_dense = testing::EncodeImages(*backend_, *dense_loaded, prompt);
  ASSERT_THAT(from_packed, IsOk());
  ASSERT_THAT(from_dense, IsOk());
  float largest = 0;
  for (const float value : *from_dense) largest = std::max(largest, std::abs(value));
  EXPECT_LE(testing::MaxDifference(*from_packed, *from_dense), 1e-4 * largest);
}

// Its tower takes patches of one channel, which no processor makes.
constexpr char kGrey[] = "qwen2-vl-untied-f32-v5";

std::vector<std::string> ColourModelNames() {
  std::vector<std::string> names = testing::GoldenVisionModelNames();
  std::erase(names, kGrey);
  return names;
}

std::string TestName(const ::testing::TestParamInfo<std::string>& which) {
  std::string name = which.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, ImportVision, ::testing::ValuesIn(ColourModelNames()), TestName);

using ImportGreyVision = ImportVision;

TEST_P(ImportGreyVision, ATowerThatTakesOtherPatchesThanTheProcessorMakesIsRefused) {
  EXPECT_THAT(ImportModel(*store_, Upload(), NoProgress()), FailsAt("preprocessor_config.json"));
}

INSTANTIATE_TEST_SUITE_P(Models, ImportGreyVision, ::testing::Values(kGrey), TestName);

}  // namespace
}  // namespace gwq
