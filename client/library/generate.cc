#include "client/library/generate.h"

#include "client/library/read_stream.h"
#include "core/base/status.h"
#include "gwq/v1/inference.grpc.pb.h"

namespace gwq::client {

absl::StatusOr<v1::GenerateChunk> Generate(const Connection& infer, const v1::GenerateRequest& request,
                                           Canceller& canceller,
                                           const std::function<void(const v1::GenerateChunk&)>& chunk) {
  const auto stub = v1::InferenceService::NewStub(infer.channel());
  const auto open = [&](grpc::ClientContext* context, const v1::GenerateRequest& asked) {
    return stub->Generate(context, asked);
  };
  GWQ_ASSIGN_OR_RETURN(v1::GenerateChunk last, ReadStream(infer, request, canceller, open, chunk));
  if (last.finish_reason() == v1::FINISH_REASON_UNSPECIFIED)
    return absl::DataLossError("the answer ended without a finish reason");
  return last;
}

absl::StatusOr<v1::LoadedModel> EnsureLoaded(const Connection& infer, const std::string& name, Canceller& canceller) {
  const auto stub = v1::InferenceService::NewStub(infer.channel());
  grpc::ClientContext context;
  GWQ_RETURN_IF_ERROR(infer.PrepareStream(context));
  const Canceller::Attachment attachment(canceller, context);
  v1::LoadModelRequest request;
  request.set_name(name);
  GWQ_RETURN_IF_ERROR(CheckUtf8(request));
  v1::LoadedModel model;
  const grpc::Status status = stub->LoadModel(&context, request, &model);
  if (!status.ok()) return FromGrpc(status, context, infer);
  return model;
}

}  // namespace gwq::client
