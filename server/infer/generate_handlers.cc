#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "core/base/status.h"
#include "server/infer/cancel_slot.h"
#include "server/infer/generate_request.h"
#include "server/infer/inference_service.h"

namespace gwq {
namespace {

// Finds the model, makes the request and submits it.
absl::Status SubmitTo(const InferEnvironment& environment, const std::string& principal,
                      const v1::GenerateRequest& request, std::chrono::system_clock::time_point deadline,
                      std::shared_ptr<GenerationSink> sink, CancelSlot& slot) {
  GWQ_ASSIGN_OR_RETURN(const auto model, environment.models.Find(principal, request.model()));
  GWQ_ASSIGN_OR_RETURN(GenerationRequest generation,
                       MakeGenerationRequest(*model, request, MonotonicDeadline(environment.clock, deadline)));
  GWQ_ASSIGN_OR_RETURN(auto handle, model->engine().Submit(std::move(generation), std::move(sink)));
  slot.Set(std::move(handle));
  return absl::OkStatus();
}

class GenerateHandler final : public InferCall<ServerStreamHandler<v1::GenerateRequest, v1::GenerateChunk>> {
 public:
  using WithState::WithState;

 private:
  class Sink final : public GenerationSink {
   public:
    explicit Sink(std::shared_ptr<GenerateHandler> handler) : handler_(std::move(handler)) {}
    void OnChunk(GeneratedChunk chunk) override {
      v1::GenerateChunk message;
      message.set_text(std::move(chunk.text));
      message.mutable_token_ids()->Add(chunk.tokens.begin(), chunk.tokens.end());
      // False means that the call has ended: the cancel that ended it is on its way to the engine.
      (void)handler_->Send(std::move(message));
    }
    void OnDone(const absl::StatusOr<GenerationResult>& result) override {
      if (result.ok()) {
        v1::GenerateChunk message;
        FillResult(*result, message);
        (void)handler_->Send(std::move(message));
      }
      handler_->End(result.status());
    }
    // A message holds one token.
    int64_t unread_tokens() const override { return static_cast<int64_t>(handler_->queued()); }

   private:
    const std::shared_ptr<GenerateHandler> handler_;
  };

  void Open() override {
    auto sink = std::make_shared<Sink>(std::static_pointer_cast<GenerateHandler>(shared_from_this()));
    const absl::Status status = SubmitTo(state_, principal(), request(), context().deadline(), std::move(sink), slot_);
    if (!status.ok()) End(status);
  }
  void Drained() override { slot_.Resume(); }
  void Cancelled() override {
    slot_.Cancel();
    Call::Cancelled();
  }

  CancelSlot slot_;
};

class GenerateOnceHandler final : public InferCall<UnaryHandler<v1::GenerateRequest, v1::GenerateResponse>> {
 public:
  using WithState::WithState;

 private:
  // Collects on the engine's thread; the answer is bounded by the context.
  class Sink final : public GenerationSink {
   public:
    explicit Sink(std::shared_ptr<GenerateOnceHandler> handler) : handler_(std::move(handler)) {}
    void OnChunk(GeneratedChunk chunk) override {
      answer_.mutable_text()->append(chunk.text);
      answer_.mutable_token_ids()->Add(chunk.tokens.begin(), chunk.tokens.end());
    }
    void OnDone(const absl::StatusOr<GenerationResult>& result) override {
      if (result.ok()) FillResult(*result, answer_);
      handler_->Answer(result.status(), std::move(answer_));
    }
    int64_t unread_tokens() const override { return 0; }

   private:
    const std::shared_ptr<GenerateOnceHandler> handler_;
    v1::GenerateResponse answer_;
  };

  void Start() override {
    auto sink = std::make_shared<Sink>(std::static_pointer_cast<GenerateOnceHandler>(shared_from_this()));
    const absl::Status status = SubmitTo(state_, principal(), request(), context().deadline(), std::move(sink), slot_);
    if (!status.ok()) End(status);
  }
  void Cancelled() override {
    slot_.Cancel();
    Call::Cancelled();
  }
  void Answer(const absl::Status& status, v1::GenerateResponse answer) {
    // The response may be gone once the call has ended, which a cancel does on another thread.
    Hold();
    if (status.ok() && !ended()) response() = std::move(answer);
    End(status);
    Release();
  }

  CancelSlot slot_;
};

}  // namespace

grpc::ServerWriteReactor<v1::GenerateChunk>* InferenceService::Generate(grpc::CallbackServerContext* context,
                                                                        const v1::GenerateRequest* request) {
  return Start<GenerateHandler>("InferenceService/Generate", context, request);
}

grpc::ServerUnaryReactor* InferenceService::GenerateOnce(grpc::CallbackServerContext* context,
                                                         const v1::GenerateRequest* request,
                                                         v1::GenerateResponse* response) {
  return Start<GenerateOnceHandler>("InferenceService/GenerateOnce", context, request, response);
}

}  // namespace gwq
