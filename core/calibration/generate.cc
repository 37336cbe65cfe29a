#include "core/calibration/generate.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <utility>

#include "core/base/status.h"
#include "core/models/cache_shape.h"

namespace gwq {
namespace {

constexpr int64_t kTextTokens = 32;
constexpr int64_t kMaxTexts = 16;
// Below every logit.
constexpr float kNever = -3e38F;

class Generator {
 public:
  Generator(const Model& model, WeightLoader& loader, Backend& backend, int64_t count,
            const std::vector<int32_t>& excluded, Progress& progress)
      : model_(model),
        loader_(loader),
        backend_(backend),
        excluded_(excluded),
        progress_(progress),
        vocabulary_(static_cast<size_t>(model.config().vocab_size)),
        count_(count),
        texts_(static_cast<size_t>(
            std::clamp<int64_t>(std::min(count / kTextTokens, model.config().vocab_size), 1, kMaxTexts))),
        length_((count + static_cast<int64_t>(texts_.size()) - 1) / static_cast<int64_t>(texts_.size())) {}

  absl::StatusOr<std::vector<int32_t>> Run(int32_t first) {
    for (std::vector<int32_t>& text : texts_) text.push_back(first);
    GWQ_RETURN_IF_ERROR(PrepareCache());
    std::vector<float> logits(texts_.size() * vocabulary_);
    const auto total = static_cast<int64_t>(texts_.size()) * length_;
    for (int64_t done = 1; done < length_; ++done) {
      progress_.Step("sample", total * done / length_, total);
      GWQ_RETURN_IF_ERROR(Forward(logits));
      for (size_t text = 0; text < texts_.size(); ++text) {
        const auto row = std::span(logits).subspan(text * vocabulary_, vocabulary_);
        // All texts begin alike; their second tokens tell them apart.
        texts_[text].push_back(Choose(row, done == 1 ? text : 0));
      }
    }
    progress_.Step("sample", total, total);
    std::vector<int32_t> sample;
    for (const std::vector<int32_t>& text : texts_) sample.insert(sample.end(), text.begin(), text.end());
    sample.resize(static_cast<size_t>(count_));
    return sample;
  }

 private:
  absl::Status PrepareCache() {
    const int64_t blocks = CacheBlocksFor(length_);
    const KvCacheShape shape =
        CacheShapeFor(model_.config(), model_.config().blocks, blocks * static_cast<int64_t>(texts_.size()));
    blocks_.resize(static_cast<size_t>(shape.blocks));
    std::iota(blocks_.begin(), blocks_.end(), 0);
    blocks_per_text_ = static_cast<size_t>(blocks);
    GWQ_ASSIGN_OR_RETURN(cache_, backend_.CreateKvCache(shape));
    return absl::OkStatus();
  }

  // The token with the `rank`-th largest logit; of equal ones the lower token is the larger.
  [[nodiscard]] int32_t Choose(std::span<float> logits, size_t rank) const {
    for (const int32_t id : excluded_) {
      if (id >= 0 && static_cast<size_t>(id) < logits.size()) logits[static_cast<size_t>(id)] = kNever;
    }
    for (size_t skipped = 0;; ++skipped) {
      const auto best = std::max_element(logits.begin(), logits.end());
      if (skipped == rank) return static_cast<int32_t>(best - logits.begin());
      *best = kNever;
    }
  }

  // The last token of every text through all stages. Weights must outlive their pass, so each stage has one of its own.
  absl::Status Forward(std::span<float> logits) {
    const auto rows = static_cast<int64_t>(texts_.size());
    const auto context = static_cast<int32_t>(texts_.front().size()) - 1;
    std::vector<int32_t> tokens, output_rows;
    std::vector<SequenceRows> sequences;
    for (int64_t row = 0; row < rows; ++row) {
      const auto text = static_cast<size_t>(row);
      tokens.push_back(texts_[text].back());
      output_rows.push_back(static_cast<int32_t>(row));
      const auto table = std::span<const int32_t>(blocks_).subspan(text * blocks_per_text_, blocks_per_text_);
      sequences.push_back({row, 1, context, table});
    }
    const std::vector<int32_t> positions(texts_.size(), context);
    Batch batch;
    batch.rows = rows;
    batch.tokens = tokens;
    batch.positions = positions;
    batch.sequences = sequences;
    batch.output_rows = output_rows;
    const int64_t hidden = model_.config().hidden_size;
    std::vector<float> state(static_cast<size_t>(rows * hidden));
    for (int stage = 0; stage < model_.stages(); ++stage) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> loaded, model_.LoadStage(stage, loader_));
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(batch, cache_.get()));
      Activation x;
      if (stage > 0) x = pass->Input(state, hidden);
      const Activation out = loaded->Run(*pass, stage - 1, std::move(x));
      GWQ_RETURN_IF_ERROR(pass->Read(out, stage + 1 < model_.stages() ? std::span<float>(state) : logits));
      GWQ_RETURN_IF_ERROR(pass->Finish());
    }
    return absl::OkStatus();
  }

  const Model& model_;
  WeightLoader& loader_;
  Backend& backend_;
  const std::vector<int32_t>& excluded_;
  Progress& progress_;
  const size_t vocabulary_;
  const int64_t count_;
  std::vector<std::vector<int32_t>> texts_;
  const int64_t length_;
  std::vector<int32_t> blocks_;  // of all texts
  size_t blocks_per_text_ = 0;
  std::unique_ptr<KvCache> cache_;
};

}  // namespace

absl::StatusOr<std::vector<int32_t>> GenerateSample(const Model& model, WeightLoader& loader, Backend& backend,
                                                    int32_t first, int64_t count, const std::vector<int32_t>& excluded,
                                                    Progress& progress) {
  return Generator(model, loader, backend, count, excluded, progress).Run(first);
}

}  // namespace gwq
