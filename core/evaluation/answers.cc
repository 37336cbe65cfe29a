#include "core/evaluation/answers.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/base/status.h"
#include "core/models/cache_shape.h"

namespace gwq {
struct Answerer::Sequence {
  const AnswerPrompt* prompt = nullptr;
  std::vector<int32_t> blocks;
  std::vector<int32_t> answer;
  const std::vector<int32_t>* forced = nullptr;

  [[nodiscard]] int64_t prompt_size() const { return static_cast<int64_t>(prompt->tokens.size()); }
};

absl::StatusOr<std::unique_ptr<KvCache>> Answerer::MakeCache(std::span<Sequence> sequences) const {
  const ModelConfig& config = model_.model().config();
  KvCacheShape shape = CacheShapeFor(config, config.blocks, 0);
  for (Sequence& sequence : sequences) {
    sequence.blocks.resize(static_cast<size_t>(CacheBlocksFor(sequence.prompt_size() + max_tokens_)));
    std::iota(sequence.blocks.begin(), sequence.blocks.end(), static_cast<int32_t>(shape.blocks));
    shape.blocks += static_cast<int64_t>(sequence.blocks.size());
  }
  return backend_.CreateKvCache(shape);
}

absl::Status Answerer::Prefill(Sequence& sequence, KvCache& cache, std::span<float> logits) const {
  const AnswerPrompt& prompt = *sequence.prompt;
  const int axes = model_.model().config().position_axes;
  for (int64_t begin = 0; begin < sequence.prompt_size(); begin += kAnswerPassRows) {
    const int64_t rows = std::min(kAnswerPassRows, sequence.prompt_size() - begin);
    const bool last = begin + rows == sequence.prompt_size();
    std::vector<int32_t> positions;
    for (int axis = 0; axis < axes; ++axis) {
      for (int64_t i = 0; i < rows; ++i) positions.push_back(prompt.positions.At(axis, axes, begin + i));
    }
    const SequenceRows part{0, rows, begin, sequence.blocks};
    const auto last_row = static_cast<int32_t>(rows - 1);
    Batch batch;
    batch.rows = rows;
    batch.tokens = std::span(prompt.tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(rows));
    if (prompt.images != nullptr) batch.embeddings = *prompt.images;
    batch.position_axes = axes;
    batch.positions = positions;
    batch.sequences = {&part, 1};
    if (last) batch.output_rows = {&last_row, 1};
    GWQ_RETURN_IF_ERROR(model_.Forward(backend_, batch, &cache, last ? logits : std::span<float>()));
  }
  return absl::OkStatus();
}

absl::Status Answerer::DecodeStep(std::span<Sequence*> active, KvCache& cache, std::span<float> logits) const {
  const int axes = model_.model().config().position_axes;
  std::vector<int32_t> tokens, positions, output_rows;
  std::vector<SequenceRows> parts;
  for (const Sequence* sequence : active) {
    const auto row = static_cast<int64_t>(tokens.size());
    const int64_t context = sequence->prompt_size() + static_cast<int64_t>(sequence->answer.size()) - 1;
    parts.push_back({row, 1, context, sequence->blocks});
    tokens.push_back(sequence->answer.back());
    output_rows.push_back(static_cast<int32_t>(row));
  }
  for (int axis = 0; axis < axes; ++axis) {
    for (size_t i = 0; i < active.size(); ++i)
      positions.push_back(active[i]->prompt->positions.At(axis, axes, parts[i].context));
  }
  Batch batch;
  batch.rows = static_cast<int64_t>(tokens.size());
  batch.tokens = tokens;
  batch.position_axes = axes;
  batch.positions = positions;
  batch.sequences = parts;
  batch.output_rows = output_rows;
  return model_.Forward(backend_, batch, &cache, logits);
}

bool Answerer::Append(Sequence& sequence, std::span<const float> logits) const {
  if (sequence.forced != nullptr) {
    const size_t step = sequence.answer.size();
    if (step == sequence.forced->size()) return false;
    sequence.answer.push_back((*sequence.forced)[step]);
    return static_cast<int64_t>(sequence.answer.size()) < max_tokens_;
  }
  const auto best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  if (std::ranges::find(stop_ids_, best) != stop_ids_.end()) return false;
  sequence.answer.push_back(best);
  return static_cast<int64_t>(sequence.answer.size()) < max_tokens_;
}

absl::StatusOr<std::vector<std::vector<int32_t>>> Answerer::Run(std::span<const AnswerPrompt> prompts,
                                                                const Visit& visit,
                                                                std::span<const std::vector<int32_t>> forced,
                                                                Progress& progress) {
  const auto vocabulary = static_cast<size_t>(model_.model().config().vocab_size);
  std::vector<Sequence> sequences(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    sequences[i].prompt = &prompts[i];
    if (!forced.empty()) sequences[i].forced = &forced[i];
  }
  const auto take = [&](Sequence& sequence, std::span<const float> row) {
    const auto index = static_cast<size_t>(&sequence - sequences.data());
    if (visit) visit(index, sequence.answer.size(), row);
    return Append(sequence, row);
  };
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<KvCache> cache, MakeCache(sequences));
  std::vector<float> logits(prompts.size() * vocabulary);
  std::vector<Sequence*> active;
  for (size_t i = 0; i < sequences.size(); ++i) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    const auto row = std::span(logits).first(vocabulary);
    GWQ_RETURN_IF_ERROR(Prefill(sequences[i], *cache, row));
    if (take(sequences[i], row)) active.push_back(&sequences[i]);
  }
  while (!active.empty()) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    const auto rows = std::span(logits).first(active.size() * vocabulary);
    GWQ_RETURN_IF_ERROR(DecodeStep(active, *cache, rows));
    std::vector<Sequence*> still;
    for (size_t i = 0; i < active.size(); ++i) {
      if (take(*active[i], rows.subspan(i * vocabulary, vocabulary))) still.push_back(active[i]);
    }
    active = std::move(still);
  }
  std::vector<std::vector<int32_t>> out;
  for (Sequence& sequence : sequences) out.push_back(std::move(sequence.answer));
  return out;
}

}  // namespace gwq
