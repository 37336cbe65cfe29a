// A gradient walk that is interrupted and goes on; its gradients are compared with transformers' elsewhere.
#include "core/calibration/gradient_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/core/calibration/walk_fixture.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::PictureSamples;
using testing::TextSamples;
using testing::WalkFixture;
using testing::WatchedProgress;

constexpr char kModel[] = "llama-tied-f16-v4";
constexpr char kVisionModel[] = "qwen2-vl-tied-f16-v4";

using Gradients = std::map<std::string, std::vector<float>, std::less<>>;

// Wants every linear matrix.
class FakeVisitor final : public GradientVisitor {
 public:
  explicit FakeVisitor(const Model& model) {
    for (const TensorSpec& spec : model.tensors()) {
      if (spec.kind == TensorKind::kLinear) linears_[spec.name];
    }
  }
  [[nodiscard]] bool Wants(std::string_view tensor) const override { return linears_.contains(tensor); }
  [[nodiscard]] absl::Status Take(std::string_view tensor, std::span<const float> gradient) override {
    EXPECT_TRUE(gradients.emplace(tensor, std::vector<float>(gradient.begin(), gradient.end())).second) << tensor;
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Reached(const WalkRecord& record) override {
    records.push_back(record);
    taken.push_back(gradients.size());
    return absl::OkStatus();
  }
  [[nodiscard]] size_t wanted() const { return linears_.size(); }

  Gradients gradients;
  std::vector<WalkRecord> records;
  std::vector<size_t> taken;  // gradients at each record

 private:
  Gradients linears_;
};

// Goes on from every record of a whole walk, and compares what is left with it.
void ExpectToGoOnFromEveryRecord(WalkFixture& walk, Loss loss) {
  FakeVisitor whole(walk.model());
  const auto whole_loss =
      WalkGradients(walk.runner(), walk.model(), {loss, 1 << 20, &walk.store(), {}}, whole, NoProgress());
  ASSERT_THAT(whole_loss, IsOk());
  EXPECT_EQ(whole.gradients.size(), whole.wanted());
  ASSERT_GE(whole.records.size(), 2 * static_cast<size_t>(walk.runner().stages()) - 1);
  for (size_t i = 0; i < whole.records.size(); ++i) {
    SCOPED_TRACE(WalkRecordJson(whole.records[i]).dump());
    const auto record = ParseWalkRecord(WalkRecordJson(whole.records[i]));
    ASSERT_THAT(record, IsOk());
    walk.Renew();
    FakeVisitor rest(walk.model());
    const auto rest_loss =
        WalkGradients(walk.runner(), walk.model(), {loss, 1 << 20, &walk.store(), *record}, rest, NoProgress());
    ASSERT_THAT(rest_loss, IsOk());
    EXPECT_EQ(*rest_loss, *whole_loss);
    EXPECT_EQ(rest.gradients.size(), whole.wanted() - whole.taken[i]);
    for (const auto& [name, gradient] : rest.gradients) EXPECT_EQ(gradient, whole.gradients.at(name)) << name;
  }
}

TEST(GradientWalk, GoesOnFromEveryRecordWithTheSameBits) {
  for (const Loss loss : {Loss::kLast, Loss::kAll}) {
    WalkFixture walk(kModel, TextSamples());
    ExpectToGoOnFromEveryRecord(walk, loss);
  }
}

TEST(GradientWalk, WithATowerGoesOnFromEveryRecordWithTheSameBits) {
  WalkFixture walk(kVisionModel, PictureSamples(kVisionModel));
  ExpectToGoOnFromEveryRecord(walk, Loss::kAll);
}

TEST(GradientWalk, GivesTheSameBitsWithStatesInMemoryAndInAFileAndWithRecords) {
  WalkFixture walk(kVisionModel, PictureSamples(kVisionModel));
  std::vector<Gradients> made;
  for (const GradientWalkOptions& options : {GradientWalkOptions{}, GradientWalkOptions{Loss::kLast, 0, nullptr, {}},
                                             GradientWalkOptions{Loss::kLast, 1 << 20, &walk.store(), {}}}) {
    walk.Renew();
    FakeVisitor visitor(walk.model());
    ASSERT_THAT(WalkGradients(walk.runner(), walk.model(), options, visitor, NoProgress()), IsOk());
    EXPECT_EQ(visitor.records.empty(), options.keep == nullptr);
    made.push_back(visitor.gradients);
  }
  EXPECT_EQ(made[1], made[0]);
  EXPECT_EQ(made[2], made[0]);
}

// The loss is the mean over the samples, so that gradients of several are the mean of those of each.
TEST(GradientWalk, OfSeveralSamplesIsTheMeanOfTheirWalks) {
  WalkFixture all(kModel, TextSamples());
  FakeVisitor visitor(all.model());
  const auto loss = WalkGradients(all.runner(), all.model(), {}, visitor, NoProgress());
  ASSERT_THAT(loss, IsOk());
  double sum = 0;
  Gradients added;
  for (const CalibrationSample& sample : TextSamples()) {
    WalkFixture one(kModel, {sample});
    FakeVisitor own(one.model());
    sum += WalkGradients(one.runner(), one.model(), {}, own, NoProgress()).value();
    for (const auto& [name, gradient] : own.gradients) {
      std::vector<float>& to = added[name];
      to.resize(gradient.size());
      for (size_t i = 0; i < gradient.size(); ++i) to[i] += gradient[i] / 3;
    }
  }
  EXPECT_NEAR(*loss, sum / 3, 1e-6);
  for (const auto& [name, gradient] : visitor.gradients) {
    float largest = 0;
    for (const float value : gradient) largest = std::max(largest, std::fabs(value));
    EXPECT_LE(testing::MaxDifference(gradient, added.at(name)), 1e-4 * largest) << name;
  }
}

// As a job sees it that is stopped anywhere and tried again from its last record.
TEST(GradientWalk, StoppedAnywhereGoesOnFromItsLastRecord) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor whole(walk.model());
  ASSERT_THAT(WalkGradients(walk.runner(), walk.model(), {}, whole, NoProgress()), IsOk());
  for (int checks = 1; checks < 40; checks += 4) {
    SCOPED_TRACE(checks);
    walk.Renew();
    FakeVisitor first(walk.model());
    WatchedProgress stopped("forward", checks);
    const auto cut =
        WalkGradients(walk.runner(), walk.model(), {Loss::kLast, 1 << 20, &walk.store(), {}}, first, stopped);
    if (cut.ok()) break;
    EXPECT_THAT(cut, HasCode(absl::StatusCode::kCancelled));
    if (first.records.empty()) continue;
    walk.Renew();
    FakeVisitor second(walk.model());
    ASSERT_THAT(WalkGradients(walk.runner(), walk.model(), {Loss::kLast, 1 << 20, &walk.store(), first.records.back()},
                              second, NoProgress()),
                IsOk());
    for (const auto& [name, gradient] : second.gradients) EXPECT_EQ(gradient, whole.gradients.at(name)) << name;
    EXPECT_GE(first.gradients.size() + second.gradients.size(), whole.wanted());
  }
}

