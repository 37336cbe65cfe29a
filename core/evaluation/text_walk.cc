#include "core/evaluation/text_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "core/base/log_probability.h"
#include "core/base/status.h"
#include "core/models/cache_shape.h"

namespace gwq {
namespace {

// Rows of logits of both models that are alive at a time; peak_memory.cc counts on it.
constexpr int64_t kLogitRows = 64;

// What one position adds; the last two against a reference.
struct Position {
  double nll = 0;
  double reference_nll = 0;
  double kl = 0;
  bool same_top1 = false;
};

// `reference` is empty if there is none. INTERNAL for logits that are not finite.
absl::StatusOr<Position> Compare(std::span<const float> logits, std::span<const float> reference, int32_t next) {
  GWQ_ASSIGN_OR_RETURN(const double norm, LogSumExp(logits));
  Position out;
  out.nll = -LogProbability(logits, next, norm);
  if (reference.empty()) return out;
  GWQ_ASSIGN_OR_RETURN(const double reference_norm, LogSumExp(reference));
  out.reference_nll = -LogProbability(reference, next, reference_norm);
  for (size_t i = 0; i < reference.size(); ++i) {
    const double log_p = reference[i] - reference_norm;
    out.kl += std::exp(log_p) * (log_p - (logits[i] - norm));
  }
  out.same_top1 = *LargestLogit(reference) == *LargestLogit(logits);
  return out;
}

class Evaluator {
 public:
  Evaluator(ModelSide model, const ModelSide* reference, Backend& backend, std::span<const int32_t> tokens,
            int64_t window, ComputeTeam& team, Progress& progress)
      : backend_(backend),
        tokens_(tokens),
        window_(window),
        windows_(static_cast<int64_t>(tokens.size()) / window),
        vocabulary_(static_cast<size_t>(model.model.config().vocab_size)),
        team_(team),
        progress_(progress) {
    sides_.push_back(MakeSide(model));
    if (reference != nullptr) sides_.push_back(MakeSide(*reference));
  }

  absl::StatusOr<TextEvaluation> Run() {
    blocks_.resize(static_cast<size_t>(CacheBlocksFor(window_)));
    std::iota(blocks_.begin(), blocks_.end(), 0);
    sequence_.rows = window_;
    sequence_.blocks = blocks_;
    int64_t done = 0, stages = 1;
    for (const Side& side : sides_) stages += side.model->stages() - 1;
    for (Side& side : sides_) {
      GWQ_RETURN_IF_ERROR(MakeCache(side));
      for (int stage = 0; stage + 1 < side.model->stages(); ++stage) {
        progress_.Step("evaluate", done++, stages);
        GWQ_RETURN_IF_ERROR(RunStage(stage, side));
      }
    }
    progress_.Step("evaluate", done, stages);
    GWQ_RETURN_IF_ERROR(CompareHeads());
    progress_.Step("evaluate", stages, stages);
    return Summary();
  }

 private:
  struct Side {
    const Model* model = nullptr;
    WeightLoader* loader = nullptr;
    int64_t hidden = 0;
    std::vector<int32_t> positions;  // [axes, window]
    std::vector<float> states;       // [windows * window, hidden]
    std::unique_ptr<KvCache> cache;
  };

  [[nodiscard]] Side MakeSide(const ModelSide& from) const {
    Side side{&from.model, &from.loader, from.model.config().hidden_size, {}, {}, nullptr};
    for (int axis = 0; axis < from.model.config().position_axes; ++axis) {
      for (int64_t i = 0; i < window_; ++i) side.positions.push_back(static_cast<int32_t>(i));
    }
    return side;
  }

  absl::Status MakeCache(Side& side) const {
    const KvCacheShape shape = CacheShapeFor(side.model->config(), 1, CacheBlocksFor(window_));
    GWQ_ASSIGN_OR_RETURN(side.cache, backend_.CreateKvCache(shape));
    return absl::OkStatus();
  }

