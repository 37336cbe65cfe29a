// A vision-language model loaded whole, with what it needs to be asked about images.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/artifact/stored_model.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/evaluation/answers.h"
#include "core/models/model.h"
#include "core/spec/dataset.h"
#include "core/text/model_text.h"
#include "core/vision/image_processor.h"

namespace gwq {

// Of one prompt with its images.
inline constexpr int64_t kMaxAskedTokens = 4096;

class VisionModel {
 public:
  // `backend` outlives the model. An answer has at most `max_tokens` tokens. Reports phase `phase` in stages. The
  // errors of ProcessorOf, ModelText::Load and the weight loader.
  [[nodiscard]] static absl::StatusOr<VisionModel> Load(const StoredModel& model, Backend& backend, int64_t max_tokens,
                                                        std::string_view phase, Progress& progress);

  [[nodiscard]] const ImageProcessor& processor() const { return *processor_; }
  [[nodiscard]] const Tokenizer& tokenizer() const { return text_->tokenizer(); }
  [[nodiscard]] int64_t vocabulary() const { return loaded_->model().config().vocab_size; }

  // The question with its images before it, whose rows are computed here; `images` lose their patches. INVALID_ARGUMENT
  // at "line N.question" for what the question's text holds, at "line N" for more than
  // kMaxAskedTokens tokens.
  [[nodiscard]] absl::StatusOr<AnswerPrompt> Ask(const DatasetItem& item, std::span<PreparedImage> images) const;
  // Lives no longer than the model.
  [[nodiscard]] Answerer answerer() const { return {loaded_, *backend_, text_->stop_ids(), max_tokens_}; }

 private:
  VisionModel() = default;

  Backend* backend_ = nullptr;
  int64_t max_tokens_ = 0;
  std::unique_ptr<const ImageProcessor> processor_;
  std::unique_ptr<const ModelText> text_;
  std::shared_ptr<const LoadedModel> loaded_;
};

}  // namespace gwq
