// Gradients of language model, projector and tower stage by stage, as calibration takes them, against transformers'
// autograd over the whole model.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "core/backend/torch/torch_backend.h"
#include "tests/core/backend/torch/own_label_backward.h"
#include "tests/support/golden_prompt.h"
#include "tests/support/vision_conformance.h"

namespace gwq {
namespace {

using testing::FilesWeightLoader;
using testing::GoldenModel;
using testing::GoldenPrompt;
using Floats = std::vector<float>;

// fp32 on the CPU: of a gradient's norm, and of its largest element.
constexpr double kRelative = 1e-3;
constexpr double kLogitsTolerance = 1e-4;

// Forward keeps the inputs of the stages of tower and decoder; backwards one stage is loaded, run again on its input,
// asked for its gradients and dropped. Rows of the decoder's input that came from the tower take their gradient there.
class WholeWalk {
 public:
  WholeWalk(TorchBackend& backend, const GoldenModel& golden, const GoldenPrompt& prompt)
      : backend_(backend),
        model_(*golden.model),
        tower_(*golden.model->vision()),
        loader_(backend, golden.weights),
        prompt_(prompt),
        outputs_(prompt.tokens.size()) {
    std::iota(outputs_.begin(), outputs_.end(), 0);
    rows_ = {{0, prompt.rows(), 0, {}}};
  }

  void Run() {
    auto layout = tower_.Layout(prompt_.tiles());
    ASSERT_TRUE(layout.ok()) << layout.status();
    layout_ = *std::move(layout);
    TowerForward();
    DecoderForward();
    if (::testing::Test::HasFatalFailure()) return;
    DecoderBackward();
    TowerBackward();
  }

  double loss = 0;
  std::map<std::string, Floats> gradients;  // by tensor name

 private:
  [[nodiscard]] Batch DecoderBatch() const {
    Batch batch;
    batch.rows = prompt_.rows();
    batch.tokens = prompt_.tokens;
    batch.embeddings = tower_inputs_.back();
    batch.position_axes = model_.config().position_axes;
    batch.positions = prompt_.positions;
    batch.sequences = rows_;
    batch.output_rows = outputs_;
    return batch;
  }
  [[nodiscard]] Batch TowerBatch(int stage) const { return BatchOfRows(layout_.rows[static_cast<size_t>(stage)]); }

  void TowerForward() {
    tower_inputs_ = {prompt_.patches};
    for (int stage = 0; stage < tower_.stages(); ++stage) {
      const auto loaded = tower_.LoadStage(stage, loader_);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      const Batch batch = TowerBatch(stage);
      const auto pass = backend_.Begin(batch, nullptr);
      ASSERT_TRUE(pass.ok()) << pass.status();
      const Activation x = (*loaded)->Run(**pass, layout_, (*pass)->Input(tower_inputs_.back(), tower_.width(stage)));
      Floats out(static_cast<size_t>(layout_.rows[static_cast<size_t>(stage) + 1] * tower_.width(stage + 1)));
      const absl::Status status = (*pass)->Read(x, out);
      ASSERT_TRUE(status.ok()) << status;
      tower_inputs_.push_back(std::move(out));
    }
  }

  void DecoderForward() {
    inputs_.resize(1);
    const Batch batch = DecoderBatch();
    for (int stage = 0; stage + 1 < model_.stages(); ++stage) {
      const auto loaded = model_.LoadStage(stage, loader_);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      const auto pass = backend_.Begin(batch, nullptr);
      ASSERT_TRUE(pass.ok()) << pass.status();
      Activation x = stage == 0 ? Activation() : (*pass)->Input(inputs_.back(), model_.config().hidden_size);
      x = (*loaded)->Run(**pass, stage - 1, std::move(x));
      Floats out(prompt_.tokens.size() * static_cast<size_t>(model_.config().hidden_size));
      ASSERT_TRUE((*pass)->Read(x, out).ok());
      inputs_.push_back(std::move(out));
    }
  }

  void DecoderBackward() {
    const Batch batch = DecoderBatch();
    gradient_.resize(inputs_.back().size());
    for (int stage = model_.stages(); stage-- > 1;) {
      const auto loaded = model_.LoadStage(stage, loader_);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      const bool head = stage == model_.stages() - 1;
      if (!head) Want((*loaded)->weights());
      const auto pass = backend_.BeginGradient(batch);
      ASSERT_TRUE(pass.ok()) << pass.status();
      Activation x = (*pass)->DifferentiableInput(inputs_[static_cast<size_t>(stage)], model_.config().hidden_size);
      x = (*loaded)->Run(**pass, stage - 1, std::move(x));
      if (head) {
        loss = testing::OwnLabelBackward(**pass, std::move(x), batch.output_rows.size(), model_.config().vocab_size,
                                         static_cast<double>(batch.rows));
      } else {
        ASSERT_TRUE((*pass)->Backward(std::move(x), gradient_).ok());
        Take((*loaded)->weights());
      }
      ASSERT_TRUE((*pass)->InputGradient(gradient_).ok());
    }
  }

