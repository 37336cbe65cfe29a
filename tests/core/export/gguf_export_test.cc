// Exports as GGUF: imported again, they are the model that they were made of.
#include <gmock/gmock.h>

#include "core/artifact/gguf_layout.h"
#include "core/export/gguf_types.h"
#include "core/io/gguf.h"
#include "tests/core/export/export_fixture.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::IsOk;
using testing::kMatrix;
using testing::kQuery;

class GgufExport : public testing::ExportFixture {
 protected:
  static ExportOptions Options(std::optional<OutlierChoice> outliers = {}, std::optional<GgmlType> type = {}) {
    return {.format = ExportFormat::kGguf, .outliers = outliers, .gguf_type = type};
  }
  std::unique_ptr<const StoredModel> ImportedAgain(const Manifest& exported) {
    Manifest upload = exported;
    std::erase_if(upload.files, [](const ManifestFile& file) { return file.path == "gwq-export.json"; });
    const auto digest = ImportModel(*store_, upload, NoProgress());
    EXPECT_THAT(digest, IsOk());
    return StoredModel::Open(*store_, *digest).value();
  }
  static std::vector<float> Dense(const StoredModel& model, const std::string& name) {
    const DenseTensor tensor = model.Dense(name).value();
    std::vector<float> out(static_cast<size_t>(tensor.view.elements()));
    ToFloat(tensor.view, 0, out);
    return out;
  }
  GgufHeader HeaderOf(const Manifest& model) {
    const std::string header = ReadBlob(*store_, model.shards[0].header, 1 << 20).value();
    return ParseGgufHeader(std::as_bytes(std::span(header)), model.shards[0].size).value();
  }
  void ExpectSameModel(const StoredModel& again) {
    EXPECT_EQ(again.manifest().architecture, source_->manifest().architecture);
    const ModelConfig& config = again.model()->config();
    const ModelConfig& own = source_->model()->config();
    EXPECT_EQ(config.blocks, own.blocks);
    EXPECT_EQ(config.norm_epsilon, own.norm_epsilon);
    EXPECT_EQ(config.max_positions, own.max_positions);
    EXPECT_EQ(config.attention.heads, own.attention.heads);
    EXPECT_EQ(config.attention.kv_heads, own.attention.kv_heads);
    EXPECT_EQ(config.attention_bias, own.attention_bias);
    EXPECT_EQ(config.tied_head, own.tied_head);
    ASSERT_EQ(config.rope.inverse_frequencies.size(), own.rope.inverse_frequencies.size());
    for (size_t i = 0; i < own.rope.inverse_frequencies.size(); ++i) {
      EXPECT_FLOAT_EQ(config.rope.inverse_frequencies[i], own.rope.inverse_frequencies[i]);
    }
    for (const TensorSpec& spec : source_->model()->tensors()) {
      EXPECT_EQ(Dense(again, spec.name), Dense(*source_, spec.name)) << spec.name;
    }
  }
};

TEST_F(GgufExport, ImportedAgainItIsTheModel) {
  for (const char* const architecture : {"LlamaForCausalLM", "Qwen2ForCausalLM"}) {
    nlohmann::json config = testing::TinyConfig(architecture);
    config["tie_word_embeddings"] = false;
    config["attention_bias"] = true;
    Use(config);
    ExpectSameModel(*ImportedAgain(Exported(ArtifactOf({}), Options())));
  }
}

TEST_F(GgufExport, RotaryScalingsComeBack) {
  const std::vector<nlohmann::json> scalings = {
      {{"rope_type", "linear"}, {"factor", 4.0}},
      {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}},
      {{"rope_type", "llama3"},
       {"factor", 32.0},
       {"low_freq_factor", 1.0},
       {"high_freq_factor", 4.0},
       {"original_max_position_embeddings", 8192}}};
  for (const nlohmann::json& scaling : scalings) {
    nlohmann::json config = testing::TinyConfig();
    config["rope_theta"] = 500000.0;
    config["rope_scaling"] = scaling;
    Use(config);
    SCOPED_TRACE(scaling.dump());
    ExpectSameModel(*ImportedAgain(Exported(ArtifactOf({}), Options())));
  }
}

TEST_F(GgufExport, RotarySettingsWithoutAKeyAreRefusedByName) {
  nlohmann::json config = testing::TinyConfig();
  config["rope_scaling"] = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}, {"beta_fast", 16}};
  Use(config);
  EXPECT_THAT(Run(ArtifactOf({}), Options()).status(), FailsAt("config.rope_scaling.beta_fast"));
}

// Rows of Q are put in pairs on the way out and back on the way in: of a packed matrix too.
TEST_F(GgufExport, PackedMatricesComeBackAsTheirTypesHoldThem) {
  for (const char* const name : {kMatrix, kQuery}) {
    for (const int bits : {2, 3}) {
      const int64_t rows = name == kMatrix ? 64 : 32;
      const Digest artifact = ArtifactOf({{name, {rows, 32, bits, 32, 0}}});
      const auto again = ImportedAgain(Exported(artifact, Options()));
      std::vector<float> expected = Weights(artifact, name);
      for (float& weight : expected) weight = HalfToFloat(FloatToHalf(weight));
      EXPECT_EQ(Dense(*again, name), expected) << name;
    }
  }
}

