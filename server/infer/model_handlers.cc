#include <chrono>
#include <memory>

#include "server/infer/inference_service.h"

namespace gwq {
namespace {

class LoadModelHandler final : public InferCall<UnaryHandler<v1::LoadModelRequest, v1::LoadedModel>> {
 public:
  using WithState::WithState;

 private:
  void Start() override {
    PostOn(state_.lookups, [this] { LookUp(); });
  }
  // The load notices between two stages and ends the call then.
  void Cancelled() override {}

  absl::Status Check() { return cancelled() ? absl::CancelledError("the load was cancelled") : absl::OkStatus(); }
  [[nodiscard]] Caller Asker() {
    // Without tokens a header that a caller sends all the same means nothing.
    return {principal(), environment_.authenticator.checks() ? std::string(authorization()) : ""};
  }

  void LookUp() {
    if (const absl::Status wanted = Check(); !wanted.ok()) return End(wanted);
    const auto model = state_.models.Loaded(Asker(), request().name(), request().max_context_tokens());
    if (!model.ok()) return End(model.status());
    if (*model == nullptr) return PostOn(state_.loads, [this] { Load(); });
    response() = (*model)->Describe();
    End(absl::OkStatus());
  }

  void Load() {
    const auto model =
        state_.models.Load(Asker(), request().name(), request().max_context_tokens(), [this] { return Check(); });
    if (!model.ok()) return End(model.status());
    response() = (*model)->Describe();
    environment_.log.Write(LogLevel::kInfo, "model loaded",
                           {{"principal", principal()},
                            {"model", response().name()},
                            {"digest", response().digest()},
                            {"weight_bytes", response().weight_bytes()},
                            {"cache_bytes", response().cache_bytes()},
                            {"kernels", response().kernels()}});
    End(absl::OkStatus());
  }
};

class UnloadModelHandler final : public InferCall<UnaryHandler<v1::UnloadModelRequest, google::protobuf::Empty>> {
 public:
  using WithState::WithState;

 private:
  void Start() override {
    PostOn(state_.loads, [this] { Unload(); });
  }
  // What has begun ends in any case.
  void Cancelled() override {}

  void Unload() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(state_.unload_millis);
    const absl::Status status = state_.models.Unload(principal(), request().name(), until);
    if (status.ok())
      environment_.log.Write(LogLevel::kInfo, "model unloaded",
                             {{"principal", principal()}, {"model", request().name()}});
    End(status);
  }
};

class ListLoadedModelsHandler final
    : public InferCall<BlockingHandler<v1::ListLoadedModelsRequest, v1::ListLoadedModelsResponse>> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    for (const auto& model : state_.models.List(principal())) *response().add_models() = model->Describe();
    return absl::OkStatus();
  }
};

}  // namespace

grpc::ServerUnaryReactor* InferenceService::LoadModel(grpc::CallbackServerContext* context,
                                                      const v1::LoadModelRequest* request, v1::LoadedModel* response) {
  return Start<LoadModelHandler>("InferenceService/LoadModel", context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::UnloadModel(grpc::CallbackServerContext* context,
                                                        const v1::UnloadModelRequest* request,
                                                        google::protobuf::Empty* response) {
  return Start<UnloadModelHandler>("InferenceService/UnloadModel", context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::ListLoadedModels(grpc::CallbackServerContext* context,
                                                             const v1::ListLoadedModelsRequest* request,
                                                             v1::ListLoadedModelsResponse* response) {
  return Start<ListLoadedModelsHandler>("InferenceService/ListLoadedModels", context, request, response);
}

}  // namespace gwq
