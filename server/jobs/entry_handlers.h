// Models and artifacts of the catalogue, and their bytes.
#pragma once

#include <memory>
#include <optional>

#include "google/protobuf/empty.pb.h"
#include "gwq/v1/artifacts.pb.h"
#include "gwq/v1/models.pb.h"
#include "server/jobs/jobs_handler.h"

namespace gwq {

class GetModelHandler final : public JobsHandler<v1::GetModelRequest, v1::Model> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class ListModelsHandler final : public JobsHandler<v1::ListModelsRequest, v1::ListModelsResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class DeleteModelHandler final : public JobsHandler<v1::DeleteModelRequest, google::protobuf::Empty> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class GetArtifactHandler final : public JobsHandler<v1::GetArtifactRequest, v1::Artifact> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class ListArtifactsHandler final : public JobsHandler<v1::ListArtifactsRequest, v1::ListArtifactsResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class DeleteArtifactHandler final : public JobsHandler<v1::DeleteArtifactRequest, google::protobuf::Empty> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class ResolveHandler final : public JobsHandler<v1::ResolveRequest, v1::ResolveResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class ReleaseHoldHandler final : public JobsHandler<v1::ReleaseHoldRequest, google::protobuf::Empty> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

// A range of one blob in parts; the next parts are read when the ones before are written.
template <class Request>
class BlobStreamHandler : public ServerStreamHandler<Request, v1::ReadBlobResponse> {
 public:
  BlobStreamHandler(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
                    const Request* request, JobsState& state)
      : ServerStreamHandler<Request, v1::ReadBlobResponse>(environment, method, context, request), state_(state) {}

 protected:
  struct Range {
    Digest digest;
    uint64_t offset = 0;
    uint64_t end = 0;
    uint64_t total = 0;
  };
  // What to send; asked once.
  [[nodiscard]] virtual absl::StatusOr<Range> Find() = 0;
  JobsState& state_;

 private:
  void Open() final;
  void Drained() final;

  Range range_;
  bool first_ = true;
};

class ReadBlobHandler final : public BlobStreamHandler<v1::ReadBlobRequest> {
 public:
  using BlobStreamHandler::BlobStreamHandler;

 private:
  absl::StatusOr<Range> Find() override;
};

class ReadManifestHandler final : public BlobStreamHandler<v1::ReadManifestRequest> {
 public:
  using BlobStreamHandler::BlobStreamHandler;

 private:
  absl::StatusOr<Range> Find() override;
};

}  // namespace gwq