  void TowerBackward() {
    const auto hidden = static_cast<size_t>(model_.config().hidden_size);
    Floats gradient(tower_inputs_.back().size());
    for (size_t i = 0; i < prompt_.tokens.size(); ++i) {
      if (prompt_.tokens[i] >= 0) continue;
      std::copy_n(gradient_.begin() + static_cast<std::ptrdiff_t>(i * hidden), hidden,
                  gradient.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(~prompt_.tokens[i]) * hidden));
    }
    for (int stage = tower_.stages(); stage-- > 0;) {
      const auto loaded = tower_.LoadStage(stage, loader_);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      Want((*loaded)->weights());
      const Batch batch = TowerBatch(stage);
      const auto pass = backend_.BeginGradient(batch);
      ASSERT_TRUE(pass.ok()) << pass.status();
      const Floats& in = tower_inputs_[static_cast<size_t>(stage)];
      Activation x = (*loaded)->Run(**pass, layout_, (*pass)->DifferentiableInput(in, tower_.width(stage)));
      const absl::Status status = (*pass)->Backward(std::move(x), gradient);
      ASSERT_TRUE(status.ok()) << status;
      Take((*loaded)->weights());
      gradient.resize(in.size());
      ASSERT_TRUE((*pass)->InputGradient(gradient).ok());
    }
  }

  void Want(const std::vector<NamedWeight>& weights) {
    for (const NamedWeight& named : weights) {
      if (named.weight->shape().size() != 2) continue;
      ASSERT_TRUE(backend_.WantGradient(*named.weight).ok());
    }
  }

  void Take(const std::vector<NamedWeight>& weights) {
    for (const NamedWeight& named : weights) {
      if (named.weight->shape().size() != 2) continue;
      const auto gradient = backend_.GradientOf(*named.weight);
      ASSERT_TRUE(gradient.ok()) << named.name << ": " << gradient.status();
      gradients[named.name] = {gradient->begin(), gradient->end()};
      backend_.DropGradient(*named.weight);
    }
  }

  TorchBackend& backend_;
  const Model& model_;
  const VisionTower& tower_;
  FilesWeightLoader loader_;
  const GoldenPrompt& prompt_;
  std::vector<int32_t> outputs_;
  std::vector<SequenceRows> rows_;
  VisionLayout layout_;
  std::vector<Floats> tower_inputs_, inputs_;
  Floats gradient_;
};

double NormOf(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

void ExpectNear(const std::string& name, const Floats& got, const Floats& want) {
  ASSERT_EQ(got.size(), want.size()) << name;
  Floats difference(got.size());
  float largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference[i] = got[i] - want[i];
    largest = std::max(largest, std::abs(want[i]));
  }
  ASSERT_GT(largest, 0) << name;
  EXPECT_LE(NormOf(difference), kRelative * NormOf(want)) << name;
  EXPECT_LE(testing::MaxDifference(got, want), kRelative * largest) << name;
}

class VisionOnTorch : public ::testing::TestWithParam<std::string> {};

TEST_P(VisionOnTorch, LogitsEqualTransformers) {
  auto backend = TorchBackend::Create({1});
  ASSERT_TRUE(backend.ok());
  testing::ExpectGoldenVision(**backend, GetParam(), kLogitsTolerance, /*bitwise=*/false);
}

TEST_P(VisionOnTorch, GradientsOfEveryMatrixEqualTransformers) {
  auto backend = TorchBackend::Create({1});
  ASSERT_TRUE(backend.ok());
  const auto golden = GoldenModel::Load(GetParam());
  ASSERT_TRUE(golden.ok()) << golden.status();
  const GoldenPrompt prompt = testing::LoadGoldenPrompt(*golden, "b");
  WholeWalk walk(**backend, *golden, prompt);
  walk.Run();
  EXPECT_NEAR(walk.loss, golden->Floats("loss.all").at(0), 1e-5);
  size_t compared = 0;
  for (const TensorSpec& spec : golden->model->tensors()) {
    const bool matrix = spec.kind == TensorKind::kLinear || spec.kind == TensorKind::kPosition;
    if (!matrix) continue;
    const auto got = walk.gradients.find(spec.name);
    ASSERT_NE(got, walk.gradients.end()) << spec.name;
    ExpectNear(spec.name, got->second, golden->Floats("gradient.all." + spec.name));
    ++compared;
  }
  EXPECT_EQ(compared, walk.gradients.size());
}

TEST(EasyVqaOnTorch, LogitsEqualTransformers) {
  auto backend = TorchBackend::Create({1});
  ASSERT_TRUE(backend.ok());
  testing::ExpectEasyVqa(**backend, kLogitsTolerance, /*bitwise=*/false);
}

INSTANTIATE_TEST_SUITE_P(Models, VisionOnTorch, ::testing::ValuesIn(testing::GoldenVisionModelNames()),
                         [](const auto& which) {
                           std::string name = which.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace gwq
