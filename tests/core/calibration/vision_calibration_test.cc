// Gradients of language model, projector and tower from one image and its question, against transformers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "core/calibration/gradient_walk.h"
#include "core/calibration/image_sample.h"
#include "tests/support/golden_prompt.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::FilesWeightLoader;
using testing::GoldenModel;
using testing::GoldenPrompt;
using testing::IsOk;

// fp32 on the CPU: of a gradient's norm.
constexpr double kRelative = 1e-3;

struct Walked {
  double loss = 0;
  std::map<std::string, std::vector<float>> gradients;
};

class Collector final : public GradientVisitor {
 public:
  explicit Collector(std::function<bool(std::string_view)> wanted) : wanted_(std::move(wanted)) {}
  bool Wants(std::string_view tensor) const override { return wanted_(tensor); }
  absl::Status Take(std::string_view tensor, std::span<const float> gradient) override {
    EXPECT_TRUE(gradients.emplace(tensor, std::vector<float>(gradient.begin(), gradient.end())).second);
    return absl::OkStatus();
  }
  absl::Status Reached(const WalkRecord&) override { return absl::OkStatus(); }
  std::map<std::string, std::vector<float>> gradients;

 private:
  const std::function<bool(std::string_view)> wanted_;
};

Walked Walk(const GoldenModel& golden, const GoldenPrompt& prompt,
            const std::function<bool(std::string_view)>& wanted) {
  const auto backend = TorchBackend::Create({1});
  FilesWeightLoader loader(**backend, golden.weights);
  const SampleSet samples = {{prompt.tokens, prompt.positions, prompt.tiles(), prompt.patches}};
  const auto runner = StageRunner::Create(*golden.model, loader, **backend, samples);
  EXPECT_THAT(runner, IsOk());
  Collector collector(wanted);
  GradientWalkOptions options;
  options.loss = Loss::kAll;
  const auto loss = WalkGradients(**runner, *golden.model, options, collector, NoProgress());
  EXPECT_THAT(loss, IsOk());
  return {loss.value_or(NAN), std::move(collector.gradients)};
}

std::set<std::string> Linears(const Model& model) {
  std::set<std::string> out;
  for (const TensorSpec& spec : model.tensors()) {
    if (spec.kind == TensorKind::kLinear) out.insert(spec.name);
  }
  return out;
}

TEST(VisionCalibration, GradientsOfEveryLinearAreThoseOfTransformers) {
  for (const std::string& name : testing::GoldenVisionModelNames()) {
    SCOPED_TRACE(name);
    const auto golden = GoldenModel::Load(name);
    ASSERT_THAT(golden, IsOk());
    const std::set<std::string> linears = Linears(*golden->model);
    // Of two images; the goldens are gradients of the mean over all positions.
    const Walked walked = Walk(*golden, testing::LoadGoldenPrompt(*golden, "b"),
                               [&](std::string_view tensor) { return linears.contains(std::string(tensor)); });
    EXPECT_NEAR(walked.loss, golden->Floats("loss.all").at(0), 1e-5);
    EXPECT_EQ(walked.gradients.size(), linears.size());
    std::set<ModelPart> parts;
    for (const TensorSpec& spec : golden->model->tensors()) {
      const std::vector<float> expected = golden->Floats("gradient.all." + spec.name);
      if (spec.kind != TensorKind::kLinear || expected.empty()) continue;
      const std::vector<float>& got = walked.gradients.at(spec.name);
      ASSERT_EQ(got.size(), expected.size()) << spec.name;
      double difference = 0, norm = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        difference += std::pow(got[i] - expected[i], 2);
        norm += std::pow(expected[i], 2);
      }
      EXPECT_LE(std::sqrt(difference), kRelative * std::sqrt(norm)) << spec.name;
      parts.insert(spec.part);
    }
    EXPECT_EQ(parts.size(), 3U) << "language, vision and projector";
  }
}

TEST(VisionCalibration, AKeptTowerIsNotWalkedBack) {
  const auto golden = GoldenModel::Load("qwen2-vl-tied-f16-v4");
  ASSERT_THAT(golden, IsOk());
  const GoldenPrompt prompt = testing::LoadGoldenPrompt(*golden, "a");
  const std::set<std::string> linears = Linears(*golden->model);
  const Walked all =
      Walk(*golden, prompt, [&](std::string_view tensor) { return linears.contains(std::string(tensor)); });
  const Walked language = Walk(*golden, prompt, [&](std::string_view tensor) {
    return linears.contains(std::string(tensor)) && tensor.find("visual") == std::string_view::npos;
  });
  EXPECT_EQ(language.loss, all.loss);
  EXPECT_LT(language.gradients.size(), all.gradients.size());
  for (const auto& [name, gradient] : language.gradients) EXPECT_EQ(gradient, all.gradients.at(name)) << name;
}

TEST(VisionCalibration, PatchesThatDoNotFitTheTilesAreRefused) {
  const auto golden = GoldenModel::Load("qwen2-vl-tied-f16-v4");
  const GoldenPrompt prompt = testing::LoadGoldenPrompt(*golden, "a");
  const auto backend = TorchBackend::Create({1});
  FilesWeightLoader loader(**backend, golden->weights);
  SampleSet samples = {{prompt.tokens, prompt.positions, prompt.tiles(), prompt.patches}};
  samples[0].patches.pop_back();
  EXPECT_THAT(StageRunner::Create(*golden->model, loader, **backend, samples), FailsAt("patches"));
}

TEST(VisionCalibration, TheBuiltInImageHasShapesOfSeveralColours) {
  const Image image = BuiltInImage();
  EXPECT_EQ(image.rgb.size(), size_t{3} * 224 * 224);
  std::map<std::array<int, 3>, int> coarse;
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    ++coarse[{image.rgb[i] / 64, image.rgb[i + 1] / 64, image.rgb[i + 2] / 64}];
  }
  EXPECT_GE(coarse.size(), 8U);
  EXPECT_EQ(BuiltInImage().rgb, image.rgb);
}

}  // namespace
}  // namespace gwq
