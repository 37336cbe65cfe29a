#include "server/jobs/services.h"

#include "server/jobs/entry_handlers.h"
#include "server/jobs/job_handlers.h"
#include "server/jobs/upload_handlers.h"
#include "server/jobs/worker_handlers.h"

namespace gwq {

grpc::ServerUnaryReactor* ModelServiceImpl::GetModel(grpc::CallbackServerContext* context,
                                                     const v1::GetModelRequest* request, v1::Model* response) {
  return StartCall<GetModelHandler>(environment_, "ModelService/GetModel", context, request, response, state_);
}

grpc::ServerUnaryReactor* ModelServiceImpl::ListModels(grpc::CallbackServerContext* context,
                                                       const v1::ListModelsRequest* request,
                                                       v1::ListModelsResponse* response) {
  return StartCall<ListModelsHandler>(environment_, "ModelService/ListModels", context, request, response, state_);
}

grpc::ServerUnaryReactor* ModelServiceImpl::DeleteModel(grpc::CallbackServerContext* context,
                                                        const v1::DeleteModelRequest* request,
                                                        google::protobuf::Empty* response) {
  return StartCall<DeleteModelHandler>(environment_, "ModelService/DeleteModel", context, request, response, state_);
}

grpc::ServerUnaryReactor* ModelServiceImpl::CreateUpload(grpc::CallbackServerContext* context,
                                                         const v1::CreateUploadRequest* request, v1::Upload* response) {
  return StartCall<CreateUploadHandler>(environment_, "ModelService/CreateUpload", context, request, response, state_);
}

grpc::ServerUnaryReactor* ModelServiceImpl::GetUpload(grpc::CallbackServerContext* context,
                                                      const v1::GetUploadRequest* request, v1::Upload* response) {
  return StartCall<GetUploadHandler>(environment_, "ModelService/GetUpload", context, request, response, state_);
}

grpc::ServerUnaryReactor* ModelServiceImpl::AddUploadFiles(grpc::CallbackServerContext* context,
                                                           const v1::AddUploadFilesRequest* request,
                                                           v1::AddUploadFilesResponse* response) {
  return StartCall<AddUploadFilesHandler>(environment_, "ModelService/AddUploadFiles", context, request, response,
                                          state_);
}

grpc::ServerUnaryReactor* ModelServiceImpl::ListMissingBlobs(grpc::CallbackServerContext* context,
                                                             const v1::ListMissingBlobsRequest* request,
                                                             v1::ListMissingBlobsResponse* response) {
  return StartCall<ListMissingBlobsHandler>(environment_, "ModelService/ListMissingBlobs", context, request, response,
                                            state_);
}

grpc::ServerReadReactor<v1::WriteBlobRequest>* ModelServiceImpl::WriteBlob(grpc::CallbackServerContext* context,
                                                                           v1::WriteBlobResponse* response) {
  return StartCall<WriteBlobHandler>(environment_, "ModelService/WriteBlob", context, response, state_);
}

grpc::ServerUnaryReactor* ModelServiceImpl::CommitUpload(grpc::CallbackServerContext* context,
                                                         const v1::CommitUploadRequest* request,
                                                         google::longrunning::Operation* response) {
  return StartCall<CommitUploadHandler>(environment_, "ModelService/CommitUpload", context, request, response, state_);
}

grpc::ServerUnaryReactor* ModelServiceImpl::DeleteUpload(grpc::CallbackServerContext* context,
                                                         const v1::DeleteUploadRequest* request,
                                                         google::protobuf::Empty* response) {
  return StartCall<DeleteUploadHandler>(environment_, "ModelService/DeleteUpload", context, request, response, state_);
}

grpc::ServerUnaryReactor* ArtifactServiceImpl::GetArtifact(grpc::CallbackServerContext* context,
                                                           const v1::GetArtifactRequest* request,
                                                           v1::Artifact* response) {
  return StartCall<GetArtifactHandler>(environment_, "ArtifactService/GetArtifact", context, request, response, state_);
}

grpc::ServerUnaryReactor* ArtifactServiceImpl::ListArtifacts(grpc::CallbackServerContext* context,
                                                             const v1::ListArtifactsRequest* request,
                                                             v1::ListArtifactsResponse* response) {
  return StartCall<ListArtifactsHandler>(environment_, "ArtifactService/ListArtifacts", context, request, response,
                                         state_);
}

grpc::ServerUnaryReactor* ArtifactServiceImpl::DeleteArtifact(grpc::CallbackServerContext* context,
                                                              const v1::DeleteArtifactRequest* request,
                                                              google::protobuf::Empty* response) {
  return StartCall<DeleteArtifactHandler>(environment_, "ArtifactService/DeleteArtifact", context, request, response,
                                          state_);
}

grpc::ServerWriteReactor<v1::ReadBlobResponse>* ArtifactServiceImpl::ReadManifest(
    grpc::CallbackServerContext* context, const v1::ReadManifestRequest* request) {
  return StartCall<ReadManifestHandler>(environment_, "ArtifactService/ReadManifest", context, request, state_);
}

grpc::ServerWriteReactor<v1::ReadBlobResponse>* ArtifactServiceImpl::ReadBlob(grpc::CallbackServerContext* context,
                                                                              const v1::ReadBlobRequest* request) {
  return StartCall<ReadBlobHandler>(environment_, "ArtifactService/ReadBlob", context, request, state_);
}

grpc::ServerUnaryReactor* ArtifactServiceImpl::Resolve(grpc::CallbackServerContext* context,
                                                       const v1::ResolveRequest* request,
                                                       v1::ResolveResponse* response) {
  return StartCall<ResolveHandler>(environment_, "ArtifactService/Resolve", context, request, response, state_);
}

grpc::ServerUnaryReactor* ArtifactServiceImpl::ReleaseHold(grpc::CallbackServerContext* context,
                                                           const v1::ReleaseHoldRequest* request,
                                                           google::protobuf::Empty* response) {
  return StartCall<ReleaseHoldHandler>(environment_, "ArtifactService/ReleaseHold", context, request, response, state_);
}

grpc::ServerUnaryReactor* JobServiceImpl::CreateJob(grpc::CallbackServerContext* context,
                                                    const v1::CreateJobRequest* request,
                                                    v1::CreateJobResponse* response) {
  return StartCall<CreateJobHandler>(environment_, "JobService/CreateJob", context, request, response, state_);
}

grpc::ServerUnaryReactor* JobServiceImpl::GetJob(grpc::CallbackServerContext* context, const v1::GetJobRequest* request,
                                                 v1::Job* response) {
  return StartCall<GetJobHandler>(environment_, "JobService/GetJob", context, request, response, state_);
}

grpc::ServerUnaryReactor* JobServiceImpl::ListJobs(grpc::CallbackServerContext* context,
                                                   const v1::ListJobsRequest* request, v1::ListJobsResponse* response) {
  return StartCall<ListJobsHandler>(environment_, "JobService/ListJobs", context, request, response, state_);
}

grpc::ServerUnaryReactor* JobServiceImpl::CancelJob(grpc::CallbackServerContext* context,
                                                    const v1::CancelJobRequest* request, v1::Job* response) {
  return StartCall<CancelJobHandler>(environment_, "JobService/CancelJob", context, request, response, state_);
}

grpc::ServerWriteReactor<v1::Job>* JobServiceImpl::WatchJob(grpc::CallbackServerContext* context,
                                                            const v1::WatchJobRequest* request) {
  return StartCall<WatchJobHandler>(environment_, "JobService/WatchJob", context, request, state_);
}

grpc::ServerWriteReactor<v1::JobLogLine>* JobServiceImpl::ReadJobLogs(grpc::CallbackServerContext* context,
                                                                      const v1::ReadJobLogsRequest* request) {
  return StartCall<ReadJobLogsHandler>(environment_, "JobService/ReadJobLogs", context, request, state_);
}

grpc::ServerUnaryReactor* WorkerServiceImpl::Acquire(grpc::CallbackServerContext* context,
                                                     const v1::AcquireRequest* request, v1::AcquireResponse* response) {
  return StartCall<AcquireHandler>(environment_, "WorkerService/Acquire", context, request, response, state_);
}

grpc::ServerUnaryReactor* WorkerServiceImpl::Heartbeat(grpc::CallbackServerContext* context,
                                                       const v1::HeartbeatRequest* request,
                                                       v1::HeartbeatResponse* response) {
  return StartCall<HeartbeatHandler>(environment_, "WorkerService/Heartbeat", context, request, response, state_);
}

grpc::ServerUnaryReactor* WorkerServiceImpl::Commit(grpc::CallbackServerContext* context,
                                                    const v1::CommitRequest* request, v1::CommitResponse* response) {
  return StartCall<CommitHandler>(environment_, "WorkerService/Commit", context, request, response, state_);
}

grpc::ServerUnaryReactor* WorkerServiceImpl::Fail(grpc::CallbackServerContext* context, const v1::FailRequest* request,
                                                  v1::FailResponse* response) {
  return StartCall<FailHandler>(environment_, "WorkerService/Fail", context, request, response, state_);
}

grpc::ServerUnaryReactor* OperationsImpl::GetOperation(grpc::CallbackServerContext* context,
                                                       const longrunning::GetOperationRequest* request,
                                                       longrunning::Operation* response) {
  return StartCall<GetOperationHandler>(environment_, "Operations/GetOperation", context, request, response, state_);
}

grpc::ServerUnaryReactor* OperationsImpl::ListOperations(grpc::CallbackServerContext* context,
                                                         const longrunning::ListOperationsRequest* request,
                                                         longrunning::ListOperationsResponse* response) {
  return StartCall<ListOperationsHandler>(environment_, "Operations/ListOperations", context, request, response,
                                          state_);
}

grpc::ServerUnaryReactor* OperationsImpl::CancelOperation(grpc::CallbackServerContext* context,
                                                          const longrunning::CancelOperationRequest* request,
                                                          google::protobuf::Empty* response) {
  return StartCall<CancelOperationHandler>(environment_, "Operations/CancelOperation", context, request, response,
                                           state_);
}

grpc::ServerUnaryReactor* OperationsImpl::DeleteOperation(grpc::CallbackServerContext* context,
                                                          const longrunning::DeleteOperationRequest* request,
                                                          google::protobuf::Empty* response) {
  return StartCall<DeleteOperationHandler>(environment_, "Operations/DeleteOperation", context, request, response,
                                           state_);
}

grpc::ServerUnaryReactor* OperationsImpl::WaitOperation(grpc::CallbackServerContext* context,
                                                        const longrunning::WaitOperationRequest* request,
                                                        longrunning::Operation* response) {
  return StartCall<WaitOperationHandler>(environment_, "Operations/WaitOperation", context, request, response, state_);
}

}  // namespace gwq
