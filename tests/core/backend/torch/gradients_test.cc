// Gradients stage by stage, as calibration takes them, against transformers' autograd over the whole model.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "core/backend/torch/torch_backend.h"
#include "tests/core/backend/torch/own_label_backward.h"
#include "tests/support/golden_model.h"

namespace gwq {
namespace {

using testing::FilesWeightLoader;
using testing::GoldenModel;

// fp32 on the CPU: of a gradient's norm, and of its largest element.
constexpr double kRelative = 1e-3;

// The sample with all its spans.
struct Sample {
  explicit Sample(std::vector<int32_t> ids) : tokens(std::move(ids)), positions(tokens.size()), outputs(tokens.size()) {
    std::iota(positions.begin(), positions.end(), 0);
    std::iota(outputs.begin(), outputs.end(), 0);
    rows = {{0, static_cast<int64_t>(tokens.size()), 0, {}}};
  }
  [[nodiscard]] Batch All() const {
    Batch batch;
    batch.rows = static_cast<int64_t>(tokens.size());
    batch.tokens = tokens;
    batch.positions = positions;
    batch.sequences = rows;
    batch.output_rows = outputs;
    return batch;
  }
  [[nodiscard]] Batch Last() const {
    Batch batch = All();
    batch.output_rows = std::span(outputs).last(1);
    return batch;
  }
  std::vector<int32_t> tokens, positions, outputs;
  std::vector<SequenceRows> rows;
};

struct Walk {
  double loss = 0;
  std::map<std::string, std::vector<float>> gradients;  // by tensor name
};

// Forward keeps the inputs of the stages; backwards one stage is loaded, run again, asked for its gradients and freed.
class BlockWalk {
 public:
  BlockWalk(TorchBackend& backend, const GoldenModel& golden)
      : backend_(backend), model_(*golden.model), loader_(backend, golden.weights) {}

  Walk Run(const Batch& batch) {
    Walk walk;
    const auto hidden = static_cast<size_t>(model_.config().hidden_size);
    const size_t width = static_cast<size_t>(batch.rows) * hidden;
    std::vector<std::vector<float>> inputs(1);
    for (int stage = 0; stage + 1 < model_.stages(); ++stage) {
      inputs.emplace_back(width);
      Forward(batch, stage, inputs[static_cast<size_t>(stage)], inputs.back());
    }
    std::vector<float> gradient(width);
    for (int stage = model_.stages(); stage-- > 1;) {
      Backward(batch, stage, inputs[static_cast<size_t>(stage)], gradient, walk);
    }
    return walk;
  }

 private:
  void Forward(const Batch& batch, int stage, const std::vector<float>& in, std::vector<float>& out) {
    const auto loaded = model_.LoadStage(stage, loader_);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    const auto pass = backend_.Begin(batch, nullptr);
    ASSERT_TRUE(pass.ok()) << pass.status();
    Activation x = stage == 0 ? Activation() : (*pass)->Input(in, model_.config().hidden_size);
    x = (*loaded)->Run(**pass, stage - 1, std::move(x));
    ASSERT_TRUE((*pass)->Read(x, out).ok());
  }

  void Backward(const Batch& batch, int stage, const std::vector<float>& in, std::vector<float>& gradient, Walk& walk) {
    const auto loaded = model_.LoadStage(stage, loader_);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    const bool head = stage == model_.stages() - 1;
    if (!head) Want(**loaded);
    const auto pass = backend_.BeginGradient(batch);
    ASSERT_TRUE(pass.ok()) << pass.status();
    Activation x = (*pass)->DifferentiableInput(in, model_.config().hidden_size);
    x = (*loaded)->Run(**pass, stage - 1, std::move(x));
    if (head) {
      walk.loss = testing::OwnLabelBackward(**pass, std::move(x), batch.output_rows.size(), model_.config().vocab_size,
                                            static_cast<double>(batch.output_rows.size()));
    } else {
      const absl::Status status = (*pass)->Backward(std::move(x), gradient);
      ASSERT_TRUE(status.ok()) << status;
      Take(**loaded, walk);
    }
    const absl::Status status = (*pass)->InputGradient(gradient);
    ASSERT_TRUE(status.ok()) << status;
  }

  void Want(const Stage& stage) {
    for (const auto& named : stage.weights()) {
      if (named.weight->shape().size() != 2) continue;
      ASSERT_TRUE(backend_.WantGradient(*named.weight).ok());
    }
  }

  void Take(const Stage& stage, Walk& walk) {
    for (const auto& named : stage.weights()) {
      if (named.weight->shape().size() != 2) continue;
      const auto gradient = backend_.GradientOf(*named.weight);
      ASSERT_TRUE(gradient.ok()) << named.name << ": " << gradient.status();
      walk.gradients[named.name] = {gradient->begin(), gradient->end()};
      backend_.DropGradient(*named.weight);
    }
  }

  TorchBackend& backend_;
  const Model& model_;
  FilesWeightLoader loader_;
};

double Norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

void ExpectNear(const std::string& name, const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size()) << name;
  std::vector<float> difference(got.size());
  float largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference[i] = got[i] - want[i];
    largest = std::max(largest, std::abs(want[i]));
  }
  ASSERT_GT(largest, 0) << name;
  EXPECT_LE(Norm(difference), kRelative * Norm(want)) << name;
  EXPECT_LE(testing::MaxDifference(got, want), kRelative * largest) << name;
}

