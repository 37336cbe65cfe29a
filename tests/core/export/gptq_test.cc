// Exports as GPTQ, decoded here from the description of the layout.
#include "tests/core/export/export_fixture.h"

namespace gwq {
namespace {

using testing::kMatrix;
using testing::kModule;
using testing::kQuery;

class Gptq : public testing::ExportFixture {
 protected:
  static ExportOptions Options(std::optional<OutlierChoice> outliers = {}) {
    return {.format = ExportFormat::kGptq, .outliers = outliers};
  }
  std::vector<float> Decoded(const Manifest& model, const std::string& module, int bits) {
    const auto codes = Elements<uint32_t>(model, module + ".qweight");
    const auto zeros = Elements<uint32_t>(model, module + ".qzeros");
    const auto scales = Elements<uint16_t>(model, module + ".scales");
    const auto group_of = Elements<int32_t>(model, module + ".g_idx");
    const int64_t inputs = std::ssize(group_of);
    const int64_t outputs = std::ssize(codes) * 32 / bits / inputs;
    const int64_t zero_words = outputs * bits / 32;
    std::vector<float> out;
    std::vector<uint32_t> column(static_cast<size_t>(inputs * bits / 32));
    for (int64_t o = 0; o < outputs; ++o) {
      for (size_t w = 0; w < column.size(); ++w) column[w] = codes[w * static_cast<size_t>(outputs) + o];
      for (int64_t i = 0; i < inputs; ++i) {
        const int64_t group = group_of[static_cast<size_t>(i)];
        const auto code = static_cast<float>(testing::BitsAt(column.data(), i * bits, bits));
        const auto zero = static_cast<float>(testing::BitsAt(zeros.data() + group * zero_words, o * bits, bits));
        out.push_back((code - zero) * HalfToFloat(scales[static_cast<size_t>(group * outputs + o)]));
      }
    }
    return out;
  }
};

TEST_F(Gptq, AMatrixOfEveryWidthAndGroupKeepsItsWeights) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t group : {16, 32}) {
      SCOPED_TRACE(std::to_string(bits) + " bits, groups of " + std::to_string(group));
      const Digest artifact = ArtifactOf({{kMatrix, {64, 32, bits, group, 0}}});
      EXPECT_EQ(Decoded(Exported(artifact, Options()), kModule, bits), Weights(artifact, kMatrix));
    }
  }
}

TEST_F(Gptq, GroupsAreCutIntoEqualOnesAndSmallerOnesThanReadersTakeAreInHalfPrecision) {
  constexpr char kDown[] = "model.layers.0.mlp.down_proj.weight";  // 32 x 64
  const Digest artifact = ArtifactOf({{kDown, {32, 64, 4, 48, 0}}, {kQuery, {32, 32, 4, 8, 0}}});
  const auto result = Run(artifact, Options());
  ASSERT_THAT(result, testing::IsOk());
  EXPECT_EQ(Matrix(result->report, kDown).stored, "4 bits, groups of 16");
  EXPECT_EQ(Matrix(result->report, kQuery).stored, "FP16");
  EXPECT_EQ(result->report.Total().changed, 0);
}

TEST_F(Gptq, AFileHasOneWidthAndReadersAreToldWhichModulesHaveIt) {
  const Manifest model = Exported(ArtifactOf({{kMatrix, {64, 32, 4, 16, 0}}, {kQuery, {32, 32, 8, 32, 0}}}), Options());
  const nlohmann::json config = JsonFile(model, "config.json")["quantization_config"];
  EXPECT_EQ(config["bits"], 4);
  EXPECT_EQ(config["group_size"], 16);
  EXPECT_EQ(config["modules_in_block_to_quantize"], nlohmann::json::parse("[[\"" + std::string(kModule) + "\"]]"));
  for (const auto& [pattern, settings] : config["dynamic"].items()) EXPECT_TRUE(pattern.starts_with("-:")) << pattern;
  EXPECT_EQ(Find(model, kQuery)->dtype, "F16");
}

TEST_F(Gptq, WiderKeepsAllWeightsNearlyAsTheyAre) {
  const Digest artifact = ArtifactOf({{kMatrix, {64, 32, 3, 16, 40}}});
  const Manifest model = Exported(artifact, Options(OutlierChoice::kWider));
  EXPECT_LT(testing::RelativeError(Weights(artifact, kMatrix), Decoded(model, kModule, 8)), 1e-4);
}

TEST_F(Gptq, WithMixedWidthsTheConfigurationSaysTheMostFrequentKindAndWhatDiffers) {
  ExportOptions options = Options();
  options.widths = WidthChoice::kMixed;
  const Manifest model = Exported(ArtifactOf({{kMatrix, {64, 32, 4, 16, 0}},
                                              {"model.layers.1.mlp.up_proj.weight", {64, 32, 4, 16, 0}},
                                              {kQuery, {32, 32, 8, 32, 0}}}),
                                  options);
  const nlohmann::json config = JsonFile(model, "config.json")["quantization_config"];
  EXPECT_EQ(config["quant_method"], "gptq");
  EXPECT_EQ(config["checkpoint_format"], "gptq_v2");
  EXPECT_EQ(config["bits"], 4);
  EXPECT_EQ(config["group_size"], 16);
  EXPECT_EQ(config["sym"], false);
  EXPECT_EQ(config["dynamic"].size(), 12u) << "11 matrices of 14 that stay dense, and one of 8 bits";
  EXPECT_EQ(config["dynamic"][R"(+:^model\.layers\.1\.self_attn\.q_proj$)"]["bits"], 8);
  EXPECT_TRUE(config["dynamic"].contains(R"(-:^model\.layers\.0\.mlp\.down_proj$)"));
  EXPECT_EQ(JsonFile(model, "quantize_config.json"), config);
}

}  // namespace
}  // namespace gwq
