// Exports of artifacts: matrices in every form of the packed format, dense tensors of every type, files around them.
#include "core/export/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "core/artifact/import.h"
#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "core/format/format.h"
#include "core/io/fault_file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/core/format/random_content.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_upload.h"
#include "tests/support/upload_builder.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

constexpr char kMatrix[] = "model.layers.0.mlp.up_proj.weight";

class Export : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = OpenLocalBlobStore(files_, folder_.path(), clock_).value();
    Use(testing::TinyWeights(config_, DType::kF16));
  }

  // A source of these tensors with config_.
  void Use(const testing::TinyTensors& tensors) {
    testing::UploadBuilder upload(*store_);
    upload.File("config.json", config_.dump());
    upload.File("tokenizer.json", testing::TinyTokenizer());
    upload.File("LICENSE", "free");
    upload.Safetensors("model.safetensors", testing::SafetensorsFile(tensors));
    source_ = Open(ImportModel(*store_, upload.Build(), NoProgress()).value());
  }

  // Every tensor kept but kMatrix, which is `packed` unless that is empty.
  Digest ArtifactOf(std::span<const std::byte> packed, const std::string& recipe = "{}") {
    ArtifactWriter writer(*store_, *source_);
    for (const TensorSpec& spec : source_->model()->tensors()) {
      const bool keep = spec.name != kMatrix || packed.empty();
      EXPECT_THAT(keep ? writer.Keep(spec.name) : writer.AddPacked(spec.name, packed), IsOk());
    }
    return writer.FinishArtifact(recipe, "{}").value();
  }
  std::vector<std::byte> Packed(const PackedShape& shape) {
    return EncodePacked(testing::RandomContent(shape, random_)).value();
  }

  absl::StatusOr<ExportResult> Run(const Digest& artifact, Progress& progress = NoProgress()) {
    return ExportArtifact(*store_, artifact, {}, progress);
  }
  std::unique_ptr<const StoredModel> Open(const Digest& model) { return StoredModel::Open(*store_, model).value(); }
  std::unique_ptr<const StoredModel> Exported(const Digest& artifact) { return Open(Run(artifact)->model); }
  static std::vector<float> Weights(const StoredModel& model, const char* name = kMatrix) {
    const DenseTensor tensor = model.Dense(name).value();
    std::vector<float> weights(static_cast<size_t>(tensor.view.elements()));
    ToFloat(tensor.view, 0, weights);
    return weights;
  }

  nlohmann::json config_ = testing::TinyConfig();
  std::mt19937 random_{3};
  testing::TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};  // does not wait for the disk
  FakeClock clock_;
  std::unique_ptr<BlobStore> store_;
  std::unique_ptr<const StoredModel> source_;
};

// Groups of 24 leave a last one of 8 columns.
TEST_F(Export, AMatrixOfEveryFormBecomesItsWeightsInHalfPrecision) {
  for (const Format* const format : KnownFormats()) {
    for (const int scale_bits : {8, 16}) {
      for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
        for (const int64_t group : {8, 24, 32}) {
          const PackedShape shape{64, 32, bits, group, 20, scale_bits, format};
          if (!CheckPackedShape(shape).ok()) continue;
          SCOPED_TRACE(DescribeShape(shape));
          const std::vector<std::byte> packed = Packed(shape);
          std::vector<float> weights(64 * 32);
          PackedView::Open(packed)->DequantizeAll(weights);
          for (float& weight : weights) weight = HalfToFloat(FloatToHalf(weight));
          EXPECT_EQ(Weights(*Exported(ArtifactOf(packed))), weights);
        }
      }
    }
  }
}

// All exponents and signs of BF16, infinities and NaN among them.
TEST_F(Export, ADenseTensorIsRoundedAndWhatFp16CannotHoldIsItsLargestNumber) {
  testing::TinyTensors tensors = testing::TinyWeights(config_, DType::kBF16);
  std::string& bytes = tensors[kMatrix].bytes;
  for (size_t i = 0; i < bytes.size() / 2; ++i) {
    const auto bits = static_cast<uint16_t>(i * 32);
    bytes.replace(2 * i, 2, {reinterpret_cast<const char*>(&bits), 2});
  }
  Use(tensors);
  const auto model = Exported(ArtifactOf({}));
  EXPECT_EQ(model->Find(kMatrix)->dtype, "F16");
  const std::vector<float> written = Weights(*model);
  for (size_t i = 0; i < written.size(); ++i) {
    const float value = BFloat16ToFloat(static_cast<uint16_t>(i * 32));
    const float expected =
        std::abs(value) >= 65520.0F ? std::copysign(65504.0F, value) : HalfToFloat(FloatToHalf(value));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(written[i])) << i;
    } else {
      EXPECT_EQ(written[i], expected) << value;
    }
  }
}