  [[nodiscard]] Batch WindowBatch(const Side& side, int64_t window, std::span<const int32_t> output_rows) const {
    Batch batch;
    batch.rows = window_;
    batch.tokens = tokens_.subspan(static_cast<size_t>(window * window_), static_cast<size_t>(window_));
    batch.position_axes = side.model->config().position_axes;
    batch.positions = side.positions;
    batch.sequences = {&sequence_, 1};
    batch.output_rows = output_rows;
    return batch;
  }

  [[nodiscard]] std::span<float> States(Side& side, int64_t window) const {
    const auto size = static_cast<size_t>(window_ * side.hidden);
    return std::span<float>(side.states).subspan(static_cast<size_t>(window) * size, size);
  }

  absl::Status RunStage(int stage, Side& side) {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> loaded, side.model->LoadStage(stage, *side.loader));
    side.states.resize(static_cast<size_t>(windows_ * window_ * side.hidden));
    for (int64_t window = 0; window < windows_; ++window) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      const Batch batch = WindowBatch(side, window, {});
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(batch, side.cache.get()));
      const std::span<float> states = States(side, window);
      Activation x;
      if (stage > 0) x = pass->Input(states, side.hidden);
      const Activation out = loaded->Run(*pass, 0, std::move(x));
      GWQ_RETURN_IF_ERROR(pass->Read(out, states));
      GWQ_RETURN_IF_ERROR(pass->Finish());
    }
    return absl::OkStatus();
  }

  absl::Status CompareHeads() {
    std::vector<std::unique_ptr<Stage>> heads;
    for (Side& side : sides_) {
      GWQ_ASSIGN_OR_RETURN(heads.emplace_back(), side.model->LoadStage(side.model->stages() - 1, *side.loader));
    }
    const auto most = static_cast<size_t>(std::min(kLogitRows, window_ - 1));
    std::vector<std::vector<float>> logits(sides_.size(), std::vector<float>(most * vocabulary_));
    for (int64_t window = 0; window < windows_; ++window) {
      for (int64_t begin = 0; begin < window_ - 1; begin += kLogitRows) {
        GWQ_RETURN_IF_ERROR(progress_.Check());
        const auto count = static_cast<size_t>(std::min(kLogitRows, window_ - 1 - begin));
        for (size_t side = 0; side < sides_.size(); ++side) {
          GWQ_RETURN_IF_ERROR(Logits(*heads[side], sides_[side], window, static_cast<size_t>(begin), count,
                                     std::span(logits[side]).first(count * vocabulary_)));
        }
        GWQ_RETURN_IF_ERROR(AddPositions(logits, window * window_ + begin, count));
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddPositions(const std::vector<std::vector<float>>& logits, int64_t first, size_t count) {
    const size_t base = results_.size();
    results_.resize(base + count);
    std::vector<absl::Status> statuses(count);
    team_.ParallelFor(static_cast<int64_t>(count), 1, [&](int64_t from, int64_t to, int) {
      for (auto i = static_cast<size_t>(from); i < static_cast<size_t>(to); ++i) {
        const auto row = [&](size_t side) {
          return std::span<const float>(logits[side]).subspan(i * vocabulary_, vocabulary_);
        };
        const int32_t next = tokens_[static_cast<size_t>(first) + i + 1];
        const auto compared = Compare(row(0), sides_.size() > 1 ? row(1) : std::span<const float>(), next);
        statuses[i] = compared.status();
        if (compared.ok()) results_[base + i] = *compared;
      }
    });
    for (const absl::Status& status : statuses) GWQ_RETURN_IF_ERROR(status);
    return absl::OkStatus();
  }

  absl::Status Logits(const Stage& head, Side& side, int64_t window, size_t first, size_t count, std::span<float> out) {
    const Batch batch = WindowBatch(side, window, std::span<const int32_t>(side.positions).subspan(first, count));
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(batch, side.cache.get()));
    const Activation logits = head.Run(*pass, 0, pass->Input(States(side, window), side.hidden));
    GWQ_RETURN_IF_ERROR(pass->Read(logits, out));
    return pass->Finish();
  }

  [[nodiscard]] TextEvaluation Summary() const {
    TextEvaluation out;
    out.window = window_;
    out.windows = windows_;
    out.positions = static_cast<int64_t>(results_.size());
    const auto count = static_cast<double>(results_.size());
    double sum = 0;
    for (const Position& position : results_) sum += position.nll;
    out.perplexity = std::exp(sum / count);
    double squares = 0;
    for (const Position& position : results_) squares += std::pow(position.nll - sum / count, 2);
    if (count > 1) out.standard_error = out.perplexity * std::sqrt(squares / (count - 1) / count);
    if (sides_.size() > 1) out.reference = Against();
    return out;
  }

  [[nodiscard]] TextComparison Against() const {
    TextComparison out;
    double nll = 0, kl = 0, same = 0;
    std::vector<double> sorted;
    for (const Position& position : results_) {
      nll += position.reference_nll;
      kl += position.kl;
      same += position.same_top1 ? 1 : 0;
      sorted.push_back(position.kl);
    }
    const auto count = static_cast<double>(results_.size());
    const auto rank = static_cast<size_t>(std::ceil(0.99 * count)) - 1;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank), sorted.end());
    out.perplexity = std::exp(nll / count);
    out.mean_kl = kl / count;
    out.p99_kl = sorted[rank];
    out.same_top1 = same / count;
    return out;
  }

  Backend& backend_;
  const std::span<const int32_t> tokens_;
  const int64_t window_;
  const int64_t windows_;
  const size_t vocabulary_;
  ComputeTeam& team_;
  Progress& progress_;
  std::vector<Side> sides_;  // the model, then the reference
  std::vector<int32_t> blocks_;
  SequenceRows sequence_;
  std::vector<Position> results_;
};

