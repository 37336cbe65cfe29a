#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "core/base/status.h"
#include "google/longrunning/operations.pb.h"
#include "server/jobs/lease_table.h"
#include "server/jobs/waiting_offers.h"
#include "server/jobs/worker_contacts.h"
#include "tests/server/jobs/jobs_fixture.h"

namespace gwq {
namespace {

using google::longrunning::Operations;
using Stub = v1::JobService::Stub;

class JobsTest : public JobsFixture {
 protected:
  v1::Job Create(const v1::CreateJobRequest& request, const std::string& token = "") {
    v1::CreateJobResponse response;
    const grpc::Status status = Call(*jobs_, &Stub::CreateJob, request, &response, token);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job();
  }
  grpc::Status TryCreate(const v1::CreateJobRequest& request) {
    v1::CreateJobResponse response;
    return Call(*jobs_, &Stub::CreateJob, request, &response);
  }
  v1::Job Get(const std::string& name) {
    v1::GetJobRequest request;
    request.set_name(name);
    v1::Job job;
    EXPECT_TRUE(Call(*jobs_, &Stub::GetJob, request, &job).ok());
    return job;
  }
};

TEST_F(JobsTest, AQuantizeJobMakesAnArtifactThatCanBeRead) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job.quantize().recipe().group_size(), 8);
  EXPECT_EQ(job.quantize().recipe().bits(), 4) << "defaults are told";
  ASSERT_TRUE(RunOne());
  EXPECT_EQ(Get(job.name()).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Get(job.name()).result(), "artifacts/small");
  v1::GetArtifactRequest get;
  get.set_name("artifacts/small");
  v1::Artifact artifact;
  ASSERT_TRUE(Call(*artifacts_, &v1::ArtifactService::Stub::GetArtifact, get, &artifact).ok());
  EXPECT_EQ(artifact.report_markdown(), "# R");

  Caller caller;
  v1::ReadManifestRequest read;
  read.set_name("artifacts/small");
  auto stream = artifacts_->ReadManifest(&caller.context, read);
  std::string manifest;
  for (v1::ReadBlobResponse part; stream->Read(&part);) manifest += part.data();
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(Sha256Of(manifest).Hex(), artifact.digest());