TEST_F(Export, ATensorInFp16IsTheSameBlob) {
  const auto model = Exported(ArtifactOf(Packed({64, 32, 4, 16, 0})));
  for (const TensorSpec& spec : source_->model()->tensors()) {
    EXPECT_EQ(model->Find(spec.name)->digest == source_->Find(spec.name)->digest, spec.name != kMatrix) << spec.name;
  }
}

TEST_F(Export, TheConfigurationSaysHalfPrecisionUnderEveryNameThatItHad) {
  for (const bool named : {false, true}) {
    if (named) config_["dtype"] = "bfloat16";
    config_["custom"] = {{"dtype", "kept"}};
    Use(testing::TinyWeights(config_, DType::kF16));
    nlohmann::json expected = config_;
    expected["torch_dtype"] = "float16";
    if (named) expected["dtype"] = "float16";
    EXPECT_EQ(nlohmann::json::parse(Exported(ArtifactOf({}))->ReadFile("config.json").value()), expected);
  }
}

TEST_F(Export, IsAWholeModelWithTheFilesAndWithoutUnusedTensors) {
  testing::TinyTensors tensors = testing::TinyWeights(config_, DType::kF16);
  tensors["rotary.inv_freq"] = {{2}, DType::kI64, std::string(16, 'x')};
  Use(tensors);
  const auto result = Run(ArtifactOf(Packed({64, 32, 4, 16, 0})));
  ASSERT_THAT(result, IsOk());
  const auto model = Open(result->model);
  EXPECT_THAT(model->Verify(NoProgress()), IsOk());
  EXPECT_EQ(result->stored_bytes, model->manifest().StoredBytes());
  EXPECT_EQ(model->manifest().kind, "model");
  EXPECT_EQ(model->manifest().architecture, source_->manifest().architecture);
  EXPECT_EQ(model->ReadFile("LICENSE").value(), "free");
  EXPECT_EQ(model->Find("rotary.inv_freq"), nullptr);
  EXPECT_EQ(model->manifest().shards[0].tensors.size(), source_->model()->tensors().size());
}

TEST_F(Export, DependsOnTheWeightsAlone) {
  const std::vector<std::byte> packed = Packed({64, 32, 4, 16, 5});
  const Digest first = ArtifactOf(packed);
  const Digest second = ArtifactOf(packed, R"({"bits":4})");
  ASSERT_NE(first, second);
  EXPECT_EQ(Run(first)->model, Run(second)->model);
}

TEST_F(Export, RefusesAnUnknownArtifact) { EXPECT_THAT(Run(Sha256Of("none")), HasCode(absl::StatusCode::kNotFound)); }

class Counting final : public Progress {
 public:
  explicit Counting(int64_t checks) : checks_(checks) {}
  void Step(std::string_view, int64_t done, int64_t total) override { ended = done == total; }
  void Log(std::string_view) override {}
  absl::Status Check() override { return checks_-- > 0 ? absl::OkStatus() : absl::CancelledError("stop"); }
  bool ended = false;

 private:
  int64_t checks_;
};

TEST_F(Export, CanBeCancelledAtEveryTensorAndEndsWithAllOfThem) {
  const Digest artifact = ArtifactOf({});
  const int64_t tensors = std::ssize(source_->model()->tensors());
  for (int64_t checks = 0; checks < tensors; ++checks) {
    Counting progress(checks);
    EXPECT_THAT(Run(artifact, progress), HasCode(absl::StatusCode::kCancelled)) << checks;
    EXPECT_FALSE(progress.ended);
  }
  Counting progress(tensors);
  EXPECT_THAT(Run(artifact, progress), IsOk());
  EXPECT_TRUE(progress.ended);
}

}  // namespace
}  // namespace gwq
