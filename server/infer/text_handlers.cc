#include <fmt/format.h>

#include <limits>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "server/infer/generate_request.h"
#include "server/infer/inference_service.h"

namespace gwq {
namespace {

// About 60 MB of memory and a second.
constexpr size_t kMaxTokenizeBytes = size_t{1} << 20;

class TokenizeHandler final : public InferCall<BlockingHandler<v1::TokenizeRequest, v1::TokenizeResponse>> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const auto model, state_.models.Find(principal(), request().model()));
    absl::StatusOr<std::vector<int32_t>> ids = InvalidField("input", "neither text nor chat is set");
    if (request().input_case() == v1::TokenizeRequest::kText) {
      GWQ_RETURN_IF_ERROR(CheckTextBytes("text", request().text()));
      ids = model->text().tokenizer().Encode(request().text(), request().add_special_tokens());
    } else if (request().input_case() == v1::TokenizeRequest::kChat) {
      GWQ_ASSIGN_OR_RETURN(*response().mutable_rendered(), Render(*model));
      GWQ_RETURN_IF_ERROR(CheckTextBytes("chat.messages", response().rendered()));
      ids = EncodeMessages(*model, request().chat(), std::numeric_limits<int64_t>::max());
    }
    GWQ_RETURN_IF_ERROR(ids.status());
    response().mutable_ids()->Add(ids->begin(), ids->end());
    return absl::OkStatus();
  }

  [[nodiscard]] absl::StatusOr<std::string> Render(const ServedModel& model) const {
    if (request().add_special_tokens()) {
      return InvalidField("add_special_tokens", "goes with text alone; a chat template writes its own special tokens");
    }
    GWQ_ASSIGN_OR_RETURN(const std::vector<ChatMessage> messages, ReadMessages(request().chat()));
    return model.prompts().Render(messages, RenderNow());
  }

  static absl::Status CheckTextBytes(std::string_view field, std::string_view text) {
    if (text.size() <= kMaxTokenizeBytes) return absl::OkStatus();
    return InvalidField(
        field, fmt::format("has {} bytes, the limit is {}; tokenize it in pieces", text.size(), kMaxTokenizeBytes));
  }
};

class DetokenizeHandler final : public InferCall<BlockingHandler<v1::DetokenizeRequest, v1::DetokenizeResponse>> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const auto model, state_.models.Find(principal(), request().model()));
    const std::vector<int32_t> ids(request().ids().begin(), request().ids().end());
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0) return InvalidField(fmt::format("ids[{}]", i), fmt::format("is {}; ids count from 0", ids[i]));
    }
    GWQ_ASSIGN_OR_RETURN(*response().mutable_text(),
                         model->text().tokenizer().Decode(ids, request().skip_special_tokens()));
    return absl::OkStatus();
  }
};

}  // namespace

grpc::ServerUnaryReactor* InferenceService::Tokenize(grpc::CallbackServerContext* context,
                                                     const v1::TokenizeRequest* request,
                                                     v1::TokenizeResponse* response) {
  return Start<TokenizeHandler>("InferenceService/Tokenize", context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::Detokenize(grpc::CallbackServerContext* context,
                                                       const v1::DetokenizeRequest* request,
                                                       v1::DetokenizeResponse* response) {
  return Start<DetokenizeHandler>("InferenceService/Detokenize", context, request, response);
}

}  // namespace gwq