  // A range of a blob that the manifest names, and nothing else.
  const PushedModel model = TinyModel();
  const auto& [digest, bytes] =
      *std::ranges::find_if(model.blobs, [](const auto& blob) { return blob.second.size() > 4000; });
  const auto range = [&](const std::string& sha256, std::string& out) {
    Caller ranged;
    v1::ReadBlobRequest request;
    request.set_name("artifacts/small");
    request.set_sha256(sha256);
    request.set_offset(100);
    request.set_limit(1000);
    auto reader = artifacts_->ReadBlob(&ranged.context, request);
    for (v1::ReadBlobResponse part; reader->Read(&part);) out += part.data();
    return reader->Finish();
  };
  std::string got;
  ASSERT_TRUE(range(digest, got).ok());
  EXPECT_EQ(got, bytes.substr(100, 1000));
  const Digest other = *PutBlob(server_->state().blobs, std::as_bytes(std::span("of somebody else")));
  EXPECT_EQ(range(other.Hex(), got).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(JobsTest, ValidateOnlyAnswersThePlanAndCreatesNothing) {
  Import(TinyModel(), "tiny");
  v1::CreateJobRequest request = Quantize("models/tiny", "small");
  request.set_validate_only(true);
  v1::CreateJobResponse response;
  ASSERT_TRUE(Call(*jobs_, &Stub::CreateJob, request, &response).ok());
  EXPECT_FALSE(response.has_job());
  uint64_t bytes = 0, weights = 0;
  for (const v1::PlannedModule& module : response.plan().modules()) {
    bytes += module.stored_bytes();
    weights += module.weights();
  }
  EXPECT_EQ(bytes, response.plan().total_bytes());
  EXPECT_EQ(weights, response.plan().total_weights());
  EXPECT_DOUBLE_EQ(response.plan().model_bits_per_weight(),
                   static_cast<double>(bytes) * 8 / static_cast<double>(weights));
  EXPECT_GT(response.plan().peak_memory_bytes(), 0u);
  v1::ListJobsResponse list;
  ASSERT_TRUE(Call(*jobs_, &Stub::ListJobs, {}, &list).ok());
  EXPECT_EQ(list.jobs_size(), 1) << "the import alone";
}

TEST_F(JobsTest, ThePlanOfEveryKindIsWhatItsCreationPlansAndRefuses) {
  Import(TinyModel(), "tiny");
  Create(Quantize("models/tiny", "small"));
  ASSERT_TRUE(RunOne());
  v1::EvaluationTask task;
  task.set_kind(v1::EvaluationTask::TEXT);
  task.set_tokens(1'000'000);
  task.set_window(8192);
  v1::CreateJobRequest quantize = Quantize("models/tiny", "measured");
  *quantize.mutable_quantize()->add_evaluations() = task;
  v1::CreateJobRequest exporting;
  exporting.mutable_export_artifact()->set_artifact("artifacts/small");
  exporting.mutable_export_artifact()->set_model_id("dense");
  exporting.mutable_export_artifact()->set_format("hf-fp16");
  v1::CreateJobRequest evaluate;
  evaluate.mutable_evaluate()->set_target("models/tiny");
  evaluate.mutable_evaluate()->set_evaluation_id("found");
  *evaluate.mutable_evaluate()->mutable_task() = task;
  const auto planned = [&](v1::CreateJobRequest request) {
    request.set_validate_only(true);
    v1::CreateJobResponse response;
    const grpc::Status status = Call(*jobs_, &Stub::CreateJob, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.plan().peak_memory_bytes();
  };
  EXPECT_GT(planned(quantize), planned(Quantize("models/tiny", "measured"))) << "an evaluation needs more here";
  for (const v1::CreateJobRequest& request : {quantize, exporting, evaluate}) {
    SCOPED_TRACE(request.ShortDebugString());
    const uint64_t bytes = planned(request);
    const v1::Job job = Create(request);
    EXPECT_EQ(bytes, server_->state().jobs.Get("local", job.name().substr(5))->memory_bytes);
  }
  server_->state().largest_device_bytes = uint64_t{1} << 20;
  for (v1::CreateJobRequest request : {quantize, exporting, evaluate}) {
    SCOPED_TRACE(request.ShortDebugString());
    const std::string refused = TryCreate(request).error_message();
    request.set_validate_only(true);
    EXPECT_EQ(TryCreate(request).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(TryCreate(request).error_message(), refused);
  }
}

TEST_F(JobsTest, AQuantizationTellsWhatItMeasures) {
  Import(TinyModel(), "tiny");
  const auto measured = [&](const std::string& id, const std::function<void(v1::QuantizeSpec&)>& bend) {
    v1::CreateJobRequest request = Quantize("models/tiny", id);
    bend(*request.mutable_quantize());
    return Create(request).quantize();
  };
  const v1::QuantizeSpec plain = measured("plain", [](auto&) {});
  ASSERT_EQ(plain.evaluations_size(), 1) << "a text, if nothing is asked for";
  EXPECT_EQ(plain.evaluations(0).tokens(), 2048);
  EXPECT_FALSE(plain.no_evaluation());
  const v1::QuantizeSpec none = measured("none", [](auto& spec) { spec.set_no_evaluation(true); });
  EXPECT_EQ(none.evaluations_size(), 0);
  EXPECT_TRUE(none.no_evaluation());
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST_F(JobsTest, AQuantizationReadsTheTextOfOneVersionAgo) {
  Import(TinyModel(), "tiny");
  v1::CreateJobRequest request = Quantize("models/tiny", "old");
  v1::Recipe& recipe = *request.mutable_quantize()->mutable_recipe();
  recipe.set_evaluation_text("some words");
  recipe.set_evaluation_tokens(64);
  const v1::QuantizeSpec spec = Create(request).quantize();
  ASSERT_EQ(spec.evaluations_size(), 1);
  EXPECT_EQ(spec.evaluations(0).text(), "some words");
  EXPECT_EQ(spec.evaluations(0).tokens(), 64);
  EXPECT_FALSE(spec.recipe().has_evaluation_tokens());

  request.mutable_quantize()->set_no_evaluation(true);
  EXPECT_EQ(FieldOf(TryCreate(request)), "quantize.no_evaluation");
  request.mutable_quantize()->set_no_evaluation(false);
  recipe.set_evaluation_window(1);
  EXPECT_EQ(FieldOf(TryCreate(request)), "quantize.recipe.evaluation_window");
  recipe.set_evaluation_tokens(0);
  request.mutable_quantize()->set_artifact_id("old-none");
  EXPECT_TRUE(Create(request).quantize().no_evaluation());
}
#pragma GCC diagnostic pop

TEST_F(JobsTest, MalformedJobsAreRefusedAtTheirField) {
  Import(TinyModel(), "tiny");
  const auto refused = [&](const std::function<void(v1::QuantizeSpec&)>& bend) {
    v1::CreateJobRequest request = Quantize("models/tiny", "small");
    bend(*request.mutable_quantize());
    const grpc::Status status = TryCreate(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    return FieldOf(status);
  };
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_recipe()->set_bits(9); }), "quantize.recipe.bits");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_recipe()->set_group_size(7); }), "quantize.recipe.group_size");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_recipe()->mutable_gwq()->set_outlier_ratio(2); }),
            "quantize.recipe.gwq.outlier_ratio");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_recipe()->mutable_gwq()->set_outlier_ratio(NAN); }),
            "quantize.recipe.gwq.outlier_ratio");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_recipe()->set_threads(0); }), "quantize.recipe.threads");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_recipe()->set_method(static_cast<v1::Method>(77)); }),
            "quantize.recipe.method");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_recipe()->add_rules()->set_pattern("no.such.module"); }),
            "quantize.recipe.rules[0]");
  EXPECT_EQ(refused([](auto& spec) {
              spec.mutable_recipe()->mutable_calibration()->set_source(v1::Calibration::FILE);
              spec.mutable_recipe()->mutable_calibration()->set_blob(Sha256Of("none").Hex());
            }),
            "quantize.recipe.calibration.blob");
  const std::string other = Sha256Of("a text that somebody else has stored").Hex();
  ASSERT_TRUE(
      PutBlob(server_->state().blobs, std::as_bytes(std::span("a text that somebody else has stored", 36))).ok());
  EXPECT_EQ(refused([&](auto& spec) {
              spec.mutable_recipe()->mutable_calibration()->set_source(v1::Calibration::FILE);
              spec.mutable_recipe()->mutable_calibration()->set_blob(other);
            }),
            "quantize.recipe.calibration.blob");
  EXPECT_EQ(refused([](auto& spec) { spec.set_artifact_id("No Name"); }), "quantize.artifact_id");
  EXPECT_EQ(refused([](auto& spec) {
              for (int i = 0; i < 33; ++i) spec.add_evaluations()->set_kind(v1::EvaluationTask::TEXT);
            }),
            "quantize.evaluations");
  EXPECT_EQ(refused([](auto& spec) {
              spec.add_evaluations()->set_kind(v1::EvaluationTask::TEXT);
              spec.set_no_evaluation(true);
            }),
            "quantize.no_evaluation");
  EXPECT_EQ(refused([](auto& spec) { spec.set_model("tiny"); }), "quantize.model");
  EXPECT_EQ(FieldOf(TryCreate({})), "spec");
  EXPECT_EQ(TryCreate(Quantize("models/none", "small")).error_code(), grpc::StatusCode::NOT_FOUND);
  v1::CreateJobRequest exporting;
  exporting.mutable_export_artifact()->set_artifact("artifacts/small");
  exporting.mutable_export_artifact()->set_model_id("m");
  exporting.mutable_export_artifact()->set_format("zip");
  EXPECT_EQ(FieldOf(TryCreate(exporting)), "export_artifact.format");
}