// Takes the gradients of outputs of some stages, and none of a weight.
class OutputVisitor final : public GradientVisitor {
 public:
  explicit OutputVisitor(std::set<int> stages) : stages_(std::move(stages)) {}
  [[nodiscard]] bool Wants(std::string_view) const override { return false; }
  [[nodiscard]] absl::Status Take(std::string_view, std::span<const float>) override {
    return absl::InternalError("none was wanted");
  }
  [[nodiscard]] bool WantsOutput(int stage) const override { return stages_.contains(stage); }
  [[nodiscard]] absl::Status TakeOutput(int stage, int64_t width, std::span<const float> gradient) override {
    outputs[stage].emplace_back(gradient.begin(), gradient.end());
    widths[stage] = width;
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Reached(const WalkRecord&) override { return absl::OkStatus(); }

  std::map<int, std::vector<std::vector<float>>> outputs;  // by stage and sample
  std::map<int, int64_t> widths;

 private:
  const std::set<int> stages_;
};

// What goes into a block backwards comes out of it as the gradient of the block below.
TEST(GradientWalk, GivesTheGradientsOfOutputsThatAreWanted) {
  WalkFixture walk(kModel, TextSamples());
  OutputVisitor visitor({1, 2});
  ASSERT_THAT(WalkGradients(walk.runner(), walk.model(), {.loss = Loss::kAll}, visitor, NoProgress()), IsOk());
  ASSERT_THAT(visitor.outputs, ::testing::SizeIs(2));
  walk.Renew();
  for (size_t i = 0; i < 3; ++i) {
    std::vector<float> state = walk.runner().FirstState(i, 0).value();
    for (int stage = 0; stage < 2; ++stage) state = (*walk.runner().Load(stage))->Forward(i, state).value();
    std::vector<float> gradient = visitor.outputs[2][i];
    ASSERT_THAT((*walk.runner().Load(2))->Backward(i, state, gradient), IsOk());
    EXPECT_EQ(gradient, visitor.outputs[1][i]) << i;
    EXPECT_EQ(visitor.widths[1], walk.runner().hidden());
  }
}

TEST(GradientWalk, GoesAsFarIntoTheTowerAsAnOutputIsWanted) {
  WalkFixture walk(kVisionModel, PictureSamples(kVisionModel));
  const int first = walk.model().stages();
  OutputVisitor visitor({first});
  ASSERT_THAT(WalkGradients(walk.runner(), walk.model(), {.loss = Loss::kAll}, visitor, NoProgress()), IsOk());
  ASSERT_TRUE(visitor.outputs.contains(first));
  EXPECT_EQ(visitor.widths[first], walk.model().vision()->width(1));
  for (const std::vector<float>& gradient : visitor.outputs[first]) {
    EXPECT_EQ(gradient.size() % static_cast<size_t>(visitor.widths[first]), 0U);
    EXPECT_TRUE(std::ranges::any_of(gradient, [](float value) { return value != 0; }));
  }
}

TEST(GradientWalk, WithDrawnLabelsDependsOnTheSeedAlone) {
  std::vector<double> losses;
  for (const uint64_t seed : {1, 1, 2}) {
    WalkFixture walk(kModel, TextSamples());
    OutputVisitor visitor({1});
    GradientWalkOptions options{.loss = Loss::kAll};
    options.label_seed = seed;
    const auto loss = WalkGradients(walk.runner(), walk.model(), options, visitor, NoProgress());
    ASSERT_THAT(loss, IsOk());
    losses.push_back(*loss);
  }
  EXPECT_EQ(losses[1], losses[0]);
  EXPECT_NE(losses[2], losses[0]);
}

}  // namespace
}  // namespace gwq
