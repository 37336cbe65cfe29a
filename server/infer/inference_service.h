// gwq.v1.InferenceService on gRPC's callback API. Each method is defined beside the handler that it starts.
#pragma once

#include "gwq/v1/inference.grpc.pb.h"
#include "server/common/handler.h"
#include "server/infer/infer_environment.h"

namespace gwq {

// A handler with a copy of what they all share: a call may outlive the service.
template <class Shape>
using InferCall = WithState<const InferEnvironment, Shape>;

class InferenceService final : public v1::InferenceService::CallbackService,
                               private CallStarter<const InferEnvironment> {
 public:
  explicit InferenceService(const InferEnvironment& environment) : CallStarter(environment.call, environment) {}

  grpc::ServerUnaryReactor* LoadModel(grpc::CallbackServerContext* context, const v1::LoadModelRequest* request,
                                      v1::LoadedModel* response) override;
  grpc::ServerUnaryReactor* UnloadModel(grpc::CallbackServerContext* context, const v1::UnloadModelRequest* request,
                                        google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* ListLoadedModels(grpc::CallbackServerContext* context,
                                             const v1::ListLoadedModelsRequest* request,
                                             v1::ListLoadedModelsResponse* response) override;
  grpc::ServerWriteReactor<v1::GenerateChunk>* Generate(grpc::CallbackServerContext* context,
                                                        const v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* GenerateOnce(grpc::CallbackServerContext* context, const v1::GenerateRequest* request,
                                         v1::GenerateResponse* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context, const v1::TokenizeRequest* request,
                                     v1::TokenizeResponse* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* context, const v1::DetokenizeRequest* request,
                                       v1::DetokenizeResponse* response) override;
  grpc::ServerWriteReactor<v1::VqaChunk>* Vqa(grpc::CallbackServerContext* context,
                                              const v1::VqaRequest* request) override;
  grpc::ServerUnaryReactor* VqaOnce(grpc::CallbackServerContext* context, const v1::VqaRequest* request,
                                    v1::VqaResponse* response) override;
  grpc::ServerUnaryReactor* UploadImage(grpc::CallbackServerContext* context, const v1::UploadImageRequest* request,
                                        v1::UploadedImage* response) override;
};

}  // namespace gwq