TEST_F(JobsTest, ARequestIdMakesOneJob) {
  Import(TinyModel(), "tiny");
  v1::CreateJobRequest request = Quantize("models/tiny", "small");
  request.set_request_id("key");
  EXPECT_EQ(Create(request).name(), Create(request).name());
  request.mutable_quantize()->set_artifact_id("another");
  EXPECT_EQ(TryCreate(request).error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(JobsTest, ARetryIsAnsweredWithItsJobWhateverHappenedSince) {
  Import(TinyModel(), "tiny");
  v1::CreateJobRequest request = Quantize("models/tiny", "small");
  request.set_request_id("key");
  const std::string first = Create(request).name();
  ASSERT_TRUE(RunOne());
  Import(TinyModel("model.norm.weight"), "tiny");
  EXPECT_EQ(Create(request).name(), first) << "the name stands for another model now";
  StopServer();
  settings_.max_queued_jobs = 1;
  StartServer();
  Create(Quantize("models/tiny", "waiting"));
  EXPECT_EQ(TryCreate(Quantize("models/tiny", "other")).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Create(request).name(), first) << "the queue is full";
  ASSERT_TRUE(RunOne());
  v1::DeleteModelRequest remove;
  remove.set_name("models/tiny");
  google::protobuf::Empty nothing;
  ASSERT_TRUE(Call(*models_, &v1::ModelService::Stub::DeleteModel, remove, &nothing).ok());
  EXPECT_EQ(Create(request).name(), first) << "the model is gone";
  server_->state().free_bytes = [] { return uint64_t{0}; };
  EXPECT_EQ(Create(request).name(), first) << "the disk is full";
  EXPECT_EQ(Get(first).state(), v1::JOB_STATE_SUCCEEDED);
  request.mutable_quantize()->set_artifact_id("another");
  EXPECT_EQ(TryCreate(request).error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(JobsTest, AWatcherSeesTheStateNowAndEveryChangeToTheEnd) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  Caller caller;
  v1::WatchJobRequest request;
  request.set_name(job.name());
  auto watch = jobs_->WatchJob(&caller.context, request);
  v1::Job seen;
  ASSERT_TRUE(watch->Read(&seen));
  EXPECT_EQ(seen.state(), v1::JOB_STATE_QUEUED);
  ASSERT_TRUE(RunOne());
  v1::JobState last = seen.state();
  while (watch->Read(&seen)) {
    EXPECT_GE(seen.state(), last);
    last = seen.state();
  }
  ASSERT_TRUE(watch->Finish().ok());
  EXPECT_EQ(last, v1::JOB_STATE_SUCCEEDED);
  // Who comes late gets the end.
  Caller late;
  watch = jobs_->WatchJob(&late.context, request);
  ASSERT_TRUE(watch->Read(&seen));
  EXPECT_EQ(seen.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_FALSE(watch->Read(&seen));
  EXPECT_TRUE(watch->Finish().ok());
}

TEST_F(JobsTest, LogsAreFollowedToTheEnd) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  runners_[1].run = [](const JobContext& context) -> absl::StatusOr<JobOutput> {
    for (int i = 0; i < 500; ++i) context.progress.Log("line " + std::to_string(i));
    return absl::DataLossError("bad disk");
  };
  Caller caller;
  v1::ReadJobLogsRequest request;
  request.set_name(job.name());
  request.set_first_index(10);
  request.set_follow(true);
  auto stream = jobs_->ReadJobLogs(&caller.context, request);
  ASSERT_TRUE(RunOne());
  v1::JobLogLine line;
  for (int i = 10; i < 500; ++i) {
    ASSERT_TRUE(stream->Read(&line));
    EXPECT_EQ(line.index(), static_cast<uint64_t>(i));
    EXPECT_EQ(line.text(), "line " + std::to_string(i));
  }
  EXPECT_FALSE(stream->Read(&line));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(Get(job.name()).error().code(), 15);
}

TEST_F(JobsTest, WhatAWorkerQuotesArrivesAlsoWhereItIsNoUtf8) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  std::string longest = "x";
  for (int i = 0; i < 4096; ++i) longest += "é";  // the store keeps 4096 bytes of a line, which end inside a character
  runners_[1].run = [&](const JobContext& context) -> absl::StatusOr<JobOutput> {
    context.progress.Step("phase \xFF", 1, 2);
    context.progress.Log("read \xFF");
    context.progress.Log(longest);
    return InvalidField("config.\xC3", "'\xFF' is not known");
  };
  ASSERT_TRUE(RunOne());
  const v1::Job ended = Get(job.name());
  EXPECT_EQ(ended.state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(ended.error().message(), "config.\xEF\xBF\xBD: '\xEF\xBF\xBD' is not known");
  EXPECT_EQ(ended.progress().phase(), "phase \xEF\xBF\xBD");
  Caller caller;
  v1::ReadJobLogsRequest request;
  request.set_name(job.name());
  auto stream = jobs_->ReadJobLogs(&caller.context, request);
  v1::JobLogLine line;
  ASSERT_TRUE(stream->Read(&line));
  EXPECT_EQ(line.text(), "read \xEF\xBF\xBD");
  ASSERT_TRUE(stream->Read(&line));
  EXPECT_TRUE(line.text().ends_with("é\xEF\xBF\xBD")) << line.text().size();
  EXPECT_FALSE(stream->Read(&line));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(JobsTest, ACancelReachesTheRunningWorker) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  std::promise<void> started;
  runners_[1].run = [&](const JobContext& context) -> absl::StatusOr<JobOutput> {
    started.set_value();
    absl::Status check = context.progress.Check();
    while (check.ok()) {
      std::this_thread::yield();
      check = context.progress.Check();
    }
    return check;
  };
  std::thread worker([&] { EXPECT_TRUE(RunOne()); });
  started.get_future().wait();
  google::longrunning::CancelOperationRequest cancel;
  cancel.set_name(job.operation());
  google::protobuf::Empty nothing;
  EXPECT_TRUE(Call(*operations_, &Operations::Stub::CancelOperation, cancel, &nothing).ok());
  google::longrunning::WaitOperationRequest wait;
  wait.set_name(job.operation());
  google::longrunning::Operation operation;
  EXPECT_TRUE(Call(*operations_, &Operations::Stub::WaitOperation, wait, &operation).ok());
  worker.join();
  EXPECT_TRUE(operation.done());
  EXPECT_EQ(operation.error().code(), 1);
  EXPECT_EQ(Get(job.name()).state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(JobsTest, AWaitOfAnyLengthWaits) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  google::longrunning::WaitOperationRequest request;
  request.set_name(job.operation());
  request.mutable_timeout()->set_seconds(INT64_MAX);
  Caller caller;
  caller.context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  google::longrunning::Operation operation;
  EXPECT_EQ(operations_->WaitOperation(&caller.context, request, &operation).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(JobsTest, OperationsAreAViewOfJobs) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  google::longrunning::WaitOperationRequest wait;
  wait.set_name(job.operation());
  wait.mutable_timeout()->set_nanos(20'000'000);
  google::longrunning::Operation operation;
  ASSERT_TRUE(Call(*operations_, &Operations::Stub::WaitOperation, wait, &operation).ok());
  EXPECT_FALSE(operation.done()) << "the time ran out";
  google::longrunning::ListOperationsRequest list;
  list.set_page_size(1);
  google::longrunning::ListOperationsResponse page;
  ASSERT_TRUE(Call(*operations_, &Operations::Stub::ListOperations, list, &page).ok());
  ASSERT_EQ(page.operations_size(), 1);
  EXPECT_EQ(page.operations(0).name(), job.operation());
  list.set_page_token(page.next_page_token());
  ASSERT_TRUE(Call(*operations_, &Operations::Stub::ListOperations, list, &page).ok());
  EXPECT_TRUE(page.operations(0).done());
  list.set_page_token("!");
  EXPECT_EQ(FieldOf(Call(*operations_, &Operations::Stub::ListOperations, list, &page)), "page_token");
  list.set_page_token("");
  list.set_filter("done");
  EXPECT_EQ(FieldOf(Call(*operations_, &Operations::Stub::ListOperations, list, &page)), "filter");
  google::protobuf::Empty nothing;
  google::longrunning::DeleteOperationRequest remove;
  remove.set_name(job.operation());
  EXPECT_EQ(Call(*operations_, &Operations::Stub::DeleteOperation, remove, &nothing).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  remove.set_name("jobs/x");
  EXPECT_EQ(FieldOf(Call(*operations_, &Operations::Stub::DeleteOperation, remove, &nothing)), "name");
}

TEST_F(JobsTest, ResolveHoldsWhatAServerHasLoaded) {
  Import(TinyModel(), "tiny");
  v1::ResolveRequest request;
  request.set_name("tiny");
  request.set_holder("server");
  request.set_hold_millis(60'000);
  v1::ResolveResponse response;
  ASSERT_TRUE(Call(*artifacts_, &v1::ArtifactService::Stub::Resolve, request, &response).ok());
  EXPECT_EQ(response.name(), "models/tiny");
  EXPECT_EQ(response.kind(), "model");
  EXPECT_EQ(response.blob_root(), server_->state().blob_root);
  v1::DeleteModelRequest remove;
  remove.set_name("models/tiny");
  google::protobuf::Empty nothing;
  EXPECT_EQ(Call(*models_, &v1::ModelService::Stub::DeleteModel, remove, &nothing).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  v1::ReleaseHoldRequest release;
  release.set_digest(response.digest());
  release.set_holder("server");
  ASSERT_TRUE(Call(*artifacts_, &v1::ArtifactService::Stub::ReleaseHold, release, &nothing).ok());
  EXPECT_TRUE(Call(*models_, &v1::ModelService::Stub::DeleteModel, remove, &nothing).ok());
  EXPECT_EQ(Call(*artifacts_, &v1::ArtifactService::Stub::Resolve, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.clear_holder();
  EXPECT_EQ(FieldOf(Call(*artifacts_, &v1::ArtifactService::Stub::Resolve, request, &response)), "holder");
  request.set_holder("server");
  request.set_hold_millis(1);
  EXPECT_EQ(FieldOf(Call(*artifacts_, &v1::ArtifactService::Stub::Resolve, request, &response)), "hold_millis");
}

TEST_F(JobsTest, AJobLargerThanEveryDeviceIsRefusedAtOnce) {
  Import(TinyModel(), "tiny");
  StopServer();
  settings_.fake_devices = "2x1MiB";
  StartServer();
  const grpc::Status status = TryCreate(Quantize("models/tiny", "small"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(status.error_message().find("the largest device has 1 MiB"), std::string::npos) << status.error_message();
}

class PlacementTest : public JobsTest {
 protected:
  static v1::CreateJobRequest Light(const std::string& id) { return Quantize("models/tiny", id); }
  static v1::CreateJobRequest Heavy(const std::string& id) {
    v1::CreateJobRequest request = Quantize("models/tiny", id);
    v1::EvaluationTask& task = *request.mutable_quantize()->add_evaluations();
    task.set_kind(v1::EvaluationTask::TEXT);
    task.set_tokens(1'000'000);
    task.set_window(8192);
    return request;
  }
  uint64_t BytesOf(v1::CreateJobRequest request) {
    request.set_validate_only(true);
    v1::CreateJobResponse response;
    EXPECT_TRUE(Call(*jobs_, &Stub::CreateJob, request, &response).ok());
    return response.plan().peak_memory_bytes();
  }
  // The name of the job that a device of this memory gets; empty if none comes in `millis`.
  std::string Acquire(uint64_t memory, int64_t millis) {
    v1::AcquireRequest request;
    request.set_worker("worker with " + std::to_string(memory));
    request.set_memory_bytes(memory);
    request.set_wait_millis(millis);
    v1::AcquireResponse response;
    EXPECT_TRUE(Call(*workers_, &v1::WorkerService::Stub::Acquire, request, &response).ok());
    return response.job();
  }
  // The same, once the service knows that it waits.
  std::future<std::string> Waiting(uint64_t memory) {
    const size_t before = server_->state().offers.size();
    auto job = std::async(std::launch::async, [this, memory] { return Acquire(memory, 30'000); });
    while (server_->state().offers.size() == before) std::this_thread::yield();
    return job;
  }
};

TEST_F(PlacementTest, AJobGoesToTheSmallestWaitingDeviceThatHoldsIt) {
  Import(TinyModel(), "tiny");
  const uint64_t small = BytesOf(Light("l")), large = BytesOf(Heavy("h"));
  ASSERT_LT(small, large);
  auto on_large = Waiting(large);
  auto on_small = Waiting(small);
  const std::string first = Create(Light("first")).name();
  EXPECT_EQ(on_small.get(), first);
  const std::string second = Create(Heavy("second")).name();
  EXPECT_EQ(on_large.get(), second);
  on_small = Waiting(small);
  const std::string too_large = Create(Heavy("third")).name();
  const std::string fourth = Create(Light("fourth")).name();
  EXPECT_EQ(on_small.get(), fourth) << "the one before it fits no waiting device";
  EXPECT_EQ(Get(too_large).state(), v1::JOB_STATE_QUEUED);
}

TEST_F(PlacementTest, NothingIsKeptForADeviceThatNoLongerWaits) {
  Import(TinyModel(), "tiny");
  const uint64_t small = BytesOf(Light("l"));
  EXPECT_EQ(Acquire(small, 0), "");
  const std::string job = Create(Light("first")).name();
  EXPECT_EQ(Acquire(2 * small, 30'000), job);
}

TEST_F(JobsTest, ALostLeaseRunsOutAndItsWorkersCommitIsRefused) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  v1::AcquireRequest acquire;
  acquire.set_worker("dead");
  acquire.set_memory_bytes(uint64_t{1} << 40);
  v1::AcquireResponse lease;
  ASSERT_TRUE(Call(*workers_, &v1::WorkerService::Stub::Acquire, acquire, &lease).ok());
  EXPECT_EQ(lease.job(), job.name());
  clock_.Advance(settings_.lease_seconds * 1000);
  server_->maintenance().ExpireLeasesAndUploads();
  EXPECT_EQ(Get(job.name()).state(), v1::JOB_STATE_QUEUED);
  ASSERT_TRUE(RunOne());
  EXPECT_EQ(Get(job.name()).attempt(), 2);
  v1::CommitRequest commit;
  commit.set_job(lease.job());
  commit.set_fencing_token(lease.fencing_token());
  commit.set_kind("artifact");
  v1::CommitResponse committed;
  EXPECT_EQ(Call(*workers_, &v1::WorkerService::Stub::Commit, commit, &committed).error_code(),
            grpc::StatusCode::ABORTED);
}

TEST_F(JobsTest, AWorkerThatNeverAsksForAJobIsKilledAndReplaced) {
  StopServer();
  const std::string program = folder_.path() + "/hanging-worker";
  std::ofstream(program) << "#!/bin/sh\nexec sleep 600\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  settings_.no_workers = false;
  settings_.worker_program = program;
  StartServer();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  // A counter is shown from its first increment on.
  const auto counted = [&](const std::string& name) {
    return server_->metrics().Text().find("\n" + name + " ") != std::string::npos;
  };
  // The maintenance thread starts, looks and counts; it looks once a second of this clock.
  while (!counted("gwq_workers_silent_total") && std::chrono::steady_clock::now() < until) clock_.Advance(10'000);
  EXPECT_TRUE(counted("gwq_workers_silent_total")) << server_->metrics().Text();
  while (!counted("gwq_workers_ended_total") && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(counted("gwq_workers_ended_total"));
  // The table forgets it; the next one starts after a time of this clock, which stands.
  const auto known = [&] { return server_->state().contacts.SilentFor(0, server_->state().leases); };
  while (!known().empty() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(known().empty());
}

TEST_F(JobsTest, AnEndedJobIsRemovedAfterItsTimeAndWhatMadeAModelStays) {
  StopServer();
  settings_.keep_jobs_days = 2;
  settings_.collect_minutes = 1;
  StartServer();
  Import(TinyModel(), "tiny");
  const v1::Job cancelled = Create(Quantize("models/tiny", "small"));
  v1::CancelJobRequest cancel;
  cancel.set_name(cancelled.name());
  v1::Job answer;
  ASSERT_TRUE(Call(*jobs_, &v1::JobService::Stub::CancelJob, cancel, &answer).ok());
  const auto names = [&] {
    v1::ListJobsResponse listed;
    EXPECT_TRUE(Call(*jobs_, &v1::JobService::Stub::ListJobs, v1::ListJobsRequest(), &listed).ok());
    std::vector<std::string> out;
    for (const v1::Job& job : listed.jobs()) out.push_back(job.name());
    return out;
  };
  const auto removed = [&](int count) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    const std::string line = fmt::format("\ngwq_jobs_removed_total {}\n", count);
    while (server_->metrics().Text().find(line) == std::string::npos) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  };
  ASSERT_EQ(names().size(), 2u);
  clock_.Advance(int64_t{2} * 86'400'000);
  EXPECT_TRUE(removed(0)) << "a collection at the very end of the time removes nothing";
  EXPECT_EQ(names().size(), 2u);
  clock_.Advance(60'000);
  EXPECT_TRUE(removed(1));
  EXPECT_EQ(names().size(), 1u);
  EXPECT_NE(names().front(), cancelled.name());
}

TEST_F(JobsTest, AResultWhoseBlobsAreNotThereIsNotPublished) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  runners_[1].run = [](const JobContext&) -> absl::StatusOr<JobOutput> {
    JobOutput out;
    out.kind = "artifact";
    out.manifest = Sha256Of("nothing stored");
    return out;
  };
  ASSERT_TRUE(RunOne());
  EXPECT_EQ(Get(job.name()).state(), v1::JOB_STATE_FAILED);
  v1::ListArtifactsResponse list;
  ASSERT_TRUE(Call(*artifacts_, &v1::ArtifactService::Stub::ListArtifacts, {}, &list).ok());
  EXPECT_EQ(list.artifacts_size(), 0);
}

TEST_F(JobsTest, AFullDiskRefusesJobsAndBlobsAndTheRestGoesOn) {
  Import(TinyModel(), "tiny");
  StopServer();
  settings_.keep_free_mib = int64_t{1} << 40;
  StartServer();
  const grpc::Status refused = TryCreate(Quantize("models/tiny", "small"));
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(refused.error_message().find("MiB free"), std::string::npos) << refused.error_message();
  const PushedModel other = TinyModel("model.norm.weight");
  const std::string upload = CreateUpload("other", other.total_bytes).name();
  v1::AddUploadFilesRequest page = other.page;
  page.set_upload(upload);
  v1::AddUploadFilesResponse pages;
  ASSERT_TRUE(Call(*models_, &v1::ModelService::Stub::AddUploadFiles, page, &pages).ok());
  v1::WriteBlobResponse response;
  const std::string sha256 = Missing(upload).begin()->first;
  EXPECT_EQ(Write(upload, sha256, other.blobs.at(sha256), 0, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  v1::DeleteModelRequest remove;
  remove.set_name("models/tiny");
  google::protobuf::Empty empty;
  EXPECT_TRUE(Call(*models_, &v1::ModelService::Stub::DeleteModel, remove, &empty).ok()) << "which makes room";
}

TEST_F(JobsTest, ARestartCostsARunningJobNoAttempt) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  StopServer();
  // Tells its name, which stands behind --worker, and lives as long as its lifeline.
  settings_.worker_program = folder_ / "worker";
  std::ofstream(settings_.worker_program)
      << "#!/bin/sh\necho \"$@\" > " << (folder_ / "partial") << "\nmv " << (folder_ / "partial") << " "
      << (folder_ / "arguments") << "\nread line <&3\n";
  std::filesystem::permissions(settings_.worker_program, std::filesystem::perms::owner_all);
  settings_.no_workers = false;
  StartServer();
  while (!std::filesystem::exists(folder_ / "arguments")) std::this_thread::yield();
  std::ifstream arguments(folder_ / "arguments");
  std::string worker;
  while (arguments >> worker && worker != "--worker") {
  }
  arguments >> worker;
  v1::AcquireRequest acquire;
  acquire.set_worker(worker);
  acquire.set_memory_bytes(UINT64_MAX >> 1);
  v1::AcquireResponse lease;
  ASSERT_TRUE(Call(*workers_, &v1::WorkerService::Stub::Acquire, acquire, &lease).ok());
  ASSERT_EQ(lease.job(), job.name());
  EXPECT_EQ(Get(job.name()).attempt(), 1);
  server_->Drain();
  StopServer();
  settings_.no_workers = true;
  StartServer();
  EXPECT_EQ(Get(job.name()).state(), v1::JOB_STATE_QUEUED) << "without a wait for the lease's end";
  EXPECT_EQ(Get(job.name()).attempt(), 0);
}

TEST_F(JobsTest, ADrainEndsWatchersWithUnavailable) {
  Import(TinyModel(), "tiny");
  const v1::Job job = Create(Quantize("models/tiny", "small"));
  Caller caller;
  v1::WatchJobRequest request;
  request.set_name(job.name());
  auto watch = jobs_->WatchJob(&caller.context, request);
  v1::Job seen;
  ASSERT_TRUE(watch->Read(&seen));
  server_->Drain();
  EXPECT_FALSE(watch->Read(&seen));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  StopServer();
  StartServer();
  EXPECT_EQ(Get(job.name()).state(), v1::JOB_STATE_QUEUED) << "the job is there after the restart";
}

constexpr char kAlice[] = "alice-alice-alice", kBob[] = "bob-bob-bob-bob-bob", kWorker[] = "worker-worker-worker";

class PrincipalsTest : public JobsTest {
 protected:
  void SetUp() override {
    settings_.service.tokens = folder_.path() + "/tokens";
    std::ofstream(settings_.service.tokens) << kAlice << " alice\n" << kBob << " bob\n" << kWorker << " worker\n";
    JobsTest::SetUp();
    worker_token_ = kWorker;
  }
};

TEST_F(PrincipalsTest, WhatOneHasAnotherCanNeitherSeeNorTouch) {
  const v1::Upload upload = CreateUpload("tiny", 10, kAlice);
  v1::GetUploadRequest get;
  get.set_name(upload.name());
  v1::Upload found;
  EXPECT_TRUE(Call(*models_, &v1::ModelService::Stub::GetUpload, get, &found, kAlice).ok());
  EXPECT_EQ(Call(*models_, &v1::ModelService::Stub::GetUpload, get, &found, kBob).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Call(*models_, &v1::ModelService::Stub::GetUpload, get, &found).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  v1::AcquireRequest acquire;
  acquire.set_worker("spy");
  v1::AcquireResponse lease;
  EXPECT_EQ(Call(*workers_, &v1::WorkerService::Stub::Acquire, acquire, &lease, kBob).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(Call(*workers_, &v1::WorkerService::Stub::Acquire, acquire, &lease, kWorker).ok());

  Job job;
  job.principal = "alice";
  job.kind = "import";
  job.spec_json = "{}";
  const std::string id = server_->state().jobs.Enqueue(job)->id;
  v1::GetJobRequest get_job;
  get_job.set_name("jobs/" + id);
  v1::Job seen;
  EXPECT_TRUE(Call(*jobs_, &Stub::GetJob, get_job, &seen, kAlice).ok());
  EXPECT_EQ(Call(*jobs_, &Stub::GetJob, get_job, &seen, kBob).error_code(), grpc::StatusCode::NOT_FOUND);
  google::longrunning::GetOperationRequest get_operation;
  get_operation.set_name("operations/" + id);
  google::longrunning::Operation operation;
  EXPECT_EQ(Call(*operations_, &Operations::Stub::GetOperation, get_operation, &operation, kBob).error_code(),
            grpc::StatusCode::NOT_FOUND);
  v1::ListJobsResponse list;
  ASSERT_TRUE(Call(*jobs_, &Stub::ListJobs, {}, &list, kBob).ok());
  EXPECT_EQ(list.jobs_size(), 0);
}

}  // namespace
}  // namespace gwq
