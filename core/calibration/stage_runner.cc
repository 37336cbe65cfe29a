#include "core/calibration/stage_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/base/status.h"

namespace gwq {
namespace {

// From the output of a pass that records, by the loss's gradient.
absl::Status Back(GradientPass& pass, Activation out, int64_t size, const LoadedStage::OutputToGradient& loss) {
  std::vector<float> output(static_cast<size_t>(size));
  GWQ_RETURN_IF_ERROR(pass.Read(out, output));
  loss(output);
  return pass.Backward(std::move(out), output);
}

class DecoderStage final : public LoadedStage {
 public:
  DecoderStage(const StageRunner& runner, std::unique_ptr<Stage> stage, bool embeds)
      : runner_(runner), stage_(std::move(stage)), embeds_(embeds) {}
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return stage_->weights(); }

  absl::StatusOr<std::vector<float>> Forward(size_t sample, std::span<const float> input) const override {
    const Batch batch = runner_.BatchOf(sample, {});
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, runner_.backend().Begin(batch, nullptr));
    Activation x;
    if (!embeds_) x = pass->Input(input, runner_.hidden());
    const Activation out = stage_->Run(*pass, 0, std::move(x));
    std::vector<float> output(static_cast<size_t>(batch.rows * runner_.hidden()));
    GWQ_RETURN_IF_ERROR(pass->Read(out, output));
    GWQ_RETURN_IF_ERROR(pass->Finish());
    return output;
  }

  absl::Status Backward(size_t sample, std::span<const float> input, std::vector<float>& gradient) const override {
    const Batch batch = runner_.BatchOf(sample, {});
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<GradientPass> pass, runner_.backend().BeginGradient(batch));
    Activation out = stage_->Run(*pass, 0, pass->DifferentiableInput(input, runner_.hidden()));
    GWQ_RETURN_IF_ERROR(pass->Backward(std::move(out), gradient));
    return pass->InputGradient(gradient);
  }

  absl::Status LossBackward(size_t sample, std::span<const float> input, const OutputToGradient& loss) const override {
    const Batch batch = runner_.BatchOf(sample, {});
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<GradientPass> pass, runner_.backend().BeginGradient(batch));
    Activation x;
    if (!embeds_) x = pass->Input(input, runner_.hidden());
    return Back(*pass, stage_->Run(*pass, 0, std::move(x)), batch.rows * runner_.hidden(), loss);
  }

 private:
  const StageRunner& runner_;
  const std::unique_ptr<Stage> stage_;
  const bool embeds_;
};

class TowerStage final : public LoadedStage {
 public:
  TowerStage(const StageRunner& runner, const VisionTower& tower, std::unique_ptr<VisionStage> stage, int number)
      : runner_(runner), tower_(tower), stage_(std::move(stage)), number_(number) {}
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return stage_->weights(); }

  absl::StatusOr<std::vector<float>> Forward(size_t sample, std::span<const float> input) const override {
    const VisionLayout& layout = runner_.layout(sample);
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass,
                         runner_.backend().Begin(BatchOfRows(Rows(layout, number_)), nullptr));
    const Activation out = stage_->Run(*pass, layout, pass->Input(input, tower_.width(number_)));
    std::vector<float> output(static_cast<size_t>(Rows(layout, number_ + 1) * tower_.width(number_ + 1)));
    GWQ_RETURN_IF_ERROR(pass->Read(out, output));
    GWQ_RETURN_IF_ERROR(pass->Finish());
    return output;
  }

  absl::Status Backward(size_t sample, std::span<const float> input, std::vector<float>& gradient) const override {
    const VisionLayout& layout = runner_.layout(sample);
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<GradientPass> pass,
                         runner_.backend().BeginGradient(BatchOfRows(Rows(layout, number_))));
    Activation out = stage_->Run(*pass, layout, pass->DifferentiableInput(input, tower_.width(number_)));
    GWQ_RETURN_IF_ERROR(pass->Backward(std::move(out), gradient));
    gradient.resize(input.size());
    return pass->InputGradient(gradient);
  }

  absl::Status LossBackward(size_t sample, std::span<const float> input, const OutputToGradient& loss) const override {
    const VisionLayout& layout = runner_.layout(sample);
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<GradientPass> pass,
                         runner_.backend().BeginGradient(BatchOfRows(Rows(layout, number_))));
    Activation out = stage_->Run(*pass, layout, pass->Input(input, tower_.width(number_)));
    return Back(*pass, std::move(out), Rows(layout, number_ + 1) * tower_.width(number_ + 1), loss);
  }

 private:
  static int64_t Rows(const VisionLayout& layout, int stage) { return layout.rows[static_cast<size_t>(stage)]; }

  const StageRunner& runner_;
  const VisionTower& tower_;
  const std::unique_ptr<VisionStage> stage_;
  const int number_;
};

}  // namespace

StageRunner::StageRunner(const Model& model, WeightLoader& loader, TorchBackend& backend, const SampleSet& samples)
    : model_(model), loader_(loader), backend_(backend), samples_(samples), image_rows_(samples.size()) {
  for (const CalibrationSample& sample : samples) {
    std::vector<int32_t> indices(sample.tokens.size());
    std::iota(indices.begin(), indices.end(), 0);
    std::vector<int32_t>& positions = positions_.emplace_back(sample.positions);
    for (int axis = 0; sample.positions.empty() && axis < model.config().position_axes; ++axis) {
      positions.insert(positions.end(), indices.begin(), indices.end());
    }
    SequenceRows& sequence = sequences_.emplace_back();
    sequence.rows = static_cast<int64_t>(sample.tokens.size());
    if (!sample.tiles.empty() && model.vision() != nullptr) tower_stages_ = model.vision()->stages();
  }
}

