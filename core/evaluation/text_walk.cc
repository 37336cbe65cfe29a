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
#include "core/models/stage_walk.h"

namespace gwq {
namespace {

// Rows of logits of both models that are alive at a time; memory.cc counts on it.
constexpr size_t kLogitRows = 64;

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
    const double p = std::exp(log_p);
    // A token that the reference bans, with a logit of -infinity, adds nothing.
    if (p > 0) out.kl += p * (log_p - (logits[i] - norm));
  }
  out.same_top1 = *LargestLogit(reference) == *LargestLogit(logits);
  return out;
}

// A model, its states and its walk over all windows.
struct Side {
  Side(const ModelSide& from, Backend& backend, std::unique_ptr<KvCache> own_cache)
      : model(from.model), cache(std::move(own_cache)), walk(from.model, from.loader, backend, *cache) {}

  const Model& model;
  const std::unique_ptr<KvCache> cache;
  StageWalk walk;
};

class Evaluator {
 public:
  Evaluator(Backend& backend, std::span<const int32_t> tokens, int64_t window, int64_t vocabulary, ThreadPool& pool,
            Progress& progress)
      : backend_(backend),
        tokens_(tokens.first(tokens.size() - tokens.size() % static_cast<size_t>(window))),
        window_(window),
        vocabulary_(static_cast<size_t>(vocabulary)),
        pool_(pool),
        progress_(progress),
        blocks_(static_cast<size_t>(CacheBlocksFor(window))) {
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  // The model first, then the reference.
  absl::Status AddSide(const ModelSide& from) {
    const KvCacheShape shape = CacheShapeFor(from.model.config(), 1, CacheBlocksFor(window_));
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<KvCache> cache, backend_.CreateKvCache(shape));
    Side& side = *sides_.emplace_back(std::make_unique<Side>(from, backend_, std::move(cache)));
    // One window at a time runs in the blocks of all.
    for (size_t begin = 0; begin < tokens_.size(); begin += static_cast<size_t>(window_)) {
      const auto window = tokens_.subspan(begin, static_cast<size_t>(window_));
      side.walk.AddPass({{side.walk.Add({.tokens = window, .blocks = blocks_}), 0, window_}});
    }
    return absl::OkStatus();
  }

  absl::StatusOr<TextEvaluation> Run() {
    int64_t done = 0, stages = 1;
    for (const auto& side : sides_) stages += side->model.stages() - 1;
    for (const auto& side : sides_) {
      for (int stage = 0; stage + 1 < side->model.stages(); ++stage) {
        progress_.Step("evaluate", done++, stages);
        GWQ_RETURN_IF_ERROR(side->walk.RunStage(stage, progress_));
      }
    }
    progress_.Step("evaluate", done, stages);
    GWQ_RETURN_IF_ERROR(CompareHeads());
    progress_.Step("evaluate", stages, stages);
    return Summary();
  }

