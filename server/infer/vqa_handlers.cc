#include <memory>
#include <utility>

#include "core/base/status.h"
#include "server/infer/inference_service.h"
#include "server/infer/vqa_run.h"

namespace gwq {
namespace {

// What both shapes of the call do before the engine answers. `Shape` is the handler's.
template <class Shape>
class VqaCall : public InferCall<Shape> {
 public:
  using InferCall<Shape>::InferCall;

 protected:
  [[nodiscard]] virtual std::shared_ptr<GenerationSink> MakeSink(VqaOutcome outcome) = 0;

  void StartAnswer() {
    absl::StatusOr<std::shared_ptr<VqaStart>> start = StartVqa(this->state_, this->request(), this->principal());
    if (!start.ok()) return this->End(start.status());
    this->PostOn(this->state_.images, [this, start = *std::move(start)] { Submit(*start); });
  }
  void Cancelled() override {
    slot_.Cancel();
    Call::Cancelled();
  }
  void Resume() { slot_.Resume(); }

 private:
  void Submit(VqaStart& start) {
    const auto check = [this] {
      return this->cancelled() ? absl::CancelledError("the caller went away or its deadline passed") : absl::OkStatus();
    };
    const absl::Status status = SubmitVqa(
        this->state_, start, MonotonicDeadline(this->state_.clock, this->context().deadline()), check,
        [this](VqaOutcome outcome) { return MakeSink(std::move(outcome)); }, slot_);
    // gRPC keeps the request until the call ends, and an answer may take long: its files need not wait with it.
    start.input.images.clear();
    google::protobuf::RepeatedPtrField<v1::ImageInput> files;
    files.Swap(const_cast<v1::VqaRequest&>(this->request()).mutable_images());
    if (!status.ok()) this->End(status);
  }

  CancelSlot slot_;
};

class VqaHandler final : public VqaCall<ServerStreamHandler<v1::VqaRequest, v1::VqaChunk>> {
 public:
  using VqaCall::VqaCall;

 private:
  class Sink final : public GenerationSink {
   public:
    Sink(std::shared_ptr<VqaHandler> handler, VqaOutcome outcome)
        : handler_(std::move(handler)), outcome_(std::move(outcome)) {}
    void OnChunk(GeneratedChunk chunk) override {
      outcome_.answer.Add(chunk);
      v1::VqaChunk message;
      message.set_text(std::move(chunk.text));
      message.mutable_token_ids()->Add(chunk.tokens.begin(), chunk.tokens.end());
      // False means that the call has ended: the cancel that ended it is on its way to the engine.
      (void)handler_->Send(std::move(message));
    }
    void OnDone(const absl::StatusOr<GenerationResult>& result) override {
      absl::Status status = result.status();
      v1::VqaChunk message;
      if (status.ok()) status = FillVqa(outcome_, *result, message);
      if (status.ok()) (void)handler_->Send(std::move(message));
      handler_->End(status);
    }
    // A message holds one token.
    int64_t unread_tokens() const override { return static_cast<int64_t>(handler_->queued()); }

   private:
    const std::shared_ptr<VqaHandler> handler_;
    VqaOutcome outcome_;
  };

  std::shared_ptr<GenerationSink> MakeSink(VqaOutcome outcome) override {
    return std::make_shared<Sink>(std::static_pointer_cast<VqaHandler>(shared_from_this()), std::move(outcome));
  }
  void Open() override { StartAnswer(); }
  void Drained() override { Resume(); }
};

class VqaOnceHandler final : public VqaCall<UnaryHandler<v1::VqaRequest, v1::VqaResponse>> {
 public:
  using VqaCall::VqaCall;

 private:
  // Collects on the engine's thread; the answer is bounded by the context.
  class Sink final : public GenerationSink {
   public:
    Sink(std::shared_ptr<VqaOnceHandler> handler, VqaOutcome outcome)
        : handler_(std::move(handler)), outcome_(std::move(outcome)) {}
    void OnChunk(GeneratedChunk chunk) override {
      outcome_.answer.Add(chunk);
      answer_.mutable_token_ids()->Add(chunk.tokens.begin(), chunk.tokens.end());
    }
    void OnDone(const absl::StatusOr<GenerationResult>& result) override {
      absl::Status status = result.status();
      if (status.ok()) status = FillVqa(outcome_, *result, answer_);
      handler_->Answer(status, std::move(answer_));
    }
    int64_t unread_tokens() const override { return 0; }

   private:
    const std::shared_ptr<VqaOnceHandler> handler_;
    VqaOutcome outcome_;
    v1::VqaResponse answer_;
  };

  std::shared_ptr<GenerationSink> MakeSink(VqaOutcome outcome) override {
    return std::make_shared<Sink>(std::static_pointer_cast<VqaOnceHandler>(shared_from_this()), std::move(outcome));
  }
  void Start() override { StartAnswer(); }
  void Answer(const absl::Status& status, v1::VqaResponse answer) {
    // The response may be gone once the call has ended, which a cancel does on another thread.
    Hold();
    if (status.ok() && !ended()) response() = std::move(answer);
    End(status);
    Release();
  }
};

class UploadImageHandler final : public InferCall<BlockingHandler<v1::UploadImageRequest, v1::UploadedImage>> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    const absl::StatusOr<ImageHeader> header =
        ReadImageHeader(std::as_bytes(std::span(request().data())), state_.image_limits);
    if (!header.ok()) return AsField(header.status(), "data");
    GWQ_ASSIGN_OR_RETURN(const Digest digest, state_.image_store.Put(principal(), request().data()));
    response().set_sha256(digest.Hex());
    response().set_width(header->width);
    response().set_height(header->height);
    return absl::OkStatus();
  }
};

}  // namespace

grpc::ServerWriteReactor<v1::VqaChunk>* InferenceService::Vqa(grpc::CallbackServerContext* context,
                                                              const v1::VqaRequest* request) {
  return Start<VqaHandler>("InferenceService/Vqa", context, request);
}

grpc::ServerUnaryReactor* InferenceService::VqaOnce(grpc::CallbackServerContext* context, const v1::VqaRequest* request,
                                                    v1::VqaResponse* response) {
  return Start<VqaOnceHandler>("InferenceService/VqaOnce", context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::UploadImage(grpc::CallbackServerContext* context,
                                                        const v1::UploadImageRequest* request,
                                                        v1::UploadedImage* response) {
  return Start<UploadImageHandler>("InferenceService/UploadImage", context, request, response);
}

}  // namespace gwq
