#include "core/quant/job/model_tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/base/draw.h"
#include "core/base/narrow.h"
#include "core/base/shuffle.h"
#include "core/base/status.h"
#include "core/calibration/loss.h"
#include "core/calibration/walk_record.h"
#include "core/format/affine_view.h"
#include "core/quant/tuned/rates.h"

namespace gwq {
namespace {

// Rows of logits that are alive at a time.
constexpr int64_t kHeadRows = 64;

}  // namespace

ModelTuning::ModelTuning(const CalibratedPacking& job, const StateStore& ends, int targets)
    : job_(job), samples_(job.samples), ends_(ends), targets_(targets), states_(uint64_t{256} << 20) {}
ModelTuning::~ModelTuning() = default;

absl::StatusOr<std::unique_ptr<ModelTuning>> ModelTuning::Create(const CalibratedPacking& job, const StateStore& ends,
                                                                 int targets, int images) {
  std::unique_ptr<ModelTuning> out(new ModelTuning(job, ends, targets));
  GWQ_RETURN_IF_ERROR(out->Open(images));
  return out;
}

absl::Status ModelTuning::Open(int images) {
  const Model& model = *job_.source.model();
  double bits = 0, weights = 0;
  for (const PlannedModule& module : job_.plan.modules) {
    if (module.stage >= model.stages()) continue;  // the tower's
    if (module.needs == Needs::kBlock) {
      rates_[module.tensor] = ScaleRate(module.packed.bits);
      bits += static_cast<double>(module.packed.bits) * static_cast<double>(module.weights);
      weights += static_cast<double>(module.weights);
    }
    if (module.needs == Needs::kBlock) {
      GWQ_ASSIGN_OR_RETURN(const PackedTensor stored, job_.packer.Stored(module));
      GWQ_ASSIGN_OR_RETURN(const AffineView view, AffineView::Of(stored.view));
      tensors_.emplace(module.tensor, TunedTensor(view));
    } else if (module.kind == TensorKind::kNorm) {
      tensors_.emplace(module.tensor, TunedTensor(1, static_cast<int64_t>(module.weights), 1));
    }
  }
  norm_rate_ = NormRate(bits / weights);
  Backend& backend = job_.backend.backend();
  loader_ = std::make_unique<TunedLoader>(job_.source, backend, job_.plan, job_.packer, tensors_, job_.pool);
  full_ = MakeWeightLoader(job_.source, backend);
  GWQ_ASSIGN_OR_RETURN(runner_, StageRunner::Create(model, *loader_, job_.backend.torch(), samples_));
  for (size_t i = 0; i < samples_.size(); ++i) {
    if (!ends_.Holds(images, i)) continue;
    GWQ_ASSIGN_OR_RETURN(std::vector<float> rows, ends_.Get(images, i));
    runner_->SetImageRows(i, std::move(rows));
  }
  return absl::OkStatus();
}

absl::StatusOr<double> ModelTuning::Step(int step) {
  const size_t at = static_cast<size_t>(step) % samples_.size();
  if (at == 0 || order_.empty()) {
    order_ = Shuffled(samples_.size(), Draw(job_.recipe.seed, static_cast<uint64_t>(step) - at));
  }
  const size_t sample = order_[at];
  const float share = 1.0F - static_cast<float>(step) / static_cast<float>(job_.recipe.tuned.model_steps);
  std::vector<float> state;
  const int stages = runner_->stages();
  for (int stage = runner_->tower_stages(); stage < stages; ++stage) {
    GWQ_RETURN_IF_ERROR(job_.progress.Check());
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<LoadedStage> loaded, runner_->Load(stage));
    GWQ_ASSIGN_OR_RETURN(std::vector<float> output, loaded->Forward(sample, state));
    loader_->DropValues();
    GWQ_RETURN_IF_ERROR(states_.Put(stage, 0, std::exchange(state, std::move(output))));
  }
  GWQ_ASSIGN_OR_RETURN(const double loss, Head(sample, state, share, step + 1));
  for (int stage = stages - 1; stage > runner_->tower_stages(); --stage) {
    GWQ_RETURN_IF_ERROR(job_.progress.Check());
    GWQ_ASSIGN_OR_RETURN(const std::vector<float> input, states_.Get(stage, 0));
    GWQ_RETURN_IF_ERROR(Backward(stage, sample, input, state, share, step + 1));
  }
  return loss;
}

