#include "tests/server/jobs/jobs_fixture.h"

#include <grpcpp/create_channel.h>

#include <chrono>
#include <random>

#include "core/artifact/import.h"
#include "core/artifact/stored_dataset.h"
#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "core/base/status.h"
#include "core/evaluation/evaluation.h"
#include "core/io/safetensors.h"
#include "core/jobs/kinds/specs.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/support/tiny_upload.h"

namespace gwq {
namespace {

constexpr auto kDeadline = std::chrono::seconds(60);

absl::StatusOr<JobOutput> Output(BlobStore& store, const Digest& digest) {
  GWQ_ASSIGN_OR_RETURN(JobOutput out, OutputOf(store, digest));
  out.report_json = "{}";
  out.report_markdown = "# R";
  return out;
}

absl::StatusOr<JobOutput> RunImport(const JobContext& context) {
  context.progress.Log("importing");
  GWQ_ASSIGN_OR_RETURN(const ImportJob job, ImportJob::Parse(context.spec_json));
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(context.store, job.manifest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest upload, ParseManifest(json));
  GWQ_ASSIGN_OR_RETURN(const Digest made, job.dataset ? ImportDataset(context.store, upload, context.progress)
                                                      : ImportModel(context.store, upload, context.progress));
  return Output(context.store, made);
}

absl::StatusOr<JobOutput> RunEvaluate(const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(const EvaluateJob job, EvaluateJob::Parse(context.spec_json));
  GWQ_ASSIGN_OR_RETURN(const EvaluationResult result,
                       RunEvaluation(context.store, job.source, job.reference_source, job.task, context.progress));
  GWQ_ASSIGN_OR_RETURN(const Digest made, StoreEvaluation(context.store, result));
  GWQ_ASSIGN_OR_RETURN(JobOutput out, Output(context.store, made));
  out.report_json = EvaluationJson(result);
  return out;
}

// An artifact that keeps every tensor: what this service does with it does not depend on the method.
absl::StatusOr<JobOutput> KeepEverything(const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(const QuantizeJob job, QuantizeJob::Parse(context.spec_json));
  GWQ_ASSIGN_OR_RETURN(const auto model, StoredModel::Open(context.store, job.source));
  ArtifactWriter writer(context.store, *model);
  for (const ManifestShard& shard : model->manifest().shards) {
    for (const ManifestTensor& tensor : shard.tensors) GWQ_RETURN_IF_ERROR(writer.Keep(tensor.name));
  }
  GWQ_ASSIGN_OR_RETURN(const Digest made, writer.FinishArtifact(BytesRecipeJson(job.recipe), "{}"));
  return Output(context.store, made);
}

}  // namespace

PushedModel TinyModel(const std::string& changed) {
  PushedModel out;
  const auto add = [&](const std::string& path, const std::string& bytes) {
    v1::FileEntry& file = *out.page.add_files();
    file.set_path(path);
    file.set_size(bytes.size());
    file.set_sha256(Sha256Of(bytes).Hex());
    out.blobs[file.sha256()] = bytes;
    out.total_bytes += bytes.size();
  };
  const nlohmann::json config = testing::TinyConfig();
  add("config.json", config.dump());
  add("tokenizer.json", testing::TinyTokenizer());
  testing::TinyTensors tensors = testing::TinyWeights(config);
  if (!changed.empty()) tensors.at(changed).bytes[0] = static_cast<char>(tensors.at(changed).bytes[0] ^ 1);
  const std::string bytes = testing::SafetensorsFile(tensors);
  const auto header_size = SafetensorsHeaderSize(std::as_bytes(std::span(bytes)), bytes.size());
  const auto header = ParseSafetensorsHeader(std::as_bytes(std::span(bytes).first(*header_size)), bytes.size());
  v1::FileEntry& file = *out.page.add_files();
  file.set_path("model.safetensors");
  file.set_size(bytes.size());
  file.set_header_size(*header_size);
  const std::string head = bytes.substr(0, *header_size);
  file.set_sha256(Sha256Of(head).Hex());
  out.blobs[file.sha256()] = head;
  for (const SafetensorsTensor& tensor : header->tensors) {
    v1::TensorCut& cut = *file.add_cuts();
    cut.set_tensor(tensor.name);
    cut.set_offset(*header_size + tensor.offset);
    cut.set_size(tensor.size);
    const std::string data = bytes.substr(cut.offset(), cut.size());
    cut.set_sha256(Sha256Of(data).Hex());
    out.blobs[cut.sha256()] = data;
  }
  out.total_bytes += bytes.size();
  out.page.set_last(true);
  return out;
}

PushedModel Files(const std::map<std::string, std::string>& files) {
  PushedModel out;
  for (const auto& [path, bytes] : files) {
    v1::FileEntry& file = *out.page.add_files();
    file.set_path(path);
    file.set_size(bytes.size());
    file.set_sha256(Sha256Of(bytes).Hex());
    out.blobs[file.sha256()] = bytes;
    out.total_bytes += bytes.size();
  }
  out.page.set_last(true);
  return out;
}

JobsFixture::Caller::Caller(const std::string& token) {
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
}

void JobsFixture::SetUp() {
  settings_.state = folder_.path() + "/state";
  settings_.no_workers = true;
  settings_.service.log_level = "error";
  settings_.service.drain_seconds = 5;
  settings_.service.metrics_listen.clear();  // its server takes two seconds to end
  runners_ = {{ImportJob::kKind, RunImport}, {QuantizeJob::kKind, KeepEverything}, {EvaluateJob::kKind, RunEvaluate}};
  StartServer();
}

void JobsFixture::StartServer() {
  auto server = JobsServer::Start(settings_, clock_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  const auto channel = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  models_ = v1::ModelService::NewStub(channel);
  artifacts_ = v1::ArtifactService::NewStub(channel);
  jobs_ = v1::JobService::NewStub(channel);
  evaluations_ = v1::EvaluationService::NewStub(channel);
  workers_ = v1::WorkerService::NewStub(channel);
  operations_ = google::longrunning::Operations::NewStub(channel);
}

void JobsFixture::StopServer() { server_.reset(); }

v1::Upload JobsFixture::CreateUpload(const std::string& model_id, uint64_t total_bytes, const std::string& token) {
  v1::CreateUploadRequest request;
  request.set_model_id(model_id);
  request.set_total_bytes(total_bytes);
  v1::Upload upload;
  const grpc::Status status = Call(*models_, &v1::ModelService::Stub::CreateUpload, request, &upload, token);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return upload;
}

std::map<std::string, v1::MissingBlob> JobsFixture::Missing(const std::string& upload) {
  std::map<std::string, v1::MissingBlob> missing;
  v1::ListMissingBlobsRequest request;
  request.set_upload(upload);
  request.set_page_size(3);  // several pages
  do {
    v1::ListMissingBlobsResponse response;
    const grpc::Status status = Call(*models_, &v1::ModelService::Stub::ListMissingBlobs, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    for (const v1::MissingBlob& blob : response.blobs()) EXPECT_TRUE(missing.emplace(blob.sha256(), blob).second);
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return missing;
}

grpc::Status JobsFixture::Write(const std::string& upload, const std::string& sha256, const std::string& bytes,
                                uint64_t offset, v1::WriteBlobResponse* response, size_t part) {
  Caller caller;
  auto writer = models_->WriteBlob(&caller.context, response);
  v1::WriteBlobRequest request;
  request.set_upload(upload);
  request.set_sha256(sha256);
  request.set_offset(offset);
  do {
    request.set_data(bytes.substr(offset, part));
    if (!writer->Write(request)) break;
    offset += request.data().size();
    request.Clear();
  } while (offset < bytes.size());
  writer->WritesDone();
  return writer->Finish();
}

grpc::Status JobsFixture::Commit(const std::string& upload, google::longrunning::Operation* operation) {
  v1::CommitUploadRequest request;
  request.set_name(upload);
  return Call(*models_, &v1::ModelService::Stub::CommitUpload, request, operation);
}

uint64_t JobsFixture::Push(const PushedModel& model, const std::string& model_id,
                           google::longrunning::Operation* operation, const std::string& request_id) {
  v1::CreateUploadRequest create;
  create.set_model_id(model_id);
  create.set_request_id(request_id);
  return Push(std::move(create), model, operation);
}

uint64_t JobsFixture::PushDataset(const PushedModel& files, const std::string& dataset_id,
                                  google::longrunning::Operation* operation) {
  v1::CreateUploadRequest create;
  create.set_dataset_id(dataset_id);
  return Push(std::move(create), files, operation);
}

uint64_t JobsFixture::Push(v1::CreateUploadRequest create, const PushedModel& model,
                           google::longrunning::Operation* operation) {
  create.set_total_bytes(model.total_bytes);
  v1::Upload upload;
  EXPECT_TRUE(Call(*models_, &v1::ModelService::Stub::CreateUpload, create, &upload).ok());
  v1::AddUploadFilesRequest page = model.page;
  page.set_upload(upload.name());
  v1::AddUploadFilesResponse added;
  const grpc::Status status = Call(*models_, &v1::ModelService::Stub::AddUploadFiles, page, &added);
  EXPECT_TRUE(status.ok()) << status.error_message();
  uint64_t sent = 0;
  for (const auto& [digest, missing] : Missing(upload.name())) {
    v1::WriteBlobResponse written;
    const grpc::Status write = Write(upload.name(), digest, model.blobs.at(digest), 0, &written);
    EXPECT_TRUE(write.ok() && written.complete()) << write.error_message();
    sent += missing.size();
  }
  const grpc::Status committed = Commit(upload.name(), operation);
  EXPECT_TRUE(committed.ok()) << committed.error_message();
  return sent;
}

void JobsFixture::Import(const PushedModel& model, const std::string& model_id) {
  google::longrunning::Operation operation;
  Push(model, model_id, &operation);
  ASSERT_TRUE(RunOne());
  operation = OperationNow(operation.name());
  ASSERT_TRUE(operation.has_response()) << operation.ShortDebugString();
}

bool JobsFixture::RunOne() {
  JobsClient client(server_->address(), worker_token_);
  const gwq::Log log("worker", LogLevel::kError);
  WorkerLoop loop({"test-worker", "cpu:0", uint64_t{1} << 40}, client, server_->state().blobs, runners_, log,
                  [](const std::string& why) { ADD_FAILURE() << "lease lost: " << why; });
  const auto ran = loop.RunOne();
  EXPECT_TRUE(ran.ok()) << ran.status();
  return ran.value_or(false);
}

google::longrunning::Operation JobsFixture::OperationNow(const std::string& name) {
  google::longrunning::GetOperationRequest request;
  request.set_name(name);
  google::longrunning::Operation operation;
  const grpc::Status status =
      Call(*operations_, &google::longrunning::Operations::Stub::GetOperation, request, &operation);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return operation;
}

v1::CreateJobRequest JobsFixture::Quantize(const std::string& model, const std::string& artifact_id) {
  v1::CreateJobRequest request;
  request.mutable_quantize()->set_model(model);
  request.mutable_quantize()->set_artifact_id(artifact_id);
  request.mutable_quantize()->mutable_recipe()->set_group_size(8);
  return request;
}

std::string FieldOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::BadRequest bad;
  if (!details.ParseFromString(status.error_details())) return "";
  for (const auto& detail : details.details()) {
    if (detail.UnpackTo(&bad) && bad.field_violations_size() > 0) return bad.field_violations(0).field();
  }
  return "";
}

}  // namespace gwq
