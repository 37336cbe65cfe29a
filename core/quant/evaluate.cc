#include "core/quant/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace gwq {
namespace {

// Rows of logits of both models that are alive at a time; peak_memory.cc counts on it.
constexpr int64_t kLogitRows = 64;
constexpr int64_t kCacheBlockTokens = 16;

// What one position adds.
struct Position {
  double original_nll = 0;
  double artifact_nll = 0;
  double kl = 0;
  bool same_top1 = false;
};

size_t Largest(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

double LogSumExp(std::span<const float> logits) {
  const double top = logits[Largest(logits)];
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  return top + std::log(sum);
}

Position Compare(std::span<const float> original, std::span<const float> artifact, int32_t next) {
  const double original_norm = LogSumExp(original);
  const double artifact_norm = LogSumExp(artifact);
  const auto label = static_cast<size_t>(next);
  Position out;
  out.original_nll = original_norm - original[label];
  out.artifact_nll = artifact_norm - artifact[label];
  for (size_t i = 0; i < original.size(); ++i) {
    const double log_p = original[i] - original_norm;
    out.kl += std::exp(log_p) * (log_p - (artifact[i] - artifact_norm));
  }
  out.same_top1 = Largest(original) == Largest(artifact);
  return out;
}

class Evaluator {
 public:
  Evaluator(const Model& model, WeightLoader& original, WeightLoader& artifact, Backend& backend,
            std::span<const int32_t> tokens, int64_t window, ComputeTeam& team, Progress& progress)
      : model_(model),
        backend_(backend),
        tokens_(tokens),
        window_(window),
        windows_(static_cast<int64_t>(tokens.size()) / window),
        hidden_(model.config().hidden_size),
        team_(team),
        progress_(progress),
        sides_{Side{original, {}}, Side{artifact, {}}},
        positions_(static_cast<size_t>(window)) {
    std::iota(positions_.begin(), positions_.end(), 0);
  }

  absl::StatusOr<Evaluation> Run() {
    KvCacheShape shape;
    shape.layers = 1;
    shape.kv_heads = model_.config().attention.kv_heads;
    shape.head_dim = model_.config().attention.head_dim;
    shape.block_tokens = kCacheBlockTokens;
    shape.blocks = (window_ + kCacheBlockTokens - 1) / kCacheBlockTokens;
    blocks_.resize(static_cast<size_t>(shape.blocks));
    std::iota(blocks_.begin(), blocks_.end(), 0);
    sequence_.rows = window_;
    sequence_.blocks = blocks_;
    GWQ_ASSIGN_OR_RETURN(cache_, backend_.CreateKvCache(shape));
    const int last = model_.stages() - 1;
    for (int stage = 0; stage < last; ++stage) {
      progress_.Step("evaluate", stage, last + 1);
      for (Side& side : sides_) GWQ_RETURN_IF_ERROR(RunStage(stage, side));
    }
    progress_.Step("evaluate", last, last + 1);
    GWQ_RETURN_IF_ERROR(CompareHeads(last));
    progress_.Step("evaluate", last + 1, last + 1);
    return Summary();
  }

 private:
  struct Side {
    WeightLoader& loader;
    std::vector<float> states;  // [windows * window, hidden]
  };

  [[nodiscard]] Batch WindowBatch(int64_t window, std::span<const int32_t> output_rows) const {
    Batch batch;
    batch.rows = window_;
    batch.tokens = tokens_.subspan(static_cast<size_t>(window * window_), static_cast<size_t>(window_));
    batch.positions = positions_;
    batch.sequences = {&sequence_, 1};
    batch.output_rows = output_rows;
    return batch;
  }

  [[nodiscard]] std::span<float> States(Side& side, int64_t window) const {
    const auto size = static_cast<size_t>(window_ * hidden_);
    return std::span<float>(side.states).subspan(static_cast<size_t>(window) * size, size);
  }

  absl::Status RunStage(int stage, Side& side) {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> loaded, model_.LoadStage(stage, side.loader));
    side.states.resize(static_cast<size_t>(windows_ * window_ * hidden_));
    for (int64_t window = 0; window < windows_; ++window) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      const Batch batch = WindowBatch(window, {});
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(batch, cache_.get()));
      const std::span<float> states = States(side, window);
      Activation x;
      if (stage > 0) x = pass->Input(states, hidden_);
      const Activation out = loaded->Run(*pass, 0, std::move(x));
      GWQ_RETURN_IF_ERROR(pass->Read(out, states));
      GWQ_RETURN_IF_ERROR(pass->Finish());
    }
    return absl::OkStatus();
  }

  absl::Status CompareHeads(int stage) {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> original, model_.LoadStage(stage, sides_[0].loader));
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> artifact, model_.LoadStage(stage, sides_[1].loader));
    const auto vocabulary = static_cast<size_t>(model_.config().vocab_size);
    const auto most = static_cast<size_t>(std::min(kLogitRows, window_ - 1));
    std::vector<float> logits[2] = {std::vector<float>(most * vocabulary), std::vector<float>(most * vocabulary)};
    for (int64_t window = 0; window < windows_; ++window) {
      for (int64_t begin = 0; begin < window_ - 1; begin += kLogitRows) {
        GWQ_RETURN_IF_ERROR(progress_.Check());
        const auto count = static_cast<size_t>(std::min(kLogitRows, window_ - 1 - begin));
        const auto rows = std::span<const int32_t>(positions_).subspan(static_cast<size_t>(begin), count);
        GWQ_RETURN_IF_ERROR(Logits(*original, sides_[0], window, rows, std::span(logits[0]).first(count * vocabulary)));
        GWQ_RETURN_IF_ERROR(Logits(*artifact, sides_[1], window, rows, std::span(logits[1]).first(count * vocabulary)));
        const size_t base = results_.size();
        results_.resize(base + count);
        team_.ParallelFor(static_cast<int64_t>(count), 1, [&](int64_t from, int64_t to, int) {
          for (auto i = static_cast<size_t>(from); i < static_cast<size_t>(to); ++i) {
            const auto row = [&](int side) {
              return std::span<const float>(logits[side]).subspan(i * vocabulary, vocabulary);
            };
            const int32_t next = tokens_[static_cast<size_t>(window * window_ + begin) + i + 1];
            results_[base + i] = Compare(row(0), row(1), next);
          }
        });
      }
    }
    return absl::OkStatus();
  }

  absl::Status Logits(const Stage& head, Side& side, int64_t window, std::span<const int32_t> rows,
                      std::span<float> out) {
    const Batch batch = WindowBatch(window, rows);
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(batch, cache_.get()));
    const Activation logits = head.Run(*pass, 0, pass->Input(States(side, window), hidden_));
    GWQ_RETURN_IF_ERROR(pass->Read(logits, out));
    return pass->Finish();
  }

  [[nodiscard]] Evaluation Summary() const {
    Evaluation out;
    out.window = window_;
    out.windows = windows_;
    out.positions = static_cast<int64_t>(results_.size());
    double original = 0, artifact = 0, kl = 0, same = 0;
    std::vector<double> sorted;
    for (const Position& position : results_) {
      original += position.original_nll;
      artifact += position.artifact_nll;
      kl += position.kl;
      same += position.same_top1 ? 1 : 0;
      sorted.push_back(position.kl);
    }
    const auto count = static_cast<double>(results_.size());
    const auto rank = static_cast<size_t>(std::ceil(0.99 * count)) - 1;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank), sorted.end());
    out.original_perplexity = std::exp(original / count);
    out.artifact_perplexity = std::exp(artifact / count);
    out.mean_kl = kl / count;
    out.p99_kl = sorted[rank];
    out.same_top1 = same / count;
    return out;
  }

  const Model& model_;
  Backend& backend_;
  const std::span<const int32_t> tokens_;
  const int64_t window_;
  const int64_t windows_;
  const int64_t hidden_;
  ComputeTeam& team_;
  Progress& progress_;
  Side sides_[2];
  std::vector<int32_t> positions_;
  std::vector<int32_t> blocks_;
  SequenceRows sequence_;
  std::unique_ptr<KvCache> cache_;
  std::vector<Position> results_;
};

}  // namespace

absl::StatusOr<Evaluation> Evaluate(const Model& model, WeightLoader& original, WeightLoader& artifact,
                                    Backend& backend, std::span<const int32_t> tokens, int64_t window,
                                    ComputeTeam& team, Progress& progress) {
  if (window < 2 || static_cast<int64_t>(tokens.size()) < window) {
    return InvalidField("recipe.evaluation_window",
                        fmt::format("a window of {} tokens does not fit a text of {} tokens (at least 2 are needed)",
                                    window, tokens.size()));
  }
  return Evaluator(model, original, artifact, backend, tokens, window, team, progress).Run();
}

}  // namespace gwq
