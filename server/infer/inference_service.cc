#include "server/infer/inference_service.h"

namespace gwq {

grpc::ServerUnaryReactor* InferenceService::LoadModel(grpc::CallbackServerContext* context,
                                                      const v1::LoadModelRequest* request, v1::LoadedModel* response) {
  return HandleLoadModel(environment_, context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::UnloadModel(grpc::CallbackServerContext* context,
                                                        const v1::UnloadModelRequest* request,
                                                        google::protobuf::Empty* response) {
  return HandleUnloadModel(environment_, context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::ListLoadedModels(grpc::CallbackServerContext* context,
                                                             const v1::ListLoadedModelsRequest* request,
                                                             v1::ListLoadedModelsResponse* response) {
  return HandleListLoadedModels(environment_, context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::GenerateOnce(grpc::CallbackServerContext* context,
                                                         const v1::GenerateRequest* request,
                                                         v1::GenerateResponse* response) {
  return HandleGenerateOnce(environment_, context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::Tokenize(grpc::CallbackServerContext* context,
                                                     const v1::TokenizeRequest* request,
                                                     v1::TokenizeResponse* response) {
  return HandleTokenize(environment_, context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::Detokenize(grpc::CallbackServerContext* context,
                                                       const v1::DetokenizeRequest* request,
                                                       v1::DetokenizeResponse* response) {
  return HandleDetokenize(environment_, context, request, response);
}

grpc::ServerWriteReactor<v1::GenerateChunk>* InferenceService::Generate(grpc::CallbackServerContext* context,
                                                                        const v1::GenerateRequest* request) {
  return HandleGenerate(environment_, context, request);
}

grpc::ServerWriteReactor<v1::VqaChunk>* InferenceService::Vqa(grpc::CallbackServerContext* context,
                                                              const v1::VqaRequest* request) {
  return HandleVqa(environment_, context, request);
}

grpc::ServerUnaryReactor* InferenceService::VqaOnce(grpc::CallbackServerContext* context, const v1::VqaRequest* request,
                                                    v1::VqaResponse* response) {
  return HandleVqaOnce(environment_, context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::UploadImage(grpc::CallbackServerContext* context,
                                                        const v1::UploadImageRequest* request,
                                                        v1::UploadedImage* response) {
  return HandleUploadImage(environment_, context, request, response);
}

}  // namespace gwq
