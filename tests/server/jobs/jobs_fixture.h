// gwq-jobs in the test's process on a free port, with a tiny model to push and a worker that the test steps.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/jobs/runners/job_runners.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "gwq/v1/artifacts.grpc.pb.h"
#include "gwq/v1/evaluations.grpc.pb.h"
#include "gwq/v1/jobs.grpc.pb.h"
#include "gwq/v1/models.grpc.pb.h"
#include "server/jobs/jobs_server.h"
#include "server/worker/worker_loop.h"
#include "tests/support/temp_folder.h"

namespace gwq {

// A model as a client sees it: the page that declares it and the bytes of its blobs.
struct PushedModel {
  v1::AddUploadFilesRequest page;
  std::map<std::string, std::string> blobs;  // by digest
  uint64_t total_bytes = 0;
};
// A tiny Llama; `seed` changes every tensor, `changed` one of them.
[[nodiscard]] PushedModel TinyModel(const std::string& changed = "");
// A dataset of these files.
[[nodiscard]] PushedModel Files(const std::map<std::string, std::string>& files);

class JobsFixture : public ::testing::Test {
 protected:
  void SetUp() override;
  void StartServer();
  void StopServer();

  // The context of a call, with a deadline, as the principal whose token it is.
  struct Caller {
    grpc::ClientContext context;
    explicit Caller(const std::string& token = "");
  };
  template <class Stub, class Request, class Response>
  grpc::Status Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response, const std::string& token = "") {
    Caller caller(token);
    return (stub.*method)(&caller.context, request, response);
  }

  // Steps of a push.
  v1::Upload CreateUpload(const std::string& model_id, uint64_t total_bytes, const std::string& token = "");
  std::map<std::string, v1::MissingBlob> Missing(const std::string& upload);
  // Sends [offset, end) of a blob in parts of `part` bytes.
  grpc::Status Write(const std::string& upload, const std::string& sha256, const std::string& bytes, uint64_t offset,
                     v1::WriteBlobResponse* response, size_t part = 1000);
  grpc::Status Commit(const std::string& upload, google::longrunning::Operation* operation);
  // All of it; bytes sent.
  uint64_t Push(const PushedModel& model, const std::string& model_id, google::longrunning::Operation* operation,
                const std::string& request_id = "");
  // The same as a dataset.
  uint64_t PushDataset(const PushedModel& files, const std::string& dataset_id,
                       google::longrunning::Operation* operation);
  uint64_t Push(v1::CreateUploadRequest create, const PushedModel& model, google::longrunning::Operation* operation);
  // Pushed and imported.
  void Import(const PushedModel& model, const std::string& model_id);

  // Runs one job with `runner` for every kind, an import really; false if none waited.
  bool RunOne();
  google::longrunning::Operation OperationNow(const std::string& name);
  static v1::CreateJobRequest Quantize(const std::string& model, const std::string& artifact_id);

  testing::TempFolder folder_;
  FakeClock clock_;
  JobsSettings settings_;
  std::unique_ptr<JobsServer> server_;
  std::unique_ptr<v1::ModelService::Stub> models_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::EvaluationService::Stub> evaluations_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<google::longrunning::Operations::Stub> operations_;
  // What the worker does; import and evaluate by default, and for "quantize" an artifact of the model's own tensors.
  std::vector<JobRunner> runners_;
  std::string worker_token_;
};

// The field named by the status's BadRequest, or "".
[[nodiscard]] std::string FieldOf(const grpc::Status& status);

}  // namespace gwq