// `state` is what the last block made of the sample, and becomes the gradient with respect to it.
absl::StatusOr<double> ModelTuning::Head(size_t sample, std::vector<float>& state, float share, int step) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> head, runner_->LoadHead());
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> full,
                       job_.source.model()->LoadStage(runner_->head_stage(), *full_));
  GWQ_ASSIGN_OR_RETURN(const std::vector<float> target, ends_.Get(targets_, sample));
  GWQ_RETURN_IF_ERROR(WantGradients(head->weights()));
  const std::span<const int32_t> tokens = samples_[sample].tokens;
  const auto rows = std::ssize(tokens);
  const auto vocabulary = static_cast<size_t>(job_.source.model()->config().vocab_size);
  std::vector<float> gradient(state.size());
  double loss = 0;
  for (int64_t begin = 0; begin < rows; begin += kHeadRows) {
    GWQ_RETURN_IF_ERROR(job_.progress.Check());
    std::vector<int32_t> output(static_cast<size_t>(std::min(kHeadRows, rows - begin)));
    std::iota(output.begin(), output.end(), static_cast<int32_t>(begin));
    GWQ_ASSIGN_OR_RETURN(std::vector<float> wanted, runner_->HeadLogits(*full, sample, target, output));
    const NextTokens next{tokens.subspan(static_cast<size_t>(std::min(begin + 1, rows))), job_.recipe.tuned.text_share};
    GWQ_ASSIGN_OR_RETURN(const std::vector<float> part,
                         runner_->HeadBackward(*head, sample, state, output, [&](std::span<float> logits) {
                           loss +=
                               DivergenceLoss(logits, wanted, vocabulary, static_cast<double>(rows), job_.pool, next);
                         }));
    for (size_t i = 0; i < part.size(); ++i) gradient[i] += part[i];
  }
  if (!std::isfinite(loss)) {
    return absl::FailedPreconditionError(
        fmt::format("the divergence from the full-precision model is {} at step {}: use another sample, or "
                    "tuned.model_steps 0",
                    loss, step));
  }
  GWQ_RETURN_IF_ERROR(Learn(head->weights(), share, step));
  state = std::move(gradient);
  return loss;
}

absl::Status ModelTuning::Backward(int stage, size_t sample, const std::vector<float>& input,
                                   std::vector<float>& gradient, float share, int step) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<LoadedStage> loaded, runner_->Load(stage));
  GWQ_RETURN_IF_ERROR(WantGradients(loaded->weights()));
  GWQ_RETURN_IF_ERROR(loaded->Backward(sample, input, gradient));
  return Learn(loaded->weights(), share, step);
}

absl::Status ModelTuning::WantGradients(const std::vector<NamedWeight>& weights) const {
  for (const NamedWeight& named : weights) {
    if (tensors_.contains(named.name)) GWQ_RETURN_IF_ERROR(job_.backend.torch().WantGradient(*named.weight));
  }
  return absl::OkStatus();
}

absl::Status ModelTuning::Learn(const std::vector<NamedWeight>& weights, float share, int step) {
  for (const NamedWeight& named : weights) {
    const auto tuned = tensors_.find(named.name);
    if (tuned == tensors_.end()) continue;
    GWQ_ASSIGN_OR_RETURN(const std::span<const float> gradient, job_.backend.torch().GradientOf(*named.weight));
    const auto own = rates_.find(named.name);
    const float rate = share * (own == rates_.end() ? norm_rate_ : own->second);
    tuned->second.Step(gradient, loader_->ValuesOf(named.name), rate, step, job_.pool);
    job_.backend.torch().DropGradient(*named.weight);
  }
  loader_->DropValues();
  return absl::OkStatus();
}

absl::Status ModelTuning::Finish() {
  for (const PlannedModule& module : job_.plan.modules) {
    const auto tuned = tensors_.find(module.tensor);
    if (tuned == tensors_.end()) continue;
    GWQ_RETURN_IF_ERROR(job_.progress.Check());
    if (module.kind == TensorKind::kNorm) {
      GWQ_RETURN_IF_ERROR(FinishNorm(module.tensor, tuned->second));
      continue;
    }
    GWQ_ASSIGN_OR_RETURN(const PackedTensor stored, job_.packer.Stored(module));
    GWQ_ASSIGN_OR_RETURN(const AffineView view, AffineView::Of(stored.view));
    GWQ_RETURN_IF_ERROR(job_.packer.Repack(module, tuned->second.Repacked(view)));
  }
  return absl::OkStatus();
}

absl::Status ModelTuning::FinishNorm(const std::string& tensor, const TunedTensor& tuned) {
  GWQ_ASSIGN_OR_RETURN(const DenseTensor stored, job_.source.Dense(tensor));
  std::vector<float> values(static_cast<size_t>(stored.view.elements()));
  ToFloat(stored.view, 0, values);
  tuned.Apply(values);
  return job_.writer.AddDense(tensor, stored.view.type, FromFloat(values, stored.view.type));
}

absl::StatusOr<Digest> ModelTuning::Store(BlobStore& store) const {
  StateStore states(uint64_t{1} << 20);
  size_t count = 0;
  for (const auto& [tensor, tuned] : tensors_) GWQ_RETURN_IF_ERROR(states.Put(0, count++, tuned.State()));
  return StoreStates(store, states, 0, count, job_.progress);
}

absl::Status ModelTuning::Restore(BlobStore& store, const Digest& blob) {
  StateStore states(uint64_t{1} << 20);
  GWQ_RETURN_IF_ERROR(LoadStates(store, blob, 0, tensors_.size(), states, job_.progress));
  size_t count = 0;
  for (auto& [tensor, tuned] : tensors_) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<float> state, states.Get(0, count++));
    if (!tuned.SetState(state))
      return absl::DataLossError(fmt::format("a checkpoint's tuning of {} has another size", tensor));
  }
  return absl::OkStatus();
}

}  // namespace gwq
