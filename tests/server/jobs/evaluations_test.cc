// Datasets and evaluations over the wire: uploads, jobs, lists, what keeps them alive, and what is refused.
#include <functional>

#include "core/base/status.h"
#include "gwq/v1/evaluations.pb.h"
#include "server/jobs/evaluation_proto.h"
#include "tests/server/jobs/jobs_fixture.h"

namespace gwq {
namespace {

using Stub = v1::EvaluationService::Stub;

constexpr char kLines[] =
    "{\"context\":\"a b\",\"choices\":[\"c\",\"d\"],\"answer\":0}\n"
    "{\"context\":\"b\",\"choices\":[\"cd\",\"e\"],\"answer\":1}\n";

class EvaluationsTest : public JobsFixture {
 protected:
  void ImportDataset(const std::string& id, const std::string& lines = kLines) {
    google::longrunning::Operation operation;
    PushDataset(Files({{"q.jsonl", lines}}), id, &operation);
    ASSERT_TRUE(RunOne());
    operation = OperationNow(operation.name());
    ASSERT_TRUE(operation.has_response()) << operation.ShortDebugString();
    v1::Dataset dataset;
    ASSERT_TRUE(operation.response().UnpackTo(&dataset));
    EXPECT_EQ(dataset.name(), "datasets/" + id);
  }
  static v1::CreateJobRequest Request(const std::string& target, const std::string& dataset) {
    v1::CreateJobRequest request;
    v1::EvaluateSpec& spec = *request.mutable_evaluate();
    spec.set_target(target);
    spec.set_evaluation_id("found");
    spec.mutable_task()->set_kind(v1::EvaluationTask::CHOICES);
    spec.mutable_task()->set_dataset(dataset);
    return request;
  }
  grpc::Status Create(const v1::CreateJobRequest& request, v1::CreateJobResponse* response) {
    return Call(*jobs_, &v1::JobService::Stub::CreateJob, request, response);
  }
  // A job holds its dataset: it cannot be deleted until the job ends, which it does well.
  void ExpectReadUntilItEnds(const std::string& dataset, const v1::Job& job) {
    v1::DeleteDatasetRequest remove;
    remove.set_name(dataset);
    google::protobuf::Empty nothing;
    EXPECT_EQ(Call(*evaluations_, &Stub::DeleteDataset, remove, &nothing).error_code(),
              grpc::StatusCode::FAILED_PRECONDITION);
    ASSERT_TRUE(RunOne());
    const auto operation = OperationNow(job.operation());
    EXPECT_TRUE(operation.has_response()) << operation.ShortDebugString();
  }
  v1::Evaluation Get(const std::string& name) {
    v1::GetEvaluationRequest request;
    request.set_name(name);
    v1::Evaluation evaluation;
    EXPECT_TRUE(Call(*evaluations_, &Stub::GetEvaluation, request, &evaluation).ok());
    return evaluation;
  }
};

TEST_F(EvaluationsTest, AnEvaluationOfAnUploadedDatasetIsStoredAndListed) {
  Import(TinyModel(), "tiny");
  ImportDataset("questions");
  v1::CreateJobRequest request = Request("models/tiny", "datasets/questions");
  request.mutable_evaluate()->set_reference("models/tiny");
  v1::CreateJobResponse created;
  ASSERT_TRUE(Create(request, &created).ok());
  EXPECT_EQ(created.job().kind(), "evaluate");
  EXPECT_EQ(created.job().evaluate().target(), "models/tiny");
  EXPECT_EQ(created.job().evaluate().task().delimiter(), " ") << "defaults are told";
  ASSERT_TRUE(RunOne());
  v1::Evaluation evaluation;
  const auto operation = OperationNow(created.job().operation());
  ASSERT_TRUE(operation.has_response()) << operation.ShortDebugString();
  ASSERT_TRUE(operation.response().UnpackTo(&evaluation));
  evaluation = Get("evaluations/found");
  EXPECT_EQ(evaluation.job(), created.job().name());
  ASSERT_EQ(evaluation.metrics_size(), 4);
  EXPECT_EQ(evaluation.metrics(0).name(), "acc");
  EXPECT_EQ(evaluation.metrics(2).value(), 0.0) << "it was compared with itself";

  v1::ListEvaluationsResponse list;
  ASSERT_TRUE(Call(*evaluations_, &Stub::ListEvaluations, v1::ListEvaluationsRequest(), &list).ok());
  ASSERT_EQ(list.evaluations_size(), 1);
  EXPECT_EQ(list.evaluations(0).metrics_size(), 4);
  EXPECT_TRUE(list.evaluations(0).result_json().empty());

  Caller caller;
  v1::ReadManifestRequest read;
  read.set_name("evaluations/found");
  auto stream = artifacts_->ReadManifest(&caller.context, read);
  std::string manifest;
  for (v1::ReadBlobResponse part; stream->Read(&part);) manifest += part.data();
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(Sha256Of(manifest).Hex(), evaluation.digest());

  v1::DeleteEvaluationRequest remove;
  remove.set_name("evaluations/found");
  google::protobuf::Empty nothing;
  EXPECT_TRUE(Call(*evaluations_, &Stub::DeleteEvaluation, remove, &nothing).ok());
  EXPECT_EQ(Call(*evaluations_, &Stub::DeleteEvaluation, remove, &nothing).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(EvaluationsTest, AWaitingJobKeepsItsDatasetAndReference) {
  Import(TinyModel(), "tiny");
  Import(TinyModel("model.norm.weight"), "other");
  ImportDataset("questions");
  v1::CreateJobRequest request = Request("models/tiny", "datasets/questions");
  request.mutable_evaluate()->set_reference("models/other");
  v1::CreateJobResponse created;
  ASSERT_TRUE(Create(request, &created).ok());
  v1::DeleteDatasetRequest dataset;
  dataset.set_name("datasets/questions");
  google::protobuf::Empty nothing;
  EXPECT_EQ(Call(*evaluations_, &Stub::DeleteDataset, dataset, &nothing).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  v1::DeleteModelRequest model;
  model.set_name("models/other");
  EXPECT_EQ(Call(*models_, &v1::ModelService::Stub::DeleteModel, model, &nothing).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  // A dataset of the same name that comes meanwhile does not change what the job was asked.
  google::longrunning::Operation replacing;
  PushDataset(Files({{"q.jsonl", "{\"context\":\"b\",\"choices\":[\"cd\",\"e\",\"f\"],\"answer\":2}\n"}}), "questions",
              &replacing);
  ASSERT_TRUE(RunOne());
  ASSERT_TRUE(RunOne());
  const auto operation = OperationNow(created.job().operation());
  ASSERT_TRUE(operation.has_response()) << operation.ShortDebugString();
  EXPECT_NE(Get("evaluations/found").result_json().find("\"items\":2"), std::string::npos);
}

TEST_F(EvaluationsTest, AQuantizationTakesItsSamplesFromADatasetAndKeepsIt) {
  Import(TinyModel(), "tiny");
  ImportDataset("texts", "{\"text\":\"a b c d e\"}\n{\"token_ids\":[1,2,3]}\n");
  v1::CreateJobRequest request = Quantize("models/tiny", "small");
  v1::Calibration& calibration = *request.mutable_quantize()->mutable_recipe()->mutable_calibration();
  calibration.Clear();
  calibration.set_source(v1::Calibration::DATASET);
  v1::CreateJobResponse created;
  EXPECT_EQ(FieldOf(Create(request, &created)), "quantize.recipe.calibration.dataset");
  calibration.set_dataset("texts");
  EXPECT_EQ(FieldOf(Create(request, &created)), "quantize.recipe.calibration.dataset");
  calibration.set_dataset("datasets/none");
  EXPECT_EQ(Create(request, &created).error_code(), grpc::StatusCode::NOT_FOUND);
  calibration.set_dataset("datasets/texts");
  const grpc::Status status = Create(request, &created);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(Digest::Parse(created.job().quantize().recipe().calibration().dataset()).ok())
      << "a job tells the digest of its manifest";
  ExpectReadUntilItEnds("datasets/texts", created.job());
}

TEST_F(EvaluationsTest, AMixTakesItsSamplesFromSeveralDatasetsAndKeepsThem) {
  Import(TinyModel(), "tiny");
  ImportDataset("texts", "{\"text\":\"a b c d e\"}\n{\"token_ids\":[1,2,3]}\n");
  ImportDataset("more", "{\"token_ids\":[3,2,1]}\n");
  v1::CreateJobRequest request = Quantize("models/tiny", "small");
  v1::Calibration& calibration = *request.mutable_quantize()->mutable_recipe()->mutable_calibration();
  calibration.Clear();
  calibration.set_source(v1::Calibration::MIX);
  for (const char* const name : {"datasets/texts", "datasets/none"}) {
    v1::CalibrationPart& part = *calibration.add_parts();
    part.set_source(v1::Calibration::DATASET);
    part.set_dataset(name);
  }
  v1::CreateJobResponse created;
  EXPECT_EQ(Create(request, &created).error_code(), grpc::StatusCode::NOT_FOUND);
  calibration.mutable_parts(1)->set_dataset("datasets/more");
  calibration.set_samples(3);
  const grpc::Status status = Create(request, &created);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ExpectReadUntilItEnds("datasets/more", created.job());
}

TEST_F(EvaluationsTest, AQuantizationIsNotMeasuredOnItsCalibration) {
  Import(TinyModel(), "tiny");
  const std::string lines = "{\"context\":\"a\",\"choices\":[\"b\",\"c\"],\"answer\":1}\n";
  ImportDataset("questions", lines);
  ImportDataset("same", lines);
  v1::CreateJobRequest request = Quantize("models/tiny", "small");
  v1::QuantizeSpec& spec = *request.mutable_quantize();
  v1::Calibration& calibration = *spec.mutable_recipe()->mutable_calibration();
  calibration.Clear();
  calibration.set_text("a b c d e f");
  calibration.set_source(v1::Calibration::TEXT);
  spec.clear_no_evaluation();
  v1::EvaluationTask& task = *spec.add_evaluations();
  task.set_kind(v1::EvaluationTask::TEXT);
  task.set_text("a b c d e f");
  v1::CreateJobResponse created;
  const grpc::Status text = Create(request, &created);
  EXPECT_EQ(FieldOf(text), "quantize.evaluations[0].text");
  EXPECT_NE(text.error_message().find("recipe.calibration.text"), std::string::npos) << text.error_message();

  calibration.Clear();
  calibration.set_source(v1::Calibration::MIX);
  calibration.add_parts();
  v1::CalibrationPart& part = *calibration.add_parts();
  part.set_source(v1::Calibration::DATASET);
  part.set_dataset("datasets/questions");
  for (const char* const name : {"datasets/questions", "datasets/same"}) {
    task.Clear();
    task.set_kind(v1::EvaluationTask::CHOICES);
    task.set_dataset(name);
    const grpc::Status dataset = Create(request, &created);
    EXPECT_EQ(FieldOf(dataset), "quantize.evaluations[0].dataset") << name;
    EXPECT_NE(dataset.error_message().find("recipe.calibration.parts[1].dataset"), std::string::npos)
        << dataset.error_message();
  }
  part.clear_dataset();
  part.set_source(v1::Calibration::DEFAULT);
  const grpc::Status other = Create(request, &created);
  EXPECT_TRUE(other.ok()) << other.error_message();
}

TEST_F(EvaluationsTest, FaultsAreRefusedAtTheirField) {
  Import(TinyModel(), "tiny");
  ImportDataset("questions");
  const auto refused = [&](const std::function<void(v1::EvaluateSpec&)>& bend) {
    v1::CreateJobRequest request = Request("models/tiny", "datasets/questions");
    bend(*request.mutable_evaluate());
    v1::CreateJobResponse response;
    const grpc::Status status = Create(request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    return FieldOf(status);
  };
  EXPECT_EQ(refused([](auto& spec) { spec.set_target("datasets/questions"); }), "evaluate.target");
  EXPECT_EQ(refused([](auto& spec) { spec.set_reference("tiny"); }), "evaluate.reference");
  EXPECT_EQ(refused([](auto& spec) { spec.set_evaluation_id("A"); }), "evaluate.evaluation_id");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_task()->set_dataset("questions"); }), "evaluate.task.dataset");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_task()->clear_dataset(); }), "evaluate.task.dataset");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_task()->set_threads(0); }), "evaluate.task.threads");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_task()->set_text("t"); }), "evaluate.task.text");
  EXPECT_EQ(refused([](auto& spec) { spec.mutable_task()->set_kind(static_cast<v1::EvaluationTask::Kind>(77)); }),
            "evaluate.task.kind");
  v1::CreateJobRequest missing = Request("models/tiny", "datasets/none");
  v1::CreateJobResponse response;
  EXPECT_EQ(Create(missing, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  v1::CreateJobRequest seeing = Request("models/tiny", "datasets/questions");
  seeing.mutable_evaluate()->mutable_task()->set_kind(v1::EvaluationTask::GROUNDING);
  EXPECT_EQ(Create(seeing, &response).error_code(), grpc::StatusCode::FAILED_PRECONDITION)
      << "a model that sees nothing is refused before its job waits";
  v1::CreateJobRequest quantize = Quantize("models/tiny", "small");
  *quantize.mutable_quantize()->add_evaluations() = missing.evaluate().task();
  EXPECT_EQ(Create(quantize, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  quantize.mutable_quantize()->mutable_evaluations(0)->set_dataset("datasets/questions");
  ASSERT_TRUE(Create(quantize, &response).ok());
  EXPECT_EQ(response.job().quantize().evaluations(0).kind(), v1::EvaluationTask::CHOICES);

  v1::ResolveRequest resolve;
  resolve.set_name("datasets/questions");
  resolve.set_holder("server");
  resolve.set_hold_millis(60'000);
  v1::ResolveResponse resolved;
  EXPECT_EQ(FieldOf(Call(*artifacts_, &v1::ArtifactService::Stub::Resolve, resolve, &resolved)), "name")
      << "no server loads a dataset";
}

TEST_F(EvaluationsTest, ADatasetThatCannotBeReadGetsNoName) {
  google::longrunning::Operation operation;
  PushDataset(Files({{"q.jsonl", "{\"context\":\"a\",\"choices\":[\"c\",\"d\"],\"answer\":5}\n"}}), "bad", &operation);
  ASSERT_TRUE(RunOne());
  operation = OperationNow(operation.name());
  EXPECT_EQ(operation.error().code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_NE(operation.error().message().find("line 1.answer"), std::string::npos) << operation.error().message();
  v1::GetDatasetRequest get;
  get.set_name("datasets/bad");
  v1::Dataset dataset;
  EXPECT_EQ(Call(*evaluations_, &Stub::GetDataset, get, &dataset).error_code(), grpc::StatusCode::NOT_FOUND);

  v1::CreateUploadRequest both;
  both.set_model_id("m");
  both.set_dataset_id("d");
  both.set_total_bytes(1);
  v1::Upload upload;
  EXPECT_EQ(FieldOf(Call(*models_, &v1::ModelService::Stub::CreateUpload, both, &upload)), "dataset_id");
  both.clear_model_id();
  ASSERT_TRUE(Call(*models_, &v1::ModelService::Stub::CreateUpload, both, &upload).ok());
  EXPECT_EQ(upload.dataset_id(), "d");
  EXPECT_TRUE(upload.model_id().empty());
  v1::AddUploadFilesRequest page = Files({{"weights.bin", "x"}}).page;
  page.set_upload(upload.name());
  v1::AddUploadFilesResponse added;
  EXPECT_EQ(FieldOf(Call(*models_, &v1::ModelService::Stub::AddUploadFiles, page, &added)), "files[0].path");
}

TEST(EvaluationProto, EveryFieldSurvives) {
  EvaluationTask task;
  task.name = "n";
  task.kind = EvaluationKind::kGrounding;
  task.dataset = "d";
  task.text = "t";
  task.tokens = 3;
  task.window = 4;
  task.limit = 5;
  task.delimiter = "\n";
  task.max_tokens = 6;
  task.threads = 7;
  EXPECT_EQ(*TaskFromProto("task", TaskToProto(task)), task);
  EXPECT_EQ(*TaskFromProto("task", v1::EvaluationTask()), EvaluationTask());
  EXPECT_EQ(v1::EvaluationTask::descriptor()->field_count(), static_cast<int>(EvaluationTaskJson(task).size()));
}

TEST(EvaluationProto, AKindOfANewerVersionIsRefusedByItsField) {
  v1::EvaluationTask task;
  task.set_kind(static_cast<v1::EvaluationTask::Kind>(99));
  const absl::Status refused = TaskFromProto("evaluate.task", task).status();
  EXPECT_EQ(FieldViolations(refused).at(0).field, "evaluate.task.kind");
  EXPECT_NE(MessageOf(refused).find("99 is not a value of this version"), std::string_view::npos) << refused;
}

}  // namespace
}  // namespace gwq
