// What the loss of a block's output weighs, on outputs that are given.
#include "core/quant/job/visited_objective.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/backend/naive_solver.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::IsOk;
using testing::NaiveSolver;

constexpr int64_t kWidth = 2;

// A stage that makes `output`, whatever it reads, and keeps the gradient with respect to it.
class FixedStage final : public LoadedStage {
 public:
  explicit FixedStage(std::vector<float> output) : output_(std::move(output)) {}
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return weights_; }
  [[nodiscard]] absl::StatusOr<std::vector<float>> Forward(size_t, std::span<const float>) const override {
    return output_;
  }
  [[nodiscard]] absl::Status Backward(size_t, std::span<const float>, std::vector<float>&) const override {
    return absl::UnimplementedError("not asked for");
  }
  [[nodiscard]] absl::Status LossBackward(size_t, std::span<const float>, const OutputToGradient& loss) const override {
    gradient_ = output_;
    loss(gradient_);
    return absl::OkStatus();
  }
  [[nodiscard]] const std::vector<float>& gradient() const { return gradient_; }

 private:
  const std::vector<float> output_;
  const std::vector<NamedWeight> weights_;
  mutable std::vector<float> gradient_;
};

class FixedBlock final : public VisitedBlock {
 public:
  FixedBlock(const FixedStage& stage, std::vector<float> target) : stage_(stage), target_(std::move(target)) {}
  [[nodiscard]] int stage() const override { return 3; }
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return stage_.weights(); }
  [[nodiscard]] int64_t width() const override { return kWidth; }
  [[nodiscard]] absl::StatusOr<std::span<const float>> Gram(const NamedWeight&) const override {
    return absl::UnimplementedError("no");
  }
  void DropGram(const NamedWeight&) override {}
  [[nodiscard]] absl::Status SetValues(const NamedWeight&, std::span<const float>) override { return absl::OkStatus(); }
  [[nodiscard]] absl::Status WantGradient(const NamedWeight&) override { return absl::OkStatus(); }
  [[nodiscard]] absl::StatusOr<std::span<const float>> Gradient(const NamedWeight&) const override {
    return absl::UnimplementedError("no");
  }
  void DropGradient(const NamedWeight&) override {}
  [[nodiscard]] const std::vector<size_t>& samples() const override { return samples_; }
  [[nodiscard]] absl::StatusOr<std::vector<float>> Input(size_t) const override { return std::vector<float>(); }
  [[nodiscard]] absl::StatusOr<std::vector<float>> Target(size_t) const override { return target_; }
  [[nodiscard]] const LoadedStage& loaded() const override { return stage_; }

 private:
  const FixedStage& stage_;
  const std::vector<float> target_;
  const std::vector<size_t> samples_ = {0};
};

struct Measured {
  double loss = 0;
  std::vector<float> gradient;
};

Measured Measure(const std::vector<float>& output, const std::vector<float>& target,
                 const std::vector<float>& metric = {}) {
  const FixedStage stage(output);
  FixedBlock block(stage, target);
  const NaiveSolver solver;
  auto objective = VisitedObjective::Create(block, {}, metric, solver);
  EXPECT_THAT(objective, IsOk());
  const auto loss = objective->LossBackward(0);
  EXPECT_THAT(loss, IsOk());
  EXPECT_EQ(*objective->Loss(0), *loss);
  return {*loss, stage.gradient()};
}

TEST(VisitedObjective, RowsOfOneSizeCountAlike) {
  const Measured made = Measure({1, 2, -1, 1}, {1, 1, -1, 1});
  EXPECT_DOUBLE_EQ(made.loss, 0.25);
  EXPECT_EQ(made.gradient, (std::vector<float>{0, 0.5F, 0, 0}));
}

TEST(VisitedObjective, ARowCountsByItsErrorAgainstItsSize) {
  const std::vector<float> small = {1, 1, -1, 1, 1, -1}, large = {1, 1, -1, 1, 1000, -1000};
  std::vector<float> output = large;
  for (float& value : output) value *= 1.01F;
  const double loss = Measure(output, large).loss;
  // Two rows with a mean square of 1 and one with 1e6, each off by a hundredth.
  EXPECT_NEAR(loss, (1e-4 + 1e-4 + 1e-4) / (2 + 1e-6), 1e-9);
  std::vector<float> off = small;
  off[4] += 0.01F;
  std::vector<float> far = large;
  far[4] += 0.01F;
  EXPECT_LT(Measure(far, large).loss, 1e-5 * Measure(off, small).loss);
}

TEST(VisitedObjective, ARowOfNothingCountsAtMostTenTimes) {
  const Measured made = Measure({1, 1, 1, 1, 0, 1}, {1, 1, 1, 1, 0, 0});
  EXPECT_NEAR(made.loss, 0.5 * 10 / 12, 1e-9);
  EXPECT_DOUBLE_EQ(Measure({0, 1}, {0, 0}).loss, 0.5) << "all rows are nothing";
}

TEST(VisitedObjective, TheMetricWeighsDirections) {
  const Measured made = Measure({2, 2}, {1, 1}, {3, 1, 1, 2});
  EXPECT_DOUBLE_EQ(made.loss, 7);
  EXPECT_EQ(made.gradient, (std::vector<float>{8, 6}));
}

TEST(VisitedObjective, AnOutputOfAnotherSizeIsAnError) {
  const FixedStage stage({1, 2});
  FixedBlock block(stage, {1, 2, 3, 4});
  const NaiveSolver solver;
  auto objective = VisitedObjective::Create(block, {}, {}, solver);
  ASSERT_THAT(objective, IsOk());
  EXPECT_THAT(objective->Loss(0), testing::HasCode(absl::StatusCode::kInternal));
}

}  // namespace
}  // namespace gwq
