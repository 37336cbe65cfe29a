#include "server/infer/generate_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "core/base/status.h"
#include "core/prompt/prompt_builder.h"
#include "core/text/stream_decoder.h"
#include "core/text/token_bound.h"

namespace gwq {
namespace {

constexpr int64_t kDefaultMaxTokens = 256;
constexpr int kMaxMessages = 1000;

class TextDecoder final : public TokenDecoder {
 public:
  explicit TextDecoder(StreamDecoder stream) : stream_(std::move(stream)) {}
  absl::StatusOr<std::string> Push(int32_t token) override { return stream_.Push(token); }
  absl::StatusOr<std::string> Flush() override { return stream_.Flush(); }

 private:
  StreamDecoder stream_;
};

uint64_t DrawSeed() {
  std::random_device random;
  return (static_cast<uint64_t>(random()) << 32) | random();
}

absl::Status ReadInput(const ServedModel& model, const v1::GenerateRequest& request, GenerationRequest& out) {
  if (request.raw_prompt() && request.input_case() != v1::GenerateRequest::kPrompt) {
    return InvalidField("raw_prompt", "goes with prompt alone; a chat template writes its own special tokens");
  }
  switch (request.input_case()) {
    case v1::GenerateRequest::kPrompt: {
      out.input_field = "prompt";
      const Tokenizer& tokenizer = model.text().tokenizer();
      GWQ_RETURN_IF_ERROR(CheckPromptTokens(tokenizer, request.prompt(), out.input_field, MaxPromptTokens(model)));
      absl::StatusOr<std::vector<int32_t>> ids =
          tokenizer.Encode(request.prompt(), /*add_special_tokens=*/!request.raw_prompt());
      if (!ids.ok()) return ids.status();
      out.prompt = *std::move(ids);
      return absl::OkStatus();
    }
    case v1::GenerateRequest::kChat: {
      out.input_field = "chat.messages";
      GWQ_ASSIGN_OR_RETURN(out.prompt, EncodeMessages(model, request.chat(), MaxPromptTokens(model)));
      return absl::OkStatus();
    }
    case v1::GenerateRequest::kTokens:
      out.input_field = "tokens.ids";
      out.prompt.assign(request.tokens().ids().begin(), request.tokens().ids().end());
      return absl::OkStatus();
    case v1::GenerateRequest::INPUT_NOT_SET:
      break;
  }
  return InvalidField("input", "none of prompt, chat and tokens is set");
}

double PerSecond(int64_t tokens, int64_t millis) {
  return tokens <= 0 ? 0 : static_cast<double>(tokens) * 1000 / static_cast<double>(std::max<int64_t>(millis, 1));
}

}  // namespace

int64_t MonotonicDeadline(const Clock& clock, std::chrono::system_clock::time_point deadline) {
  if (deadline == std::chrono::system_clock::time_point::max()) return std::numeric_limits<int64_t>::max();
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::system_clock::now());
  return clock.MonotonicMillis() + std::max<int64_t>(left.count(), 0);
}

int64_t MaxPromptTokens(const ServedModel& model) { return model.engine().limits().max_prompt_tokens; }

absl::StatusOr<std::vector<int32_t>> EncodeMessages(const ServedModel& model, const v1::ChatMessages& chat,
                                                    int64_t max_tokens) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<ChatMessage> messages, ReadMessages(chat));
  absl::StatusOr<Prompt> prompt =
      model.prompts().Build(messages, {}, RenderNow(), {}, {.max_prompt_tokens = max_tokens});
  if (!prompt.ok()) return PrefixField(prompt.status(), "chat");
  return std::move(prompt->tokens);
}

absl::Status CheckMessageCount(int count, std::string_view field) {
  if (count == 0) return InvalidField(field, "is empty; a conversation has at least one message");
  if (count <= kMaxMessages) return absl::OkStatus();
  return InvalidField(field, fmt::format("{} messages, the limit is {}; leave the oldest out", count, kMaxMessages));
}

