// One function per RPC of InferenceService; each makes the call's handler.
#pragma once

#include <grpcpp/support/server_callback.h>

#include "google/protobuf/empty.pb.h"
#include "gwq/v1/inference.pb.h"
#include "server/infer/infer_environment.h"

namespace gwq {

grpc::ServerUnaryReactor* HandleLoadModel(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                                          const v1::LoadModelRequest* request, v1::LoadedModel* response);
grpc::ServerUnaryReactor* HandleUnloadModel(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                                            const v1::UnloadModelRequest* request, google::protobuf::Empty* response);
grpc::ServerUnaryReactor* HandleListLoadedModels(const InferEnvironment& environment,
                                                 grpc::CallbackServerContext* context,
                                                 const v1::ListLoadedModelsRequest* request,
                                                 v1::ListLoadedModelsResponse* response);
grpc::ServerWriteReactor<v1::GenerateChunk>* HandleGenerate(const InferEnvironment& environment,
                                                            grpc::CallbackServerContext* context,
                                                            const v1::GenerateRequest* request);
grpc::ServerUnaryReactor* HandleGenerateOnce(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                                             const v1::GenerateRequest* request, v1::GenerateResponse* response);
grpc::ServerUnaryReactor* HandleTokenize(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                                         const v1::TokenizeRequest* request, v1::TokenizeResponse* response);
grpc::ServerUnaryReactor* HandleDetokenize(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                                           const v1::DetokenizeRequest* request, v1::DetokenizeResponse* response);
grpc::ServerWriteReactor<v1::VqaChunk>* HandleVqa(const InferEnvironment& environment,
                                                  grpc::CallbackServerContext* context, const v1::VqaRequest* request);
grpc::ServerUnaryReactor* HandleVqaOnce(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                                        const v1::VqaRequest* request, v1::VqaResponse* response);
grpc::ServerUnaryReactor* HandleUploadImage(const InferEnvironment& environment, grpc::CallbackServerContext* context,
                                            const v1::UploadImageRequest* request, v1::UploadedImage* response);

}  // namespace gwq
