#include "core/models/stage_walk.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"

namespace gwq {

size_t StageWalk::Add(const SequencePart& rows) {
  sequences_.push_back(rows);
  return sequences_.size() - 1;
}

BatchRows StageWalk::MakeBatch(std::span<const Rows> pass) const {
  BatchRows out(model_.config().position_axes, model_.config().hidden_size);
  for (const Rows& rows : pass) {
    SequencePart part = sequences_[rows.sequence];
    part.tokens = part.tokens.subspan(static_cast<size_t>(rows.begin), static_cast<size_t>(rows.end - rows.begin));
    part.context += rows.begin;
    out.Add(part);
  }
  return out;
}

std::span<float> StageWalk::StatesOf(const Rows& rows) {
  const auto hidden = static_cast<size_t>(model_.config().hidden_size);
  return std::span(states_[rows.sequence])
      .subspan(static_cast<size_t>(rows.begin) * hidden, static_cast<size_t>(rows.end - rows.begin) * hidden);
}

// The states of one sequence stand side by side already.
std::span<float> StageWalk::Gather(std::span<const Rows> pass) {
  if (pass.size() == 1) return StatesOf(pass.front());
  gathered_.clear();
  for (const Rows& rows : pass) {
    const std::span<const float> states = StatesOf(rows);
    gathered_.insert(gathered_.end(), states.begin(), states.end());
  }
  return gathered_;
}

void StageWalk::Scatter(std::span<const Rows> pass) {
  if (pass.size() == 1) return;
  std::span<const float> left = gathered_;
  for (const Rows& rows : pass) {
    const std::span<float> states = StatesOf(rows);
    std::ranges::copy(left.first(states.size()), states.begin());
    left = left.subspan(states.size());
  }
}

absl::Status StageWalk::RunPass(const Stage& loaded, int stage, std::span<const Rows> pass) {
  BatchRows rows = MakeBatch(pass);
  const Batch batch = rows.View();
  const std::span<float> states = Gather(pass);
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> running, backend_.Begin(batch, &cache_));
  Activation x;
  if (stage > 0) x = running->Input(states, model_.config().hidden_size);
  // Stage 0 embeds, so block i writes layer i - 1 of a cache of all layers.
  const int layer = cache_.shape().layers == 1 ? 0 : stage - 1;
  const Activation out = loaded.Run(*running, layer, std::move(x));
  GWQ_RETURN_IF_ERROR(running->Read(out, states));
  GWQ_RETURN_IF_ERROR(running->Finish());
  Scatter(pass);
  return absl::OkStatus();
}

absl::Status StageWalk::RunStage(int stage, Progress& progress) {
  if (stage == 0) {
    states_.resize(sequences_.size());
    for (size_t i = 0; i < sequences_.size(); ++i) {
      states_[i].resize(sequences_[i].tokens.size() * static_cast<size_t>(model_.config().hidden_size));
    }
  }
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> loaded, model_.LoadStage(stage, loader_));
  for (const std::vector<Rows>& pass : passes_) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    GWQ_RETURN_IF_ERROR(RunPass(*loaded, stage, pass));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Stage>> StageWalk::LoadHead() const {
  return model_.LoadStage(model_.stages() - 1, loader_);
}

absl::Status StageWalk::Logits(const Stage& head, size_t pass, std::span<const int32_t> rows, std::span<float> logits) {
  BatchRows made = MakeBatch(passes_[pass]);
  Batch batch = made.View();
  batch.output_rows = rows;
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> running, backend_.Begin(batch, &cache_));
  const Activation out = head.Run(*running, 0, running->Input(Gather(passes_[pass]), model_.config().hidden_size));
  GWQ_RETURN_IF_ERROR(running->Read(out, logits));
  return running->Finish();
}

}  // namespace gwq
