// Exports as compressed-tensors, decoded here from the description of the format.
#include <gmock/gmock.h>

#include <cmath>

#include "core/format/format.h"
#include "tests/core/export/export_fixture.h"

namespace gwq {
namespace {

using testing::FailsAt;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::kMatrix;
using testing::kModule;

constexpr char kHalf[] = "FP16";

class CompressedTensors : public testing::ExportFixture {
 protected:
  static ExportOptions Options(std::optional<OutlierChoice> outliers = {}) {
    return {.format = ExportFormat::kCompressedTensors, .outliers = outliers};
  }
  // What the tensors of a module say.
  std::vector<float> Decoded(const Manifest& model, const std::string& module, int bits) {
    const auto shape = Elements<int64_t>(model, module + ".weight_shape");
    const int64_t rows = shape[0];
    const int64_t cols = shape[1];
    const auto codes = Elements<uint32_t>(model, module + ".weight_packed");
    const auto zeros = Elements<uint32_t>(model, module + ".weight_zero_point");
    const auto scales = Elements<uint16_t>(model, module + ".weight_scale");
    const int64_t groups = std::ssize(scales) / rows;
    const int64_t row_words = std::ssize(codes) / rows;
    std::vector<float> out;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        const int64_t group = c / (cols / groups);
        const auto code = static_cast<float>(testing::BitsAt(codes.data() + r * row_words, c * bits, bits));
        // Zero points stand below one another: 32 / bits rows in a word.
        const uint32_t word = zeros[static_cast<size_t>(r * bits / 32 * groups + group)];
        const auto zero = static_cast<float>(word >> (r * bits % 32) & ((1U << bits) - 1));
        out.push_back((code - zero) * HalfToFloat(scales[static_cast<size_t>(r * groups + group)]));
      }
    }
    return out;
  }
  // Of the matrix, exported from `shape`.
  void ExpectKept(const PackedShape& shape, int stored_bits) {
    const Digest artifact = ArtifactOf({{kMatrix, shape}});
    const Manifest model = Exported(artifact, Options());
    const std::vector<float> ours = Weights(artifact, kMatrix);
    const std::vector<float> written = Decoded(model, kModule, stored_bits);
    for (size_t i = 0; i < ours.size(); ++i) ASSERT_NEAR(written[i], ours[i], std::abs(ours[i]) * 0x1p-11) << i;
  }
};

TEST_F(CompressedTensors, AMatrixOfEveryWidthAndGroupKeepsItsWeights) {
  for (const auto& [bits, stored] : std::map<int, int>{{2, 2}, {3, 4}, {4, 4}, {8, 8}}) {
    for (const int64_t group : {8, 16, 32, 64}) {
      SCOPED_TRACE(std::to_string(bits) + " bits, groups of " + std::to_string(group));
      if (!CheckPackedShape({64, 32, bits, group, 0}).ok()) continue;
      ExpectKept({64, 32, bits, group, 0}, stored);
    }
  }
}

TEST_F(CompressedTensors, GroupsThatDoNotDivideARowAreCut) {
  const Digest artifact = ArtifactOf({{kMatrix, {64, 32, 4, 24, 0}}});
  const Manifest model = Exported(artifact, Options());
  EXPECT_EQ(Find(model, std::string(kModule) + ".weight_scale")->shape, (Shape{64, 4}));
  EXPECT_EQ(Decoded(model, kModule, 4), Weights(artifact, kMatrix));
}

TEST_F(CompressedTensors, CodedScalesAreRoundedToHalfPrecision) { ExpectKept({64, 32, 4, 16, 0, 8, &kAffine2}, 4); }

