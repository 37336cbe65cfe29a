#include "core/calibration/block_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "tests/core/calibration/walk_fixture.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::MaxDifference;
using testing::PictureSamples;
using testing::TextSamples;
using testing::WalkFixture;
using testing::WatchedProgress;

constexpr char kModel[] = "llama-tied-f16-v4";
constexpr char kVisionModel[] = "qwen2-vl-tied-f16-v4";
constexpr char kQueries[] = "model.layers.1.self_attn.q_proj.weight";  // of stage 2
constexpr char kDown[] = "model.layers.0.mlp.down_proj.weight";        // of stage 1

using Floats = std::vector<float>;
using States = std::map<std::pair<int, size_t>, Floats>;  // by stage, as TensorSpec counts, and sample

// Looks at everything, and does to a block what the test says.
class FakeVisitor final : public BlockVisitor {
 public:
  [[nodiscard]] GramKind WantsGram(std::string_view tensor) const override {
    return tensor == gram_of ? GramKind::kFull : GramKind::kNone;
  }
  [[nodiscard]] bool WantsTargets() const override { return targets; }
  [[nodiscard]] bool Wants(int stage) const override { return !last || stage <= *last; }
  [[nodiscard]] absl::Status Visit(VisitedBlock& block) override {
    stages.push_back(block.stage());
    samples[block.stage()] = block.samples();
    for (const size_t i : block.samples()) {
      const auto input = block.Input(i);
      EXPECT_THAT(input, IsOk());
      const auto output = block.loaded().Forward(i, *input);
      EXPECT_THAT(output, IsOk());
      inputs_of[{block.stage(), i}] = *input;
      outputs_of[{block.stage(), i}] = *output;
      const auto target = block.Target(i);
      if (targets) {
        EXPECT_THAT(target, IsOk());
        targets_of[{block.stage(), i}] = *target;
      } else {
        EXPECT_THAT(target, HasCode(absl::StatusCode::kFailedPrecondition));
      }
    }
    return change ? change(block) : absl::OkStatus();
  }
  [[nodiscard]] absl::Status Reached(const WalkRecord& record) override {
    records.push_back(record);
    return absl::OkStatus();
  }

  std::string gram_of;
  bool targets = true;
  std::optional<int> last;
  std::function<absl::Status(VisitedBlock&)> change;

  std::vector<int> stages;
  std::map<int, std::vector<size_t>> samples;
  States inputs_of, outputs_of, targets_of;  // outputs: of the block before it was changed
  std::vector<WalkRecord> records;
};

// Halves every weight of that name.
std::function<absl::Status(VisitedBlock&)> Halving(const WalkFixture& walk, const std::string& name) {
  return [&walk, name](VisitedBlock& block) -> absl::Status {
    for (const NamedWeight& named : block.weights()) {
      if (named.name != name) continue;
      Floats values(static_cast<size_t>(walk.golden().weights.Find(name)->elements()));
      ToFloat(*walk.golden().weights.Find(name), 0, values);
      for (float& value : values) value /= 2;
      if (absl::Status status = block.SetValues(named, values); !status.ok()) return status;
    }
    return absl::OkStatus();
  };
}

TEST(BlockWalk, WithAVisitorThatChangesNothingBothStreamsAreTheFullPrecisionOne) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor visitor;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, visitor, NoProgress()), IsOk());
  EXPECT_THAT(visitor.stages, ::testing::ElementsAre(0, 1, 2)) << "embedding and blocks; the head is not walked";
  EXPECT_EQ(visitor.outputs_of, visitor.targets_of);
  for (const int stage : {1, 2}) {
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ((visitor.inputs_of[{stage, i}]), (visitor.targets_of[{stage - 1, i}])) << stage << ", " << i;
      EXPECT_FALSE((visitor.inputs_of[{stage, i}]).empty());
    }
  }
}

TEST(BlockWalk, GoesTheWayOfTheModel) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor visitor;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, visitor, NoProgress()), IsOk());
  walk.Renew();
  for (size_t i = 0; i < 3; ++i) {
    Floats state = walk.runner().FirstState(i, 0).value();
    for (int stage = 0; stage < walk.runner().stages(); ++stage) {
      EXPECT_EQ((visitor.inputs_of[{stage, i}]), state) << stage << ", " << i;
      state = (*walk.runner().Load(stage))->Forward(i, state).value();
      EXPECT_EQ((visitor.targets_of[{stage, i}]), state) << stage << ", " << i;
    }
  }
}

