// The gRPC services of gwq-jobs: each method starts its handler. The handlers stand beside the method's definition.
#pragma once

#include "google/longrunning/operations.grpc.pb.h"
#include "gwq/v1/artifacts.grpc.pb.h"
#include "gwq/v1/evaluations.grpc.pb.h"
#include "gwq/v1/jobs.grpc.pb.h"
#include "gwq/v1/models.grpc.pb.h"
#include "gwq/v1/worker.grpc.pb.h"
#include "server/common/handler.h"
#include "server/jobs/jobs_state.h"

namespace gwq {

using ServerContext = grpc::CallbackServerContext;
using UnaryReactor = grpc::ServerUnaryReactor;

// What most handlers derive from: one blocking function, `state_`, `request()`, `response()`.
template <class Request, class Response>
using JobsCall = WithState<JobsState&, BlockingHandler<Request, Response>>;

class ModelService final : public v1::ModelService::CallbackService, private CallStarter<JobsState&> {
 public:
  // `blob_environment` runs what moves bytes, so that uploads never keep other calls waiting for a thread.
  ModelService(const CallEnvironment& environment, const CallEnvironment& blob_environment, JobsState& state)
      : CallStarter(environment, state), blob_environment_(blob_environment) {}

 private:
  UnaryReactor* GetModel(ServerContext*, const v1::GetModelRequest*, v1::Model*) override;
  UnaryReactor* ListModels(ServerContext*, const v1::ListModelsRequest*, v1::ListModelsResponse*) override;
  UnaryReactor* DeleteModel(ServerContext*, const v1::DeleteModelRequest*, google::protobuf::Empty*) override;
  UnaryReactor* CreateUpload(ServerContext*, const v1::CreateUploadRequest*, v1::Upload*) override;
  UnaryReactor* GetUpload(ServerContext*, const v1::GetUploadRequest*, v1::Upload*) override;
  UnaryReactor* AddUploadFiles(ServerContext*, const v1::AddUploadFilesRequest*, v1::AddUploadFilesResponse*) override;
  UnaryReactor* ListMissingBlobs(ServerContext*, const v1::ListMissingBlobsRequest*,
                                 v1::ListMissingBlobsResponse*) override;
  grpc::ServerReadReactor<v1::WriteBlobRequest>* WriteBlob(ServerContext*, v1::WriteBlobResponse*) override;
  UnaryReactor* CommitUpload(ServerContext*, const v1::CommitUploadRequest*, google::longrunning::Operation*) override;
  UnaryReactor* DeleteUpload(ServerContext*, const v1::DeleteUploadRequest*, google::protobuf::Empty*) override;

  const CallEnvironment blob_environment_;
};

class ArtifactService final : public v1::ArtifactService::CallbackService, private CallStarter<JobsState&> {
 public:
  ArtifactService(const CallEnvironment& environment, const CallEnvironment& blob_environment, JobsState& state)
      : CallStarter(environment, state), blob_environment_(blob_environment) {}

 private:
  UnaryReactor* GetArtifact(ServerContext*, const v1::GetArtifactRequest*, v1::Artifact*) override;
  UnaryReactor* ListArtifacts(ServerContext*, const v1::ListArtifactsRequest*, v1::ListArtifactsResponse*) override;
  UnaryReactor* DeleteArtifact(ServerContext*, const v1::DeleteArtifactRequest*, google::protobuf::Empty*) override;
  UnaryReactor* GetReport(ServerContext*, const v1::GetReportRequest*, v1::GetReportResponse*) override;
  grpc::ServerWriteReactor<v1::ReadBlobResponse>* ReadManifest(ServerContext*, const v1::ReadManifestRequest*) override;
  grpc::ServerWriteReactor<v1::ReadBlobResponse>* ReadBlob(ServerContext*, const v1::ReadBlobRequest*) override;
  UnaryReactor* Resolve(ServerContext*, const v1::ResolveRequest*, v1::ResolveResponse*) override;
  UnaryReactor* ReleaseHold(ServerContext*, const v1::ReleaseHoldRequest*, google::protobuf::Empty*) override;

  const CallEnvironment blob_environment_;
};

class JobService final : public v1::JobService::CallbackService, private CallStarter<JobsState&> {
 public:
  JobService(const CallEnvironment& environment, JobsState& state) : CallStarter(environment, state) {}