TEST_F(CompressedTensors, OutliersWithoutAChoiceAreRefusedWithTheirNumber) {
  const Digest artifact = ArtifactOf({{kMatrix, {64, 32, 4, 16, 5}}});
  const absl::Status status = Run(artifact, Options()).status();
  EXPECT_THAT(status, FailsAt("outliers"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 matrices keep 5 weights"));
}

TEST_F(CompressedTensors, DroppedOutliersBecomeTheNearestWeightAndAreCounted) {
  const Digest artifact = ArtifactOf({{kMatrix, {64, 32, 4, 16, 40}}});
  const auto result = Run(artifact, Options(OutlierChoice::kDrop));
  ASSERT_THAT(result, IsOk());
  const std::vector<float> ours = Weights(artifact, kMatrix);
  const std::vector<float> written = Decoded(ManifestOf(result->model), kModule, 4);
  int64_t changed = 0;
  for (size_t i = 0; i < ours.size(); ++i) changed += std::abs(ours[i] - written[i]) > std::abs(ours[i]) * 0x1p-11F;
  const WeightLoss& loss = Matrix(result->report, kMatrix).loss;
  EXPECT_EQ(loss.weights, 64 * 32);
  EXPECT_EQ(loss.changed, changed);
  EXPECT_LE(changed, 40);
  EXPECT_GT(changed, 20);
  EXPECT_NEAR(loss.relative(), testing::RelativeError(ours, written), 1e-9);
}

TEST_F(CompressedTensors, WiderKeepsAllWeightsNearlyAsTheyAre) {
  const Digest artifact = ArtifactOf({{kMatrix, {64, 32, 4, 16, 40}}});
  const auto result = Run(artifact, Options(OutlierChoice::kWider));
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(Matrix(result->report, kMatrix).stored, "8 bits, groups of 16");
  EXPECT_LT(testing::RelativeError(Weights(artifact, kMatrix), Decoded(ManifestOf(result->model), kModule, 8)), 1e-4);
}

TEST_F(CompressedTensors, FoldedMatricesAndWidestOnesWithOutliersAreInHalfPrecision) {
  for (const auto& [bits, choice] :
       std::map<int, OutlierChoice>{{4, OutlierChoice::kFold}, {8, OutlierChoice::kWider}}) {
    const Digest artifact = ArtifactOf({{kMatrix, {64, 32, bits, 16, 40}}});
    const auto result = Run(artifact, Options(choice));
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(Matrix(result->report, kMatrix).stored, kHalf);
    EXPECT_EQ(Matrix(result->report, kMatrix).loss.changed, 0);
    const auto halves = Elements<uint16_t>(ManifestOf(result->model), kMatrix);
    const std::vector<float> ours = Weights(artifact, kMatrix);
    for (size_t i = 0; i < ours.size(); ++i) ASSERT_EQ(halves[i], FloatToHalf(ours[i]));
  }
}

TEST_F(CompressedTensors, EmbeddingsAreInHalfPrecision) {
  const Manifest model = Exported(ArtifactOf({{"model.embed_tokens.weight", {24, 32, 8, 32, 0}}}), Options());
  EXPECT_EQ(Find(model, "model.embed_tokens.weight")->dtype, "F16");
  EXPECT_FALSE(JsonFile(model, "config.json").contains("quantization_config"));
}

TEST_F(CompressedTensors, AFileHasOneWidthAndIsDequantizedAsItIsLoaded) {
  const auto result =
      Run(ArtifactOf({{kMatrix, {64, 32, 4, 16, 0}}, {testing::kQuery, {32, 32, 8, 32, 0}}}), Options());
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(Matrix(result->report, kMatrix).stored, "4 bits, groups of 16");
  EXPECT_EQ(Matrix(result->report, testing::kQuery).stored, kHalf);
  const nlohmann::json config = JsonFile(ManifestOf(result->model), "config.json")["quantization_config"];
  EXPECT_EQ(config["config_groups"].size(), 1u);
  EXPECT_EQ(config["dequantize"], true);
}

TEST_F(CompressedTensors, WithMixedWidthsTheConfigurationHasAGroupForEachAndNamesWhatIsNotQuantized) {
  ExportOptions options = Options();
  options.widths = WidthChoice::kMixed;
  const Manifest model =
      Exported(ArtifactOf({{kMatrix, {64, 32, 4, 16, 0}}, {testing::kQuery, {32, 32, 8, 32, 0}}}), options);
  const nlohmann::json config = JsonFile(model, "config.json")["quantization_config"];
  EXPECT_EQ(config["quant_method"], "compressed-tensors");
  EXPECT_EQ(config["format"], "pack-quantized");
  ASSERT_EQ(config["config_groups"].size(), 2u);
  EXPECT_FALSE(config.contains("dequantize")) << "it is read by the first group alone";
  const nlohmann::json& narrow = config["config_groups"]["group_0"];
  EXPECT_EQ(narrow["targets"], nlohmann::json{kModule});
  EXPECT_EQ(narrow["weights"]["num_bits"], 4);
  EXPECT_EQ(narrow["weights"]["group_size"], 16);
  EXPECT_EQ(narrow["weights"]["symmetric"], false);
  EXPECT_EQ(config["config_groups"]["group_1"]["weights"]["num_bits"], 8);
  EXPECT_EQ(config["ignore"].size(), 13u) << "12 of 14 matrices of the blocks, and the tied head: " << config["ignore"];
}

TEST_F(CompressedTensors, TheModelIsNotImportedAndKeepsTheFilesAndAReport) {
  const auto result = Run(ArtifactOf({{kMatrix, {64, 32, 4, 16, 0}}}), Options());
  ASSERT_THAT(result, IsOk());
  const Manifest model = ManifestOf(result->model);
  EXPECT_EQ(model.kind, "model");
  EXPECT_EQ(model.architecture, "");
  EXPECT_EQ(result->architecture, "LlamaForCausalLM");
  EXPECT_EQ(result->stored_bytes, model.StoredBytes());
  EXPECT_NE(model.FindFile("LICENSE"), nullptr);
  EXPECT_EQ(JsonFile(model, "gwq-export.json")["matrices"][0]["stored"], "4 bits, groups of 16");
  EXPECT_THAT(StoredModel::Open(*store_, result->model).status(),
              testing::HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(log_.lines.back(), HasSubstr("0 of 2048 weights changed"));
}

}  // namespace
}  // namespace gwq