class Gradients : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto golden = GoldenModel::Load(GetParam());
    ASSERT_TRUE(golden.ok()) << golden.status();
    golden_ = *std::move(golden);
  }

  void Check(const Walk& walk, const std::string& loss) const {
    const std::vector<float> want_loss = golden_.Floats("loss." + loss);
    ASSERT_EQ(want_loss.size(), 1u);
    EXPECT_NEAR(walk.loss, want_loss[0], 1e-5);
    const std::string prefix = "gradient." + loss + ".";
    size_t compared = 0;
    for (const std::string& name : golden_.goldens.Names()) {
      if (!name.starts_with(prefix)) continue;
      const auto got = walk.gradients.find(name.substr(prefix.size()));
      ASSERT_NE(got, walk.gradients.end()) << name;
      ExpectNear(name, got->second, golden_.Floats(name));
      ++compared;
    }
    EXPECT_EQ(compared, 7u * static_cast<size_t>(golden_.model->config().blocks));
    EXPECT_EQ(compared, walk.gradients.size());
  }

  GoldenModel golden_;
};

TEST_P(Gradients, OfEveryMatrixEqualTransformersForTheLastPosition) {
  auto backend = TorchBackend::Create({1});
  ASSERT_TRUE(backend.ok());
  const Sample sample(golden_.Tokens("a"));
  Check(BlockWalk(**backend, golden_).Run(sample.Last()), "last");
}

TEST_P(Gradients, OfEveryMatrixEqualTransformersForAllPositions) {
  auto backend = TorchBackend::Create({2});
  ASSERT_TRUE(backend.ok());
  const Sample sample(golden_.Tokens("a"));
  Check(BlockWalk(**backend, golden_).Run(sample.All()), "all");
}

TEST_P(Gradients, AreTheSameBitsRunToRunAtOneThreadCount) {
  for (const int threads : {1, 2}) {
    auto backend = TorchBackend::Create({threads});
    ASSERT_TRUE(backend.ok());
    const Sample sample(golden_.Tokens("a"));
    const Walk first = BlockWalk(**backend, golden_).Run(sample.All());
    const Walk second = BlockWalk(**backend, golden_).Run(sample.All());
    EXPECT_EQ(first.loss, second.loss);
    EXPECT_EQ(first.gradients, second.gradients);
  }
}

// The head is walked over its rows in parts where the vocabulary is large; the parts' gradients add up.
TEST_P(Gradients, OfTheHeadAddUpOverPartsOfTheRows) {
  auto backend = TorchBackend::Create({1});
  ASSERT_TRUE(backend.ok());
  FilesWeightLoader loader(**backend, golden_.weights);
  const auto head = golden_.model->LoadStage(golden_.model->stages() - 1, loader);
  ASSERT_TRUE(head.ok()) << head.status();
  const int64_t hidden = golden_.model->config().hidden_size;
  std::vector<float> x(static_cast<size_t>(6 * hidden));
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  const auto run = [&](size_t first, size_t rows, double& loss) {
    const Sample sample(std::vector<int32_t>(rows, 0));
    const auto pass = (*backend)->BeginGradient(sample.All());
    const auto part = std::span(x).subspan(first * static_cast<size_t>(hidden), rows * static_cast<size_t>(hidden));
    Activation logits = (*head)->Run(**pass, 0, (*pass)->DifferentiableInput(part, hidden));
    loss += testing::OwnLabelBackward(**pass, std::move(logits), rows, golden_.model->config().vocab_size, 6);
    std::vector<float> gradient(part.size());
    EXPECT_TRUE((*pass)->InputGradient(gradient).ok());
    return gradient;
  };
  double whole_loss = 0, parts_loss = 0;
  const std::vector<float> whole = run(0, 6, whole_loss);
  std::vector<float> parts = run(0, 4, parts_loss);
  const std::vector<float> rest = run(4, 2, parts_loss);
  parts.insert(parts.end(), rest.begin(), rest.end());
  EXPECT_NEAR(whole_loss, parts_loss, 1e-6);
  ExpectNear("input", parts, whole);
}

INSTANTIATE_TEST_SUITE_P(Models, Gradients, ::testing::ValuesIn(testing::GoldenModelNamesWithGradients()),
                         [](const auto& which) {
                           std::string name = which.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(GradientPass, WeightsNotAskedForHaveNone) {
  auto backend = TorchBackend::Create({1});
  ASSERT_TRUE(backend.ok());
  const auto golden = GoldenModel::Load("llama-tied-f16-v4");
  ASSERT_TRUE(golden.ok()) << golden.status();
  FilesWeightLoader loader(**backend, golden->weights);
  const auto block = golden->model->LoadStage(1, loader);
  ASSERT_TRUE(block.ok()) << block.status();
  const Weight& wanted = *(*block)->weights()[1].weight;
  ASSERT_TRUE((*backend)->WantGradient(wanted).ok());
  const Sample sample({1, 2, 3});
  const auto pass = (*backend)->BeginGradient(sample.All());
  ASSERT_TRUE(pass.ok());
  const std::vector<float> ones(3 * 32, 1.0F);
  std::vector<float> gradient(ones.size());
  EXPECT_EQ((*pass)->InputGradient(gradient).code(), absl::StatusCode::kFailedPrecondition);
  Activation x = (*block)->Run(**pass, 0, (*pass)->DifferentiableInput(ones, 32));
  ASSERT_TRUE((*pass)->Backward(std::move(x), ones).ok());
  EXPECT_TRUE((*backend)->GradientOf(wanted).ok());
  const auto none = (*backend)->GradientOf(*(*block)->weights()[2].weight);
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition);
  (*backend)->DropGradient(wanted);
  EXPECT_FALSE((*backend)->GradientOf(wanted).ok());
}

}  // namespace
}  // namespace gwq