absl::StatusOr<std::vector<ChatMessage>> ReadMessages(const v1::ChatMessages& chat) {
  GWQ_RETURN_IF_ERROR(CheckMessageCount(chat.messages_size(), "chat.messages"));
  std::vector<ChatMessage> messages;
  for (int i = 0; i < chat.messages_size(); ++i) {
    if (chat.messages(i).role().empty()) {
      return InvalidField(fmt::format("chat.messages[{}].role", i), "is empty; usual are system, user and assistant");
    }
    messages.push_back({chat.messages(i).role(), chat.messages(i).content()});
  }
  return messages;
}

RenderOptions RenderNow() {
  RenderOptions options;
  const std::time_t now = std::time(nullptr);
  gmtime_r(&now, &options.now);
  return options;
}

template <class Request>
absl::Status ReadAnswerFields(const ModelText& text, const Request& request, GenerationRequest& out) {
  out.max_tokens = request.has_max_tokens() ? request.max_tokens() : kDefaultMaxTokens;
  out.sampling.temperature = request.sampling().temperature();
  out.sampling.top_k = request.sampling().top_k();
  out.sampling.top_p = request.sampling().has_top_p() ? request.sampling().top_p() : 1;
  GWQ_RETURN_IF_ERROR(CheckSampling(out.sampling));
  out.sampling.seed = request.sampling().has_seed() ? request.sampling().seed() : DrawSeed();
  out.stop.assign(request.stop().begin(), request.stop().end());
  out.stop_ids.assign(request.stop_ids().begin(), request.stop_ids().end());
  if (!request.ignore_eos()) out.stop_ids.insert(out.stop_ids.end(), text.stop_ids().begin(), text.stop_ids().end());
  GWQ_ASSIGN_OR_RETURN(StreamDecoder stream, StreamDecoder::Create(text.tokenizer(), /*skip_special_tokens=*/true));
  out.decoder = std::make_unique<TextDecoder>(std::move(stream));
  return absl::OkStatus();
}

template absl::Status ReadAnswerFields(const ModelText&, const v1::GenerateRequest&, GenerationRequest&);
template absl::Status ReadAnswerFields(const ModelText&, const v1::VqaRequest&, GenerationRequest&);

absl::StatusOr<GenerationRequest> MakeGenerationRequest(const ServedModel& model, const v1::GenerateRequest& request,
                                                        int64_t deadline_millis) {
  GenerationRequest out;
  // Cheap checks first: a prompt can take long to encode.
  GWQ_RETURN_IF_ERROR(ReadAnswerFields(model.text(), request, out));
  GWQ_RETURN_IF_ERROR(ReadInput(model, request, out));
  out.deadline_millis = deadline_millis;
  return out;
}

template <class Message>
void FillResult(const GenerationResult& result, Message& out) {
  out.set_finish_reason(result.reason == FinishReason::kStop ? v1::STOP : v1::LENGTH);
  out.mutable_usage()->set_prompt_tokens(static_cast<int32_t>(result.prompt_tokens));
  out.mutable_usage()->set_generated_tokens(static_cast<int32_t>(result.generated_tokens));
  const RequestTimings& timings = result.timings;
  out.mutable_timings()->set_queue_ms(static_cast<double>(timings.queue_millis));
  out.mutable_timings()->set_prefill_ms(static_cast<double>(timings.prefill_millis));
  out.mutable_timings()->set_decode_ms(static_cast<double>(timings.decode_millis));
  out.mutable_timings()->set_prefill_tokens_per_second(PerSecond(result.prompt_tokens, timings.prefill_millis));
  // The first token comes with the prefill.
  out.mutable_timings()->set_decode_tokens_per_second(PerSecond(result.generated_tokens - 1, timings.decode_millis));
  out.set_seed(result.seed);
  out.set_stop_match(result.stop_match);
}

template void FillResult(const GenerationResult&, v1::GenerateChunk&);
template void FillResult(const GenerationResult&, v1::GenerateResponse&);
template void FillResult(const GenerationResult&, v1::VqaChunk&);
template void FillResult(const GenerationResult&, v1::VqaResponse&);

}  // namespace gwq
