#include "server/infer/vqa_answer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/base/status.h"
#include "core/prompt/choices.h"

namespace gwq {

absl::StatusOr<VqaAnswer> VqaAnswer::Create(const ServedModel& model, VqaTask task, const PreparedImage* image) {
  VqaAnswer answer(std::move(task));
  if (image != nullptr) {
    answer.image_ = *image;
    answer.grounding_ = model.vision()->processor().grounding();
    GWQ_ASSIGN_OR_RETURN(answer.with_special_tokens_,
                         StreamDecoder::Create(model.text().tokenizer(), /*skip_special_tokens=*/false));
  }
  return answer;
}

void VqaAnswer::Add(const GeneratedChunk& chunk) {
  text_ += chunk.text;
  tokens_.insert(tokens_.end(), chunk.tokens.begin(), chunk.tokens.end());
  log_probabilities_.insert(log_probabilities_.end(), chunk.log_probabilities.begin(), chunk.log_probabilities.end());
}

v1::FreeText VqaAnswer::Text() const {
  v1::FreeText out;
  out.set_answer(text_);
  out.mutable_token_log_probabilities()->Add(log_probabilities_.begin(), log_probabilities_.end());
  const double sum = std::accumulate(log_probabilities_.begin(), log_probabilities_.end(), 0.0);
  out.set_confidence(std::exp(sum / static_cast<double>(std::max<size_t>(log_probabilities_.size(), 1))));
  out.set_abstained(out.confidence() < task_.abstain_below);
  return out;
}

v1::ChoiceResult VqaAnswer::Choices(const GenerationResult& result) const {
  const std::vector<double> probabilities = ChoiceProbabilities(result.choice_log_likelihoods, task_.choice_lengths);
  v1::ChoiceResult out;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    v1::Choice& choice = *out.add_choices();
    choice.set_text(task_.choices[i]);
    choice.set_probability(probabilities[i]);
    choice.set_log_likelihood(result.choice_log_likelihoods[i]);
    choice.set_tokens(static_cast<int32_t>(task_.choice_tokens[i]));
  }
  const auto best = std::max_element(probabilities.begin(), probabilities.end());
  out.set_best(static_cast<int32_t>(best - probabilities.begin()));
  out.set_confidence(*best);
  out.set_abstained(*best < task_.abstain_below);
  return out;
}

absl::StatusOr<std::string> VqaAnswer::TextWithSpecialTokens(const GenerationResult& result) {
  // The token that ended the answer is no part of its text; what a stop string ended is cut before it.
  const bool ended_by_id = result.reason == FinishReason::kStop && result.stop_match.empty();
  const size_t count = tokens_.size() - (ended_by_id ? 1 : 0);
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    GWQ_ASSIGN_OR_RETURN(const std::string piece, with_special_tokens_->Push(tokens_[i]));
    text += piece;
  }
  GWQ_ASSIGN_OR_RETURN(const std::string rest, with_special_tokens_->Flush());
  text += rest;
  if (!result.stop_match.empty()) text.resize(std::min(text.size(), text.rfind(result.stop_match)));
  return text;
}

absl::StatusOr<v1::BoxResult> VqaAnswer::Boxes(const GenerationResult& result) {
  GWQ_ASSIGN_OR_RETURN(const std::string text, TextWithSpecialTokens(result));
  GWQ_ASSIGN_OR_RETURN(const ParsedBoxes parsed, ParseBoxes(grounding_, text, image_));
  v1::BoxResult out;
  for (const LabelledBox& box : parsed.boxes) {
    v1::Box& to = *out.add_boxes();
    to.set_label(box.label);
    to.set_left(box.box.left);
    to.set_top(box.box.top);
    to.set_right(box.box.right);
    to.set_bottom(box.box.bottom);
    to.set_image(task_.box_image);
  }
  for (const MalformedBox& box : parsed.malformed) {
    v1::MalformedBox& to = *out.add_malformed();
    to.set_text(box.text);
    to.set_reason(box.reason);
  }
  *out.mutable_text() = Text();
  return out;
}

absl::StatusOr<v1::VqaResult> VqaAnswer::Finish(const GenerationResult& result) {
  v1::VqaResult out;
  switch (task_.kind) {
    case VqaTask::Kind::kText:
      *out.mutable_free_text() = Text();
      break;
    case VqaTask::Kind::kChoices:
      *out.mutable_choices() = Choices(result);
      break;
    case VqaTask::Kind::kBoxes: {
      GWQ_ASSIGN_OR_RETURN(*out.mutable_boxes(), Boxes(result));
      break;
    }
  }
  return out;
}

}  // namespace gwq