TEST(BlockWalk, SetWeightsChangeTheQuantizedStreamAndLeaveTheOther) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor plain, halving;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, plain, NoProgress()), IsOk());
  walk.Renew();
  halving.change = Halving(walk, kDown);
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, halving, NoProgress()), IsOk());
  EXPECT_EQ(halving.targets_of, plain.targets_of);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((halving.inputs_of[{1, i}]), (plain.inputs_of[{1, i}])) << "before the changed block";
    EXPECT_NE((halving.inputs_of[{2, i}]), (plain.inputs_of[{2, i}])) << "behind it";
    EXPECT_NE((halving.outputs_of[{2, i}]), (halving.targets_of[{2, i}])) << "the states differ, not the block";
  }
}

TEST(BlockWalk, SetWeightsTakeEffectAtOnce) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor visitor;
  Floats changed;
  visitor.change = [&](VisitedBlock& block) -> absl::Status {
    if (absl::Status status = Halving(walk, kDown)(block); !status.ok()) return status;
    if (block.stage() == 1) changed = block.loaded().Forward(0, *block.Input(0)).value();
    return absl::OkStatus();
  };
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, visitor, NoProgress()), IsOk());
  EXPECT_NE(changed, (visitor.outputs_of[{1, 0}]));
  EXPECT_EQ(changed, (visitor.inputs_of[{2, 0}]));
}

// Lowers the squared distance of a block's outputs to their targets by steps against the sign of the gradient, as
// learned rounding does. Returns the distance before and after.
std::pair<double, double> Learn(VisitedBlock& block, const NamedWeight& named, Floats values) {
  constexpr int kSteps = 30;
  double first = 0, last = 0;
  EXPECT_THAT(block.WantGradient(named), IsOk());
  for (int step = 0; step < kSteps; ++step) {
    EXPECT_THAT(block.SetValues(named, values), IsOk());
    last = 0;
    for (const size_t i : block.samples()) {
      const Floats target = *block.Target(i);
      EXPECT_THAT(block.loaded().LossBackward(i, *block.Input(i),
                                              [&](std::span<float> output) {
                                                for (size_t k = 0; k < output.size(); ++k) {
                                                  output[k] = 2 * (output[k] - target[k]);
                                                  last += output[k] * output[k] / 4;
                                                }
                                              }),
                  IsOk());
    }
    if (step == 0) first = last;
    const std::span<const float> gradient = *block.Gradient(named);
    for (size_t k = 0; k < values.size(); ++k) values[k] -= std::copysign(0.01F * std::abs(values[k]), gradient[k]);
    block.DropGradient(named);
  }
  return {first, last};
}

TEST(BlockWalk, AVisitorCanLearnWeightsThatBringABlockNearerToItsTargets) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor visitor;
  std::pair<double, double> distance;
  visitor.change = [&](VisitedBlock& block) -> absl::Status {
    for (const NamedWeight& named : block.weights()) {
      if (named.name != kDown) continue;
      Floats values(static_cast<size_t>(walk.golden().weights.Find(kDown)->elements()));
      ToFloat(*walk.golden().weights.Find(kDown), 0, values);
      for (float& value : values) value *= 0.5F;
      distance = Learn(block, named, values);
    }
    return absl::OkStatus();
  };
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, visitor, NoProgress()), IsOk());
  EXPECT_GT(distance.first, 0);
  EXPECT_LT(distance.second, 0.5 * distance.first);
}

TEST(BlockWalk, WithoutTargetsHoldsNone) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor with, without;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, with, NoProgress()), IsOk());
  walk.Renew();
  without.targets = false;  // FakeVisitor expects FAILED_PRECONDITION from Target
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, without, NoProgress()), IsOk());
  EXPECT_EQ(without.inputs_of, with.inputs_of);
}

