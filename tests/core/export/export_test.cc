// Exports of artifacts whose matrices stand in each version of the packed format.
#include "core/export/export.h"

#include <gtest/gtest.h>

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

using testing::IsOk;

constexpr char kMatrix[] = "model.layers.0.mlp.up_proj.weight";

class Export : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = OpenLocalBlobStore(files_, folder_.path(), clock_).value();
    testing::UploadBuilder upload(*store_);
    upload.File("config.json", testing::TinyConfig().dump());
    upload.File("tokenizer.json", testing::TinyTokenizer());
    upload.Safetensors("model.safetensors",
                       testing::SafetensorsFile(testing::TinyWeights(testing::TinyConfig(), DType::kF16)));
    source_ = StoredModel::Open(*store_, ImportModel(*store_, upload.Build(), NoProgress()).value()).value();
  }

  // Every tensor kept but kMatrix, which is `packed`.
  Digest ArtifactOf(std::span<const std::byte> packed) {
    ArtifactWriter writer(*store_, *source_);
    for (const TensorSpec& spec : source_->model()->tensors()) {
      EXPECT_THAT(spec.name == kMatrix ? writer.AddPacked(spec.name, packed) : writer.Keep(spec.name), IsOk());
    }
    return writer.FinishArtifact("{}", "{}").value();
  }

  testing::TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};  // does not wait for the disk
  FakeClock clock_;
  std::unique_ptr<BlobStore> store_;
  std::unique_ptr<const StoredModel> source_;
};

TEST_F(Export, AMatrixOfEveryVersionBecomesItsWeightsInHalfPrecision) {
  std::mt19937 random(3);
  const PackedShape shape = {.rows = 64, .cols = 32, .bits = 3, .group_size = 16, .outliers = 20};
  PackedShape second = shape;
  second.format = &kAffine2;
  PackedShape coded = second;
  coded.scale_bits = 8;
  for (const PackedShape& each : {shape, second, coded}) {
    SCOPED_TRACE(DescribeShape(each));
    const auto packed = EncodePacked(testing::RandomContent(each, random)).value();
    std::vector<float> weights(64 * 32);
    PackedView::Open(packed)->DequantizeAll(weights);
    const auto exported = ExportArtifact(*store_, ArtifactOf(packed), "hf-fp16", NoProgress());
    ASSERT_THAT(exported, IsOk());
    const auto model = StoredModel::Open(*store_, exported->model).value();
    const DenseTensor tensor = model->Dense(kMatrix).value();
    std::vector<float> written(weights.size());
    ToFloat(tensor.view, 0, written);
    for (size_t i = 0; i < weights.size(); ++i) ASSERT_EQ(written[i], HalfToFloat(FloatToHalf(weights[i]))) << i;
  }
}

}  // namespace
}  // namespace gwq
