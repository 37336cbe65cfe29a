// The upload half of ModelService, one handler a call.
#pragma once

#include <memory>

#include "core/storage/blob_store.h"
#include "google/longrunning/operations_proto.pb.h"
#include "google/protobuf/empty.pb.h"
#include "gwq/v1/models.pb.h"
#include "server/jobs/jobs_handler.h"

namespace gwq {

class CreateUploadHandler final : public JobsHandler<v1::CreateUploadRequest, v1::Upload> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class GetUploadHandler final : public JobsHandler<v1::GetUploadRequest, v1::Upload> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class AddUploadFilesHandler final : public JobsHandler<v1::AddUploadFilesRequest, v1::AddUploadFilesResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class ListMissingBlobsHandler final : public JobsHandler<v1::ListMissingBlobsRequest, v1::ListMissingBlobsResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

// Appends a stream's parts to one blob: the next part is read only when the one before is written.
class WriteBlobHandler final : public ClientStreamHandler<v1::WriteBlobRequest, v1::WriteBlobResponse> {
 public:
  WriteBlobHandler(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
                   v1::WriteBlobResponse* response, JobsState& state)
      : ClientStreamHandler(environment, method, context, response), state_(state) {}

 private:
  void Message(v1::WriteBlobRequest& message) override;
  void Closed() override;
  absl::Status Open(const v1::WriteBlobRequest& first);
  absl::Status Append(const std::string& data);
  absl::Status Complete();

  JobsState& state_;
  std::unique_ptr<BlobWriter> writer_;
  uint64_t size_ = 0;
  uint64_t unsynced_ = 0;
};

class CommitUploadHandler final : public JobsHandler<v1::CommitUploadRequest, google::longrunning::Operation> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class DeleteUploadHandler final : public JobsHandler<v1::DeleteUploadRequest, google::protobuf::Empty> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

}  // namespace gwq