TEST_F(GgufExport, TheReportSaysWhatATypeLoses) {
  const Digest artifact = ArtifactOf({{kQuery, {32, 32, 4, 32, 20}}});
  const auto result = Run(artifact, Options(OutlierChoice::kDrop, GgmlType::kQ4_0));
  ASSERT_THAT(result, IsOk());
  const auto again = ImportedAgain(ManifestOf(result->model));
  const double lost = testing::RelativeError(Weights(artifact, kQuery), Dense(*again, kQuery));
  EXPECT_EQ(Matrix(result->report, kQuery).stored, "Q4_0");
  EXPECT_NEAR(Matrix(result->report, kQuery).loss.relative(), lost, lost * 1e-3);
  EXPECT_GT(lost, 1e-4);
}

TEST_F(GgufExport, OutliersNeedAChoiceUnlessAllIsInHalfPrecision) {
  const Digest artifact = ArtifactOf({{kMatrix, {64, 32, 4, 32, 5}}});
  EXPECT_THAT(Run(artifact, Options()).status(), FailsAt("outliers"));
  const auto result = Run(artifact, Options({}, GgmlType::kF16));
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->report.Total().changed, 0);
}

TEST_F(GgufExport, TheFileIsOneShardWithItsLicenceAndAReport) {
  const Manifest model = Exported(ArtifactOf({{kMatrix, {64, 32, 4, 32, 0}}}), Options());
  ASSERT_EQ(model.shards.size(), 1u);
  EXPECT_EQ(model.shards[0].path, "model.gguf");
  ASSERT_EQ(model.files.size(), 2u);
  EXPECT_EQ(model.files[0].path, "LICENSE");
  EXPECT_EQ(JsonFile(model, "gwq-export.json")["matrices"][0]["stored"], "Q4_1");
  const GgufHeader header = HeaderOf(model);
  EXPECT_EQ(header.FindInt("llama.block_count") != nullptr, true);
  for (const GgufTensor& tensor : header.tensors) {
    EXPECT_EQ(tensor.type == GgmlType::kF32, tensor.shape.size() == 1) << tensor.name;
  }
}

TEST(GgufTypes, TheSmallestTypeThatKeepsTheCodesIsTaken) {
  const auto type = [](const PackedShape& shape) { return GgufTypeOf(shape, TensorKind::kLinear, {}); };
  EXPECT_EQ(type({64, 512, 2, 64, 0}), GgmlType::kQ4_0);
  EXPECT_EQ(type({64, 512, 3, 32, 0}), GgmlType::kQ4_0);
  EXPECT_EQ(type({64, 512, 4, 128, 0}), GgmlType::kQ4_1);
  EXPECT_EQ(type({64, 512, 5, 64, 0}), GgmlType::kQ5_1);
  EXPECT_EQ(type({64, 512, 6, 64, 0}), GgmlType::kQ8_0);
  EXPECT_EQ(type({64, 512, 4, 16, 0}), GgmlType::kQ8_0) << "two groups in a block";
  EXPECT_EQ(type({64, 512, 8, 64, 0}), GgmlType::kQ8_0);
  EXPECT_EQ(type({64, 40, 4, 40, 0}), GgmlType::kF16) << "no whole blocks in a row";
}

TEST(GgufTypes, AChosenTypeGivesWayToRowsAndOutliers) {
  const PackedShape plain{64, 512, 4, 64, 0};
  const PackedShape outliers{64, 512, 4, 64, 9};
  const auto options = [](GgmlType type, std::optional<OutlierChoice> choice = {}) {
    return ExportOptions{.format = ExportFormat::kGguf, .outliers = choice, .gguf_type = type};
  };
  const auto type = [](const PackedShape& shape, const ExportOptions& o) {
    return GgufTypeOf(shape, TensorKind::kLinear, o);
  };
  EXPECT_EQ(type(plain, options(GgmlType::kQ3_K)), GgmlType::kQ3_K);
  EXPECT_EQ(type({64, 576, 4, 64, 0}, options(GgmlType::kQ3_K)), GgmlType::kQ4_0);
  EXPECT_EQ(type({64, 576, 4, 64, 0}, options(GgmlType::kQ4_K)), GgmlType::kQ4_1);
  EXPECT_EQ(type({64, 576, 4, 64, 0}, options(GgmlType::kQ5_K)), GgmlType::kQ5_1);
  EXPECT_EQ(type({64, 576, 4, 64, 0}, options(GgmlType::kQ6_K)), GgmlType::kQ8_0);
  EXPECT_EQ(type(outliers, options(GgmlType::kQ4_K, OutlierChoice::kDrop)), GgmlType::kQ4_K);
  EXPECT_EQ(type(outliers, options(GgmlType::kQ4_K, OutlierChoice::kWider)), GgmlType::kQ8_0);
  EXPECT_EQ(type(outliers, options(GgmlType::kQ4_K, OutlierChoice::kFold)), GgmlType::kF16);
  EXPECT_EQ(type({64, 512, 8, 64, 9}, options(GgmlType::kQ4_K, OutlierChoice::kWider)), GgmlType::kF16);
  EXPECT_EQ(GgufTypeOf({64, 512, 8, 64, 0}, TensorKind::kEmbedding, options(GgmlType::kQ2_K)), GgmlType::kQ8_0);
}

}  // namespace
}  // namespace gwq