 private:
  // Both heads are loaded: their logits are compared position by position.
  absl::Status CompareHeads() {
    std::vector<std::unique_ptr<Stage>> heads;
    for (const auto& side : sides_) {
      GWQ_ASSIGN_OR_RETURN(heads.emplace_back(), side->walk.LoadHead());
    }
    std::vector<int32_t> rows(static_cast<size_t>(window_ - 1));
    std::iota(rows.begin(), rows.end(), 0);
    std::vector<std::vector<float>> logits(sides_.size(),
                                           std::vector<float>(std::min(kLogitRows, rows.size()) * vocabulary_));
    for (size_t window = 0; window < sides_.front()->walk.passes(); ++window) {
      for (size_t begin = 0; begin < rows.size(); begin += kLogitRows) {
        GWQ_RETURN_IF_ERROR(progress_.Check());
        const auto part = std::span(rows).subspan(begin, std::min(kLogitRows, rows.size() - begin));
        for (size_t side = 0; side < sides_.size(); ++side) {
          GWQ_RETURN_IF_ERROR(sides_[side]->walk.Logits(*heads[side], window, part,
                                                        std::span(logits[side]).first(part.size() * vocabulary_)));
        }
        GWQ_RETURN_IF_ERROR(AddPositions(logits, window * static_cast<size_t>(window_) + begin, part.size()));
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddPositions(const std::vector<std::vector<float>>& logits, size_t first, size_t count) {
    const size_t base = results_.size();
    results_.resize(base + count);
    std::vector<absl::Status> statuses(count);
    pool_.ParallelFor(static_cast<int64_t>(count), 1, [&](int64_t from, int64_t to, int) {
      for (auto i = static_cast<size_t>(from); i < static_cast<size_t>(to); ++i) {
        const auto row = [&](size_t side) {
          return std::span<const float>(logits[side]).subspan(i * vocabulary_, vocabulary_);
        };
        const int32_t next = tokens_[first + i + 1];
        const auto compared = Compare(row(0), sides_.size() > 1 ? row(1) : std::span<const float>(), next);
        statuses[i] = compared.status();
        if (compared.ok()) results_[base + i] = *compared;
      }
    });
    for (const absl::Status& status : statuses) GWQ_RETURN_IF_ERROR(status);
    return absl::OkStatus();
  }

  [[nodiscard]] TextEvaluation Summary() const {
    TextEvaluation out;
    out.window = window_;
    out.windows = static_cast<int64_t>(sides_.front()->walk.passes());
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
    out.kl_by_position = ByPosition();
    return out;
  }

  // The results stand window by window.
  [[nodiscard]] std::vector<KlAtPositions> ByPosition() const {
    const int64_t positions = window_ - 1;
    const int64_t parts = std::min(positions, kKlParts);
    const auto windows = static_cast<int64_t>(results_.size()) / positions;
    std::vector<KlAtPositions> out;
    for (int64_t part = 0; part < parts; ++part) {
      KlAtPositions& one = out.emplace_back();
      one.first = part * positions / parts;
      one.count = (part + 1) * positions / parts - one.first;
      for (int64_t window = 0; window < windows; ++window) {
        for (int64_t i = 0; i < one.count; ++i) {
          one.mean_kl += results_[static_cast<size_t>(window * positions + one.first + i)].kl;
        }
      }
      one.mean_kl /= static_cast<double>(windows * one.count);
    }
    return out;
  }

  Backend& backend_;
  const std::span<const int32_t> tokens_;  // of whole windows
  const int64_t window_;
  const size_t vocabulary_;
  ThreadPool& pool_;
  Progress& progress_;
  std::vector<int32_t> blocks_;
  std::vector<std::unique_ptr<Side>> sides_;  // the model, then the reference
  std::vector<Position> results_;
};

}  // namespace

absl::StatusOr<TextEvaluation> EvaluateText(ModelSide model, const ModelSide* reference, Backend& backend,
                                            std::span<const int32_t> tokens, int64_t window, ThreadPool& pool,
                                            Progress& progress) {
  if (window < 2 || std::ssize(tokens) < window) {
    return InvalidField("window", fmt::format("a window of {} tokens does not fit a text of {} tokens (at least 2 are "
                                              "needed)",
                                              window, tokens.size()));
  }
  if (reference != nullptr && reference->model.config().vocab_size != model.model.config().vocab_size) {
    return InvalidField("reference",
                        fmt::format("its vocabulary has {} tokens, the model's {}; they cannot be compared",
                                    reference->model.config().vocab_size, model.model.config().vocab_size));
  }
  Evaluator evaluator(backend, tokens, window, model.model.config().vocab_size, pool, progress);
  GWQ_RETURN_IF_ERROR(evaluator.AddSide(model));
  if (reference != nullptr) GWQ_RETURN_IF_ERROR(evaluator.AddSide(*reference));
  return evaluator.Run();
}

}  // namespace gwq
