#include "core/engine/request.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/engine/stop_matcher.h"

namespace gwq {
namespace {

constexpr size_t kMaxStopIds = 256;
constexpr size_t kMaxChoices = 1000;

absl::Status CheckToken(int32_t token, const std::string& field, const RequestLimits& limits) {
  if (token >= 0 && token < limits.vocab_size) return absl::OkStatus();
  return InvalidField(field, fmt::format("token {} is outside [0, {})", token, limits.vocab_size));
}

absl::Status CheckPrompt(const GenerationRequest& request, const RequestLimits& limits) {
  const auto size = static_cast<int64_t>(request.prompt.size());
  GWQ_RETURN_IF_ERROR(CheckPromptSize(size, request.input_field, limits));
  const int64_t image_rows =
      request.images == nullptr ? 0 : std::ssize(*request.images) / std::max<int64_t>(limits.hidden_size, 1);
  for (int64_t i = 0; i < size; ++i) {
    const int32_t token = request.prompt[static_cast<size_t>(i)];
    if (token < 0 && ~token < image_rows) continue;
    GWQ_RETURN_IF_ERROR(CheckToken(token, fmt::format("{}[{}]", request.input_field, i), limits));
  }
  const std::vector<int32_t>& positions = request.positions.positions;
  if (positions.empty() || std::ssize(positions) == size * limits.position_axes) return absl::OkStatus();
  return absl::InternalError(
      fmt::format("{} positions for {} tokens of {} axes", positions.size(), size, limits.position_axes));
}

absl::Status CheckChoices(const GenerationRequest& request, const RequestLimits& limits) {
  if (request.choices.size() > kMaxChoices) {
    return InvalidField("choices.texts",
                        fmt::format("{} choices, the limit is {}", request.choices.size(), kMaxChoices));
  }
  for (size_t i = 0; i < request.choices.size(); ++i) {
    const std::string field = fmt::format("choices.texts[{}]", i);
    if (request.choices[i].empty()) return InvalidField(field, "has no tokens");
    const int64_t total = std::ssize(request.prompt) + std::ssize(request.choices[i]);
    if (total > limits.max_context_tokens) {
      return InvalidField(field, fmt::format("makes {} tokens with the prompt, the context has {}; shorten it", total,
                                             limits.max_context_tokens));
    }
    for (const int32_t token : request.choices[i]) GWQ_RETURN_IF_ERROR(CheckToken(token, field, limits));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPromptSize(int64_t tokens, std::string_view field, const RequestLimits& limits) {
  if (tokens == 0) return InvalidField(field, "has no tokens; a request needs at least one");
  if (tokens <= limits.max_prompt_tokens && tokens < limits.max_context_tokens) return absl::OkStatus();
  return InvalidField(field, fmt::format("has {} tokens, the limit is {} (context of {} tokens, one left for the "
                                         "answer); shorten it or load the model with more context",
                                         tokens, std::min(limits.max_prompt_tokens, limits.max_context_tokens - 1),
                                         limits.max_context_tokens));
}

absl::Status CheckRequest(const GenerationRequest& request, const RequestLimits& limits) {
  GWQ_RETURN_IF_ERROR(CheckPrompt(request, limits));
  return CheckAnswerFields(request, limits);
}

absl::Status CheckAnswerFields(const GenerationRequest& request, const RequestLimits& limits) {
  if (!request.choices.empty()) return CheckChoices(request, limits);
  if (request.max_tokens < 1) {
    return InvalidField("max_tokens", fmt::format("{} is below 1; leave it out for 256", request.max_tokens));
  }
  GWQ_RETURN_IF_ERROR(CheckSampling(request.sampling));
  GWQ_RETURN_IF_ERROR(CheckStopStrings(request.stop));
  if (!request.stop.empty() && request.decoder == nullptr) {
    return InvalidField("stop", "needs text, and this request asks for token ids alone");
  }
  if (request.stop_ids.size() > kMaxStopIds) {
    return InvalidField("stop_ids", fmt::format("{} ids, the limit is {}", request.stop_ids.size(), kMaxStopIds));
  }
  for (size_t i = 0; i < request.stop_ids.size(); ++i) {
    GWQ_RETURN_IF_ERROR(CheckToken(request.stop_ids[i], fmt::format("stop_ids[{}]", i), limits));
  }
  return absl::OkStatus();
}

}  // namespace gwq