// X^T X of what the norm before the queries makes of the block's inputs, over all samples.
Floats NaiveGramOfQueries(const WalkFixture& walk, const States& inputs) {
  Floats scale(32);
  ToFloat(*walk.golden().weights.Find("model.layers.1.input_layernorm.weight"), 0, scale);
  std::vector<double> sum(32 * 32);
  for (size_t sample = 0; sample < 3; ++sample) {
    const Floats& x = inputs.at({2, sample});
    for (size_t begin = 0; begin < x.size(); begin += 32) {
      double squares = 0;
      for (size_t i = 0; i < 32; ++i) squares += std::pow(x[begin + i], 2) / 32;
      const double factor = 1 / std::sqrt(squares + 1e-5);
      for (size_t i = 0; i < 32; ++i) {
        for (size_t j = 0; j < 32; ++j) {
          sum[i * 32 + j] += x[begin + i] * factor * scale[i] * (x[begin + j] * factor * scale[j]);
        }
      }
    }
  }
  return {sum.begin(), sum.end()};
}

TEST(BlockWalk, GramIsOfTheQuantizedStreamOnceForEverySample) {
  for (const bool targets : {false, true}) {
    WalkFixture walk(kModel, TextSamples());
    FakeVisitor visitor;
    visitor.gram_of = kQueries;
    visitor.targets = targets;
    Floats gram;
    visitor.change = [&](VisitedBlock& block) -> absl::Status {
      for (const NamedWeight& named : block.weights()) {
        const auto found = block.Gram(named);
        if (named.name == kQueries) {
          EXPECT_THAT(found, IsOk());
          gram.assign(found->begin(), found->end());
          block.DropGram(named);
          EXPECT_THAT(block.Gram(named), HasCode(absl::StatusCode::kFailedPrecondition));
        } else {
          EXPECT_THAT(found, HasCode(absl::StatusCode::kFailedPrecondition)) << named.name;
        }
      }
      return Halving(walk, kDown)(block);
    };
    ASSERT_THAT(WalkBlocks(walk.runner(), {}, visitor, NoProgress()), IsOk());
    const Floats want = NaiveGramOfQueries(walk, visitor.inputs_of);
    EXPECT_LE(MaxDifference(gram, want), 1e-5 * *std::ranges::max_element(want)) << "targets " << targets;
  }
}

TEST(BlockWalk, GoesAsFarAsTheVisitorWants) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor visitor;
  visitor.last = 1;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, visitor, NoProgress()), IsOk());
  EXPECT_THAT(visitor.stages, ::testing::ElementsAre(0, 1));
  walk.Renew();
  FakeVisitor nowhere;
  nowhere.last = -1;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, nowhere, NoProgress()), IsOk());
  EXPECT_THAT(nowhere.stages, ::testing::IsEmpty());
}

TEST(BlockWalk, GivesTheSameBitsWithStatesInMemoryAndInAFile) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor memory, file;
  memory.change = file.change = Halving(walk, kDown);
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, memory, NoProgress()), IsOk());
  walk.Renew();
  ASSERT_THAT(WalkBlocks(walk.runner(), {0, nullptr, {}}, file, NoProgress()), IsOk());
  EXPECT_EQ(file.inputs_of, memory.inputs_of);
  EXPECT_EQ(file.targets_of, memory.targets_of);
}

// Goes on from every record of a whole walk, and compares what is left with it.
void ExpectToGoOnFromEveryRecord(WalkFixture& walk, const std::string& changed, bool targets, size_t stages) {
  FakeVisitor whole;
  whole.targets = targets;
  whole.change = Halving(walk, changed);
  ASSERT_THAT(WalkBlocks(walk.runner(), {1 << 20, &walk.store(), {}}, whole, NoProgress()), IsOk());
  ASSERT_EQ(whole.records.size(), stages);
  for (size_t done = 1; done <= stages; ++done) {
    SCOPED_TRACE(done);
    const auto record = ParseWalkRecord(WalkRecordJson(whole.records[done - 1]));
    ASSERT_THAT(record, IsOk());
    EXPECT_EQ(record->stage, static_cast<int>(done));
    walk.Renew();
    FakeVisitor rest;
    rest.targets = targets;
    rest.change = Halving(walk, changed);
    ASSERT_THAT(WalkBlocks(walk.runner(), {1 << 20, &walk.store(), *record}, rest, NoProgress()), IsOk());
    EXPECT_EQ(rest.stages,
              std::vector<int>(whole.stages.begin() + static_cast<std::ptrdiff_t>(done), whole.stages.end()));
    for (const auto& [key, input] : rest.inputs_of) EXPECT_EQ(input, whole.inputs_of.at(key)) << "stage " << key.first;
    for (const auto& [key, target] : rest.targets_of) EXPECT_EQ(target, whole.targets_of.at(key));
  }
}

