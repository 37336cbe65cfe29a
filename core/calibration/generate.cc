#include "core/calibration/generate.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <utility>

#include "core/base/status.h"
#include "core/calibration/text_batch.h"

namespace gwq {
namespace {

constexpr int64_t kTextTokens = 32;
// Below every logit.
constexpr float kNever = -3e38F;

class Generator {
 public:
  Generator(const Model& model, WeightLoader& loader, Backend& backend, int64_t count,
            const std::vector<int32_t>& excluded, Progress& progress, int64_t max_texts)
      : model_(model),
        loader_(loader),
        backend_(backend),
        excluded_(excluded),
        progress_(progress),
        vocabulary_(static_cast<size_t>(model.config().vocab_size)),
        count_(count),
        texts_(static_cast<size_t>(
            std::clamp<int64_t>(std::min(count / kTextTokens, model.config().vocab_size), 1, max_texts))),
        length_((count + static_cast<int64_t>(texts_.size()) - 1) / static_cast<int64_t>(texts_.size())) {}

  absl::StatusOr<std::vector<int32_t>> Run(int32_t first) {
    for (std::vector<int32_t>& text : texts_) text.push_back(first);
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<TextBatch> batch,
                         TextBatch::Create(model_, loader_, backend_, texts_.size(), length_, progress_));
    std::vector<float> logits(texts_.size() * vocabulary_);
    const auto total = static_cast<int64_t>(texts_.size()) * length_;
    for (int64_t done = 1; done < length_; ++done) {
      progress_.Step("sample", total * done / length_, total);
      GWQ_RETURN_IF_ERROR(batch->Forward(texts_, logits));
      if (done == 1) {
        TellApart(std::span(logits).first(vocabulary_));
        continue;
      }
      for (size_t text = 0; text < texts_.size(); ++text) {
        const auto row = std::span(logits).subspan(text * vocabulary_, vocabulary_);
        Exclude(row);
        texts_[text].push_back(static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
      }
    }
    progress_.Step("sample", total, total);
    std::vector<int32_t> sample;
    for (const std::vector<int32_t>& text : texts_) sample.insert(sample.end(), text.begin(), text.end());
    sample.resize(static_cast<size_t>(count_));
    return sample;
  }

 private:
  void Exclude(std::span<float> logits) const {
    for (const int32_t id : excluded_) {
      if (id >= 0 && static_cast<size_t>(id) < logits.size()) logits[static_cast<size_t>(id)] = kNever;
    }
  }

  // All texts begin alike, so `logits` are those of each: the first goes on with the likeliest token, the second with
  // the next, and so on. Of equal ones the lower token comes first.
  void TellApart(std::span<float> logits) {
    Exclude(logits);
    std::vector<int32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::partial_sort(ids.begin(), ids.begin() + std::ssize(texts_), ids.end(), [&](int32_t a, int32_t b) {
      const float left = logits[static_cast<size_t>(a)], right = logits[static_cast<size_t>(b)];
      return left != right ? left > right : a < b;
    });
    for (size_t text = 0; text < texts_.size(); ++text) texts_[text].push_back(ids[text]);
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
};

}  // namespace

absl::StatusOr<std::vector<int32_t>> GenerateSample(const Model& model, WeightLoader& loader, Backend& backend,
                                                    int32_t first, int64_t count, const std::vector<int32_t>& excluded,
                                                    Progress& progress, int64_t max_texts) {
  return Generator(model, loader, backend, count, excluded, progress, max_texts).Run(first);
}

}  // namespace gwq