 private:
  UnaryReactor* CreateJob(ServerContext*, const v1::CreateJobRequest*, v1::CreateJobResponse*) override;
  UnaryReactor* GetJob(ServerContext*, const v1::GetJobRequest*, v1::Job*) override;
  UnaryReactor* ListJobs(ServerContext*, const v1::ListJobsRequest*, v1::ListJobsResponse*) override;
  UnaryReactor* CancelJob(ServerContext*, const v1::CancelJobRequest*, v1::Job*) override;
  grpc::ServerWriteReactor<v1::Job>* WatchJob(ServerContext*, const v1::WatchJobRequest*) override;
  grpc::ServerWriteReactor<v1::JobLogLine>* ReadJobLogs(ServerContext*, const v1::ReadJobLogsRequest*) override;
};

class EvaluationService final : public v1::EvaluationService::CallbackService, private CallStarter<JobsState&> {
 public:
  EvaluationService(const CallEnvironment& environment, JobsState& state) : CallStarter(environment, state) {}

 private:
  UnaryReactor* GetEvaluation(ServerContext*, const v1::GetEvaluationRequest*, v1::Evaluation*) override;
  UnaryReactor* ListEvaluations(ServerContext*, const v1::ListEvaluationsRequest*,
                                v1::ListEvaluationsResponse*) override;
  UnaryReactor* DeleteEvaluation(ServerContext*, const v1::DeleteEvaluationRequest*, google::protobuf::Empty*) override;
  UnaryReactor* GetDataset(ServerContext*, const v1::GetDatasetRequest*, v1::Dataset*) override;
  UnaryReactor* ListDatasets(ServerContext*, const v1::ListDatasetsRequest*, v1::ListDatasetsResponse*) override;
  UnaryReactor* DeleteDataset(ServerContext*, const v1::DeleteDatasetRequest*, google::protobuf::Empty*) override;
};

class OperationService final : public google::longrunning::Operations::CallbackService,
                               private CallStarter<JobsState&> {
 public:
  OperationService(const CallEnvironment& environment, JobsState& state) : CallStarter(environment, state) {}

 private:
  UnaryReactor* ListOperations(ServerContext*, const google::longrunning::ListOperationsRequest*,
                               google::longrunning::ListOperationsResponse*) override;
  UnaryReactor* GetOperation(ServerContext*, const google::longrunning::GetOperationRequest*,
                             google::longrunning::Operation*) override;
  UnaryReactor* DeleteOperation(ServerContext*, const google::longrunning::DeleteOperationRequest*,
                                google::protobuf::Empty*) override;
  UnaryReactor* CancelOperation(ServerContext*, const google::longrunning::CancelOperationRequest*,
                                google::protobuf::Empty*) override;
  UnaryReactor* WaitOperation(ServerContext*, const google::longrunning::WaitOperationRequest*,
                              google::longrunning::Operation*) override;
};

class WorkerService final : public v1::WorkerService::CallbackService, private CallStarter<JobsState&> {
 public:
  WorkerService(const CallEnvironment& environment, JobsState& state) : CallStarter(environment, state) {}

 private:
  UnaryReactor* Acquire(ServerContext*, const v1::AcquireRequest*, v1::AcquireResponse*) override;
  UnaryReactor* Heartbeat(ServerContext*, const v1::HeartbeatRequest*, v1::HeartbeatResponse*) override;
  UnaryReactor* SaveCheckpoint(ServerContext*, const v1::SaveCheckpointRequest*, v1::SaveCheckpointResponse*) override;
  UnaryReactor* FindPass(ServerContext*, const v1::FindPassRequest*, v1::FindPassResponse*) override;
  UnaryReactor* KeepPass(ServerContext*, const v1::KeepPassRequest*, v1::KeepPassResponse*) override;
  UnaryReactor* PublishPart(ServerContext*, const v1::PublishPartRequest*, v1::PublishPartResponse*) override;
  UnaryReactor* Commit(ServerContext*, const v1::CommitRequest*, v1::CommitResponse*) override;
  UnaryReactor* Fail(ServerContext*, const v1::FailRequest*, v1::FailResponse*) override;
};

}  // namespace gwq
