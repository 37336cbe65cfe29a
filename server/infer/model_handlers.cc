#include <chrono>
#include <memory>

#include "server/common/handler.h"
#include "server/infer/handlers.h"

namespace gwq {
namespace {

class LoadModelHandler final : public UnaryHandler<v1::LoadModelRequest, v1::LoadedModel> {
 public:
  LoadModelHandler(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                   const v1::LoadModelRequest* request, v1::LoadedModel* response)
      : UnaryHandler(environment.call, "InferenceService/LoadModel", context, request, response), infer_(environment) {}

 private:
  void Start() override {
    PostOn(infer_.lookups, [this] { LookUp(); });
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
    const auto model = infer_.models.Loaded(Asker(), request().name(), request().max_context_tokens());
    if (!model.ok()) return End(model.status());
    if (*model == nullptr) return PostOn(infer_.loads, [this] { Load(); });
    response() = (*model)->Describe();
    End(absl::OkStatus());
  }

  void Load() {
    const auto model =
        infer_.models.Load(Asker(), request().name(), request().max_context_tokens(), [this] { return Check(); });
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

  const InferEnvironment infer_;
};

class UnloadModelHandler final : public UnaryHandler<v1::UnloadModelRequest, google::protobuf::Empty> {
 public:
  UnloadModelHandler(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                     const v1::UnloadModelRequest* request, google::protobuf::Empty* response)
      : UnaryHandler(environment.call, "InferenceService/UnloadModel", context, request, response),
        infer_(environment) {}

 private:
  void Start() override {
    PostOn(infer_.loads, [this] { Unload(); });
  }
  // What has begun ends in any case.
  void Cancelled() override {}

  void Unload() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(infer_.unload_millis);
    const absl::Status status = infer_.models.Unload(principal(), request().name(), until);
    if (status.ok())
      environment_.log.Write(LogLevel::kInfo, "model unloaded",
                             {{"principal", principal()}, {"model", request().name()}});
    End(status);
  }

  const InferEnvironment infer_;
};

class ListLoadedModelsHandler final
    : public BlockingHandler<v1::ListLoadedModelsRequest, v1::ListLoadedModelsResponse> {
 public:
  ListLoadedModelsHandler(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                          const v1::ListLoadedModelsRequest* request, v1::ListLoadedModelsResponse* response)
      : BlockingHandler(environment.call, "InferenceService/ListLoadedModels", context, request, response),
        models_(environment.models) {}

 private:
  absl::Status Run() override {
    for (const auto& model : models_.List(principal())) *response().add_models() = model->Describe();
    return absl::OkStatus();
  }

  ModelTable& models_;
};

}  // namespace

grpc::ServerUnaryReactor* HandleLoadModel(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                                          const v1::LoadModelRequest* request, v1::LoadedModel* response) {
  return StartCall<LoadModelHandler>(environment, context, request, response);
}

grpc::ServerUnaryReactor* HandleUnloadModel(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                                            const v1::UnloadModelRequest* request, google::protobuf::Empty* response) {
  return StartCall<UnloadModelHandler>(environment, context, request, response);
}

grpc::ServerUnaryReactor* HandleListLoadedModels(const InferEnvironment& environment,
                                                 grpc::CallbackServerContext* context,
                                                 const v1::ListLoadedModelsRequest* request,
                                                 v1::ListLoadedModelsResponse* response) {
  return StartCall<ListLoadedModelsHandler>(environment, context, request, response);
}

}  // namespace gwq