bool Fits(std::span<const int32_t> tokens, int64_t window) {
  return window >= 2 && static_cast<int64_t>(tokens.size()) >= window;
}

std::string NoFit(std::span<const int32_t> tokens, int64_t window) {
  return fmt::format("a window of {} tokens does not fit a text of {} tokens (at least 2 are needed)", window,
                     tokens.size());
}

}  // namespace

absl::StatusOr<TextEvaluation> EvaluateText(ModelSide model, const ModelSide* reference, Backend& backend,
                                            std::span<const int32_t> tokens, int64_t window, ComputeTeam& team,
                                            Progress& progress) {
  if (!Fits(tokens, window)) return InvalidField("window", NoFit(tokens, window));
  if (reference != nullptr && reference->model.config().vocab_size != model.model.config().vocab_size) {
    return InvalidField("reference",
                        fmt::format("its vocabulary has {} tokens, the model's {}; they cannot be compared",
                                    reference->model.config().vocab_size, model.model.config().vocab_size));
  }
  return Evaluator(model, reference, backend, tokens, window, team, progress).Run();
}

absl::StatusOr<Evaluation> Evaluate(const Model& model, WeightLoader& original, WeightLoader& artifact,
                                    Backend& backend, std::span<const int32_t> tokens, int64_t window,
                                    ComputeTeam& team, Progress& progress) {
  if (!Fits(tokens, window)) return InvalidField("recipe.evaluation_window", NoFit(tokens, window));
  const ModelSide reference{model, original};
  GWQ_ASSIGN_OR_RETURN(const TextEvaluation made,
                       EvaluateText({model, artifact}, &reference, backend, tokens, window, team, progress));
  return Evaluation{made.window,
                    made.windows,
                    made.positions,
                    made.reference->perplexity,
                    made.perplexity,
                    made.reference->mean_kl,
                    made.reference->p99_kl,
                    made.reference->same_top1};
}

}  // namespace gwq