absl::StatusOr<std::unique_ptr<StageRunner>> StageRunner::Create(const Model& model, WeightLoader& loader,
                                                                 TorchBackend& backend, const SampleSet& samples) {
  std::unique_ptr<StageRunner> runner(new StageRunner(model, loader, backend, samples));
  GWQ_RETURN_IF_ERROR(runner->LayOut());
  return runner;
}

absl::Status StageRunner::LayOut() {
  layouts_.resize(samples_.size());
  for (size_t i = 0; i < samples_.size(); ++i) {
    const CalibrationSample& sample = samples_[i];
    if (sample.tiles.empty()) continue;
    if (model_.vision() == nullptr) return InvalidField("tiles", "are given, but the model sees no images");
    GWQ_ASSIGN_OR_RETURN(layouts_[i], model_.vision()->Layout(sample.tiles));
    if (!sample.read_patches) GWQ_RETURN_IF_ERROR(CheckPatches(i, sample.patches));
  }
  return absl::OkStatus();
}

absl::Status StageRunner::CheckPatches(size_t sample, std::span<const float> patches) const {
  const auto wanted = static_cast<size_t>(layouts_[sample].rows[0] * model_.vision()->width(0));
  if (patches.size() == wanted) return absl::OkStatus();
  return InvalidField("patches", fmt::format("{} floats, the tiles take {}", patches.size(), wanted));
}

int StageRunner::model_stage(int stage) const {
  return stage < tower_stages_ ? model_.stages() + stage : stage - tower_stages_;
}

bool StageRunner::Runs(int stage, size_t sample) const {
  return stage >= tower_stages_ || !samples_[sample].tiles.empty();
}

absl::StatusOr<std::vector<float>> StageRunner::FirstState(size_t sample, int stage) const {
  if (stage >= tower_stages_) return std::vector<float>();
  const CalibrationSample& from = samples_[sample];
  if (!from.read_patches) return from.patches;
  GWQ_ASSIGN_OR_RETURN(std::vector<float> patches, from.read_patches());
  GWQ_RETURN_IF_ERROR(CheckPatches(sample, patches));
  return patches;
}

void StageRunner::SetImageRows(size_t sample, std::vector<float> rows) { image_rows_[sample] = std::move(rows); }

absl::StatusOr<std::unique_ptr<LoadedStage>> StageRunner::Load(int stage) const {
  if (stage < tower_stages_) {
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<VisionStage> loaded, model_.vision()->LoadStage(stage, loader_));
    return std::make_unique<TowerStage>(*this, *model_.vision(), std::move(loaded), stage);
  }
  const int decoder = stage - tower_stages_;
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Stage> loaded, model_.LoadStage(decoder, loader_));
  return std::make_unique<DecoderStage>(*this, std::move(loaded), decoder == 0);
}

absl::StatusOr<std::vector<float>> StageRunner::HeadBackward(const Stage& head, size_t sample,
                                                             std::span<const float> state,
                                                             std::span<const int32_t> rows,
                                                             const LogitsToGradient& visit) const {
  const Batch batch = BatchOf(sample, rows);
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<GradientPass> pass, backend_.BeginGradient(batch));
  Activation out = head.Run(*pass, 0, pass->DifferentiableInput(state, hidden()));
  std::vector<float> logits(rows.size() * static_cast<size_t>(model_.config().vocab_size));
  GWQ_RETURN_IF_ERROR(pass->Read(out, logits));
  visit(logits);
  GWQ_RETURN_IF_ERROR(pass->Backward(std::move(out), logits));
  std::vector<float> gradient(state.size());
  GWQ_RETURN_IF_ERROR(pass->InputGradient(gradient));
  return gradient;
}

absl::StatusOr<std::vector<float>> StageRunner::HeadLogits(const Stage& head, size_t sample,
                                                           std::span<const float> state,
                                                           std::span<const int32_t> rows) const {
  const Batch batch = BatchOf(sample, rows);
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(batch, nullptr));
  const Activation out = head.Run(*pass, 0, pass->Input(state, hidden()));
  std::vector<float> logits(rows.size() * static_cast<size_t>(model_.config().vocab_size));
  GWQ_RETURN_IF_ERROR(pass->Read(out, logits));
  GWQ_RETURN_IF_ERROR(pass->Finish());
  return logits;
}

std::vector<float> StageRunner::ImageGradient(size_t sample, std::span<const float> gradient) const {
  const auto width = static_cast<size_t>(hidden());
  std::vector<float> out(image_rows_[sample].size(), 0.0F);
  // The embedding passes an image row on as it is.
  for (size_t row = 0; row < samples_[sample].tokens.size(); ++row) {
    const int32_t token = samples_[sample].tokens[row];
    if (token >= 0) continue;
    for (size_t i = 0; i < width; ++i) out[static_cast<size_t>(~token) * width + i] += gradient[row * width + i];
  }
  return out;
}

Batch StageRunner::BatchOf(size_t sample, std::span<const int32_t> output_rows) const {
  Batch batch;
  batch.rows = sequences_[sample].rows;
  batch.tokens = samples_[sample].tokens;
  batch.embeddings = image_rows_[sample];
  batch.position_axes = model_.config().position_axes;
  batch.positions = positions_[sample];
  batch.sequences = {&sequences_[sample], 1};
  batch.output_rows = output_rows;
  return batch;
}

}  // namespace gwq