TEST(BlockWalk, GoesOnFromEveryRecordWithTheSameBits) {
  for (const bool targets : {false, true}) {
    WalkFixture walk(kModel, TextSamples());
    ExpectToGoOnFromEveryRecord(walk, kDown, targets, 3);
  }
}

TEST(BlockWalk, LeavesNoRecordsWhereNoneAreKept) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor visitor;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, visitor, NoProgress()), IsOk());
  EXPECT_THAT(visitor.records, ::testing::IsEmpty());
}

TEST(BlockWalk, EndsWithTheVisitorsErrorAndWhenItShouldStop) {
  WalkFixture walk(kModel, TextSamples());
  FakeVisitor failing;
  failing.change = [](VisitedBlock& block) {
    return block.stage() == 1 ? absl::DataLossError("no more") : absl::OkStatus();
  };
  EXPECT_THAT(WalkBlocks(walk.runner(), {}, failing, NoProgress()), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(failing.stages, ::testing::ElementsAre(0, 1));
  walk.Renew();
  WatchedProgress stopped("blocks", 2);
  FakeVisitor visitor;
  EXPECT_THAT(WalkBlocks(walk.runner(), {}, visitor, stopped), HasCode(absl::StatusCode::kCancelled));
}

TEST(BlockWalk, TellsItsStages) {
  WalkFixture walk(kModel, TextSamples());
  WatchedProgress progress("blocks");
  FakeVisitor visitor;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, visitor, progress), IsOk());
  using Step = std::pair<int64_t, int64_t>;
  EXPECT_THAT(progress.steps(), ::testing::ElementsAre(Step{0, 3}, Step{1, 3}, Step{2, 3}, Step{3, 3}));
}

TEST(BlockWalk, WalksTheTowerForSamplesWithImagesOnly) {
  WalkFixture walk(kVisionModel, PictureSamples(kVisionModel));
  FakeVisitor visitor;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, visitor, NoProgress()), IsOk());
  const int tower = walk.runner().tower_stages();
  ASSERT_GT(tower, 1);
  ASSERT_EQ(visitor.stages.size(), static_cast<size_t>(walk.runner().stages()));
  for (size_t k = 0; k < visitor.stages.size(); ++k) {
    const int stage = visitor.stages[k];
    EXPECT_EQ(stage, walk.runner().model_stage(static_cast<int>(k)));
    const bool in_tower = static_cast<int>(k) < tower;
    EXPECT_EQ(visitor.samples[stage], in_tower ? std::vector<size_t>{1} : (std::vector<size_t>{0, 1})) << stage;
  }
  EXPECT_EQ(visitor.outputs_of, visitor.targets_of);
}

TEST(BlockWalk, TheDecoderReadsTheImagesRows) {
  WalkFixture walk(kVisionModel, PictureSamples(kVisionModel));
  FakeVisitor plain, halving;
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, plain, NoProgress()), IsOk());
  walk.Renew();
  std::string tower_weight;
  for (const TensorSpec& spec : walk.model().tensors()) {
    if (spec.part == ModelPart::kProjector && spec.kind == TensorKind::kLinear) tower_weight = spec.name;
  }
  ASSERT_FALSE(tower_weight.empty());
  halving.change = Halving(walk, tower_weight);
  ASSERT_THAT(WalkBlocks(walk.runner(), {}, halving, NoProgress()), IsOk());
  const int block = walk.runner().model_stage(walk.runner().tower_stages() + 1);
  EXPECT_EQ((halving.inputs_of[{block, 0}]), (plain.inputs_of[{block, 0}])) << "the sample without an image";
  EXPECT_NE((halving.inputs_of[{block, 1}]), (plain.inputs_of[{block, 1}]));
}

TEST(BlockWalk, WithATowerGoesOnFromEveryRecordWithTheSameBits) {
  WalkFixture walk(kVisionModel, PictureSamples(kVisionModel));
  ExpectToGoOnFromEveryRecord(walk, kDown, true, static_cast<size_t>(walk.runner().stages()));
}

}  // namespace
}  // namespace gwq
