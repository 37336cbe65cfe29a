// Questions about images: greedy answers compared word for word, or by the box they name.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/artifact/stored_dataset.h"
#include "core/base/log_probability.h"
#include "core/base/status.h"
#include "core/evaluation/answers.h"
#include "core/evaluation/measure.h"
#include "core/evaluation/vision_model.h"
#include "core/io/json.h"
#include "core/io/json_number.h"
#include "core/prompt/choices.h"
#include "core/prompt/item_image.h"
#include "core/text/first_tokens.h"
#include "core/vision/boxes.h"

namespace gwq {
namespace {

constexpr double kIouThreshold = 0.5;
// Of a reference's logits: memory.cc counts on it.
constexpr size_t kMaxLogitBytes = size_t{256} << 20;

std::string Folded(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

class ImageEvaluation {
 public:
  ImageEvaluation(EvaluationRun& run, EvaluationResult& out, const StoredDataset& dataset,
                  std::span<const DatasetItem> items, const VisionModel& model, const VisionModel* reference)
      : run_(run), out_(out), dataset_(dataset), items_(items), model_(model), reference_(reference) {}

  absl::Status Run() {
    for (size_t begin = 0; begin < items_.size();) {
      run_.progress.Step("evaluate", static_cast<int64_t>(begin), std::ssize(items_));
      GWQ_ASSIGN_OR_RETURN(begin, Wave(begin));
    }
    run_.progress.Step("evaluate", std::ssize(items_), std::ssize(items_));
    out_.items = std::ssize(items_);
    if (run_.task.kind == EvaluationKind::kVqa) {
      out_.metrics.push_back(MeanMetric("exact_match", right_));
    } else {
      out_.metrics.push_back(MeanMetric("accuracy_iou50", right_));
      out_.metrics.push_back(MeanMetric("mean_iou", iou_));
      out_.metrics.push_back(MeanMetric("malformed", malformed_));
    }
    if (reference_ != nullptr) {
      out_.metrics.push_back(MeanMetric("mean_kl", kl_));
      out_.metrics.push_back(MeanMetric("same_answer", same_));
    }
    return absl::OkStatus();
  }

 private:
  // What is known of a question while its wave is answered.
  struct Asked {
    PreparedImage image;  // of the first image, without patches
    std::vector<int32_t> answer, reference_answer;
    std::vector<float> reference_logits;  // step by step
    double kl = 0;
  };
  // A question as the model reads it. The tower has encoded its images.
  struct Question {
    AnswerPrompt prompt;
    PreparedImage image;  // the first one, without patches
  };

  absl::StatusOr<std::vector<PreparedImage>> Prepare(const DatasetItem& item, const VisionModel& model) {
    std::vector<PreparedImage> images;
    for (const std::string& path : item.images) {
      GWQ_RETURN_IF_ERROR(run_.progress.Check());
      GWQ_ASSIGN_OR_RETURN(images.emplace_back(), ReadItemImage(dataset_, item, path, model.processor()));
    }
    return images;
  }

  absl::StatusOr<Question> MakeQuestion(const DatasetItem& item) {
    Question out;
    GWQ_ASSIGN_OR_RETURN(std::vector<PreparedImage> images, Prepare(item, model_));
    GWQ_ASSIGN_OR_RETURN(out.prompt, model_.Ask(item, images));
    out.image = std::move(images.front());
    return out;
  }

  // Questions of a wave: the reference's logits of all steps are held.
  [[nodiscard]] size_t MaxQuestions() const {
    if (reference_ == nullptr) return items_.size();
    return std::max<size_t>(1, kMaxLogitBytes / (4 * static_cast<size_t>(model_.vocabulary() * run_.task.max_tokens)));
  }

  // As many questions from `begin` on as the cache holds; returns where the next wave begins.
  absl::StatusOr<size_t> Wave(size_t begin) {
    std::vector<AnswerPrompt> prompts;
    std::vector<Asked> asked;
    int64_t tokens = 0;
    const size_t max_count = std::min(items_.size() - begin, MaxQuestions());
    while (asked.size() < max_count) {
      if (!next_) {
        GWQ_ASSIGN_OR_RETURN(next_, MakeQuestion(items_[begin + asked.size()]));
      }
      const int64_t size = std::ssize(next_->prompt.tokens) + run_.task.max_tokens;
      if (!prompts.empty() && tokens + size > kAnswerCacheTokens) break;
      tokens += size;
      prompts.push_back(std::move(next_->prompt));
      asked.emplace_back().image = std::move(next_->image);
      next_.reset();
    }
    GWQ_ASSIGN_OR_RETURN(auto answers, model_.answerer().Answer(prompts, nullptr, run_.progress));
    for (size_t i = 0; i < asked.size(); ++i) asked[i].answer = std::move(answers[i]);
    if (reference_ != nullptr) GWQ_RETURN_IF_ERROR(Compare(begin, prompts, asked));
    for (size_t i = 0; i < asked.size(); ++i) GWQ_RETURN_IF_ERROR(Judge(items_[begin + i], asked[i]));
    return begin + asked.size();
  }

  // The reference answers; then the model reads those answers, and each step's distribution is held against the
  // reference's.
  absl::Status Compare(size_t begin, std::span<const AnswerPrompt> prompts, std::vector<Asked>& asked) {
    std::vector<AnswerPrompt> own;
    for (size_t i = 0; i < asked.size(); ++i) {
      GWQ_ASSIGN_OR_RETURN(std::vector<PreparedImage> images, Prepare(items_[begin + i], *reference_));
      GWQ_ASSIGN_OR_RETURN(own.emplace_back(), reference_->Ask(items_[begin + i], images));
    }
    const auto keep = [&](size_t i, size_t, std::span<const float> logits) {
      asked[i].reference_logits.insert(asked[i].reference_logits.end(), logits.begin(), logits.end());
    };
    GWQ_ASSIGN_OR_RETURN(const auto answers, reference_->answerer().Answer(own, keep, run_.progress));
    const auto compare = [&](size_t i, size_t step, std::span<const float> logits) {
      const auto reference =
          std::span<const float>(asked[i].reference_logits).subspan(step * logits.size(), logits.size());
      const auto p = LogProbabilities(reference);
      const auto q = LogProbabilities(logits);
      // Logits that are not finite end the answer with an error of its own.
      if (p.ok() && q.ok()) asked[i].kl += KlDivergence(*p, *q);
    };
    GWQ_RETURN_IF_ERROR(model_.answerer().Read(prompts, answers, compare, run_.progress));
    const auto vocabulary = static_cast<size_t>(model_.vocabulary());
    for (size_t i = 0; i < asked.size(); ++i) {
      asked[i].kl /= static_cast<double>(asked[i].reference_logits.size() / vocabulary);
      asked[i].reference_logits = {};
      asked[i].reference_answer = answers[i];
    }
    return absl::OkStatus();
  }

  absl::Status Judge(const DatasetItem& item, const Asked& asked) {
    const bool boxes = run_.task.kind == EvaluationKind::kGrounding;
    GWQ_ASSIGN_OR_RETURN(const std::string answer,
                         model_.tokenizer().Decode(asked.answer, /*skip_special_tokens=*/!boxes));
    nlohmann::json line = {{"line", item.line}, {"answer", answer}};
    if (boxes) {
      GWQ_RETURN_IF_ERROR(JudgeBox(item, asked, answer, line));
    } else {
      const bool right = std::ranges::any_of(
          item.answers, [&](const std::string& expected) { return Folded(expected) == Folded(answer); });
      right_.push_back(right ? 1 : 0);
    }
    line["right"] = right_.back() == 1;
    if (reference_ != nullptr) {
      kl_.push_back(asked.kl);
      same_.push_back(asked.answer == asked.reference_answer ? 1 : 0);
      line["kl"] = JsonNumber(asked.kl);
      GWQ_RETURN_IF_ERROR(KeepIfChanged(item, asked, answer));
    }
    out_.items_jsonl += CanonicalJson(line) + "\n";
    return absl::OkStatus();
  }

  absl::Status KeepIfChanged(const DatasetItem& item, const Asked& asked, const std::string& answer) {
    if (asked.answer == asked.reference_answer || out_.changed_answers.size() == kMaxChangedAnswers) {
      return absl::OkStatus();
    }
    const bool boxes = run_.task.kind == EvaluationKind::kGrounding;
    GWQ_ASSIGN_OR_RETURN(const std::string reference,
                         reference_->tokenizer().Decode(asked.reference_answer, /*skip_special_tokens=*/!boxes));
    const auto cut = [](const std::string& text) { return std::string(CutUtf8(text, kMaxExampleBytes)); };
    out_.changed_answers.push_back({item.line, cut(item.context), cut(reference), cut(answer)});
    return absl::OkStatus();
  }

  // The first box counts; an answer without one has none in common.
  absl::Status JudgeBox(const DatasetItem& item, const Asked& asked, const std::string& answer, nlohmann::json& line) {
    GWQ_ASSIGN_OR_RETURN(const ParsedBoxes parsed, ParseBoxes(model_.processor().grounding(), answer, asked.image));
    const double iou = parsed.boxes.empty() ? 0 : IntersectionOverUnion(parsed.boxes.front().box, *item.box);
    iou_.push_back(iou);
    right_.push_back(iou >= kIouThreshold ? 1 : 0);
    malformed_.push_back(parsed.malformed.empty() ? 0 : 1);
    line["iou"] = iou;
    if (!parsed.boxes.empty()) {
      const PixelRect& box = parsed.boxes.front().box;
      line["box"] = {box.left, box.top, box.right, box.bottom};
    }
    return absl::OkStatus();
  }

  EvaluationRun& run_;
  EvaluationResult& out_;
  const StoredDataset& dataset_;
  const std::span<const DatasetItem> items_;
  const VisionModel& model_;
  const VisionModel* reference_;
  std::optional<Question> next_;  // the first of the next wave, if it is made already
  std::vector<double> right_, iou_, malformed_, kl_, same_;
};

}  // namespace

absl::Status MeasureImages(EvaluationRun& run, EvaluationResult& out) {
  GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(run.task.dataset));
  GWQ_ASSIGN_OR_RETURN(const StoredDataset dataset, StoredDataset::Open(run.store, digest));
  GWQ_ASSIGN_OR_RETURN(const std::vector<DatasetItem> items, dataset.Items(run.task.kind, run.task.limit));
  GWQ_ASSIGN_OR_RETURN(const VisionModel model,
                       VisionModel::Load(run.model, run.backend, run.task.max_tokens, "load", run.progress));
  std::optional<VisionModel> reference;
  if (run.reference != nullptr) {
    GWQ_ASSIGN_OR_RETURN(VisionModel other, VisionModel::Load(*run.reference, run.backend, run.task.max_tokens,
                                                              "load reference", run.progress));
    if (other.vocabulary() != model.vocabulary()) {
      return InvalidField("reference", fmt::format("its vocabulary has {} tokens, the model's {}", other.vocabulary(),
                                                   model.vocabulary()));
    }
    reference.emplace(std::move(other));
  }
  return ImageEvaluation(run, out, dataset, items, model, reference ? &*reference : nullptr).Run();
}

}  // namespace gwq
