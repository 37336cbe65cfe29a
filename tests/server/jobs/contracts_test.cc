// Quality contracts and reports through the API: what is refused at once, what stays of a job that missed, what lists
// tell.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "server/jobs/contract_proto.h"
#include "tests/server/jobs/jobs_fixture.h"

namespace gwq {
namespace {

using ::testing::HasSubstr;
using Jobs = v1::JobService::Stub;
using Artifacts = v1::ArtifactService::Stub;

constexpr char kReport[] =
    R"({"evaluations":[{"kind":"text","metrics":[{"after":3,"before":2,"name":"perplexity"},)"
    R"({"after":0.5,"name":"mean_kl"}],"name":"text"},)"
    R"({"kind":"choices","metrics":[{"after":0.25,"before":0.5,"name":"acc"}],"name":"mmlu"}],)"
    R"("model_bits_per_weight":4.5,"phases":[{"name":"pack","peak_memory_bytes":9,"seconds":2}],)"
    R"("recipe":{"method":"spqr"},"source_bytes":10,"total_bytes":7})";

class ContractsTest : public JobsFixture {
 protected:
  void SetUp() override {
    JobsFixture::SetUp();
    Import(TinyModel(), "tiny");
  }

  // Every quantization makes an artifact with this report, and ends with `verdict`.
  void MakeWith(const std::string& report, const absl::Status& verdict) {
    for (JobRunner& runner : runners_) {
      if (runner.kind != "quantize") continue;
      const auto make = runner.run;
      runner.run = [=](const JobContext& context) -> absl::StatusOr<JobOutput> {
        auto output = make(context);
        if (!output.ok()) return output;
        output->report_json = report;
        output->verdict = verdict;
        return output;
      };
    }
  }

  grpc::Status Create(const v1::QualityContract& contract, v1::Job* job = nullptr, bool validate_only = false) {
    v1::CreateJobRequest request = Quantize("models/tiny", "small");
    *request.mutable_quantize()->mutable_contract() = contract;
    request.set_validate_only(validate_only);
    v1::CreateJobResponse response;
    const grpc::Status status = Call(*jobs_, &Jobs::CreateJob, request, &response);
    if (job != nullptr) *job = response.job();
    return status;
  }
  v1::Job Get(const std::string& name) {
    v1::GetJobRequest request;
    request.set_name(name);
    v1::Job job;
    EXPECT_TRUE(Call(*jobs_, &Jobs::GetJob, request, &job).ok());
    return job;
  }
  grpc::Status Report(const std::string& name, int format, std::string* text, const std::string& token = "") {
    v1::GetReportRequest request;
    request.set_name(name);
    request.set_format(static_cast<v1::GetReportRequest::Format>(format));
    v1::GetReportResponse response;
    const grpc::Status status = Call(*artifacts_, &Artifacts::GetReport, request, &response, token);
    *text = response.text();
    return status;
  }
  grpc::StatusCode CodeOfReport(const std::string& name, int format = v1::GetReportRequest::JSON) {
    std::string text;
    return Report(name, format, &text).error_code();
  }
};

QualityContract WholeContract() {
  return {.max_mean_kl = 0.5,
          .min_same_top1 = 0.25,
          .max_bits = 16,
          .floors = {{.evaluation = "text", .metric = "perplexity", .at_least = 1, .at_most = 30}}};
}

TEST(ContractProto, SurvivesTheWire) {
  EXPECT_EQ(ContractFromProto(ContractToProto(WholeContract())), WholeContract());
  EXPECT_EQ(ContractToProto({}).ByteSizeLong(), 0U);
  // A field that is added must be translated, too.
  EXPECT_EQ(v1::QualityContract::descriptor()->field_count(), 4);
  EXPECT_EQ(v1::QualityFloor::descriptor()->field_count(), 4);
}

TEST_F(ContractsTest, AJobTellsItsContract) {
  v1::Job job;
  ASSERT_TRUE(Create(ContractToProto(WholeContract()), &job).ok());
  EXPECT_EQ(ContractFromProto(job.quantize().contract()), WholeContract());
  EXPECT_EQ(ContractFromProto(Get(job.name()).quantize().contract()), WholeContract());
  ASSERT_TRUE(Create({}, &job).ok());
  EXPECT_FALSE(job.quantize().has_contract());
}

TEST_F(ContractsTest, WhatCannotBeMeasuredOrMetIsRefusedAtOnce) {
  const auto refused = [&](const QualityContract& contract) {
    const grpc::Status status = Create(ContractToProto(contract));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    return FieldOf(status);
  };
  EXPECT_EQ(refused({.max_mean_kl = -1}), "quantize.contract.max_mean_kl");
  EXPECT_EQ(refused({.floors = {{.evaluation = "mmlu", .metric = "acc", .at_least = 1}}}),
            "quantize.contract.floors[0].evaluation");
  EXPECT_EQ(refused({.floors = {{.evaluation = "0", .metric = "acc", .at_least = 1}}}),
            "quantize.contract.floors[0].metric");
  EXPECT_EQ(refused({.floors = {{.evaluation = "0", .metric = "mean_kl"}}}), "quantize.contract.floors[0]");
  for (const bool validate_only : {false, true}) {
    const grpc::Status bits = Create(ContractToProto({.max_bits = 2}), nullptr, validate_only);
    EXPECT_EQ(bits.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(bits.error_message(), HasSubstr("quantize.contract.max_bits: bits per weight of the model is "));
  }
  v1::ListJobsResponse list;
  ASSERT_TRUE(Call(*jobs_, &Jobs::ListJobs, {}, &list).ok());
  EXPECT_EQ(list.jobs_size(), 1) << "the import alone";
}

TEST_F(ContractsTest, AJobThatMissedItsContractPublishesNothingAndKeepsItsReport) {
  MakeWith(kReport, absl::FailedPreconditionError("max_mean_kl: mean_kl of text is 0.5, the limit is at most 0.1"));
  v1::Job job;
  ASSERT_TRUE(Create(ContractToProto({.max_mean_kl = 0.1}), &job).ok());
  EXPECT_EQ(CodeOfReport(job.name()), grpc::StatusCode::NOT_FOUND);
  ASSERT_TRUE(RunOne());
  job = Get(job.name());
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(job.error().code(), static_cast<int>(grpc::StatusCode::FAILED_PRECONDITION));
  EXPECT_THAT(job.error().message(), HasSubstr("max_mean_kl: mean_kl of text is 0.5"));
  EXPECT_TRUE(job.has_report());
  EXPECT_EQ(job.attempt(), 1) << "another attempt would measure the same";
  EXPECT_EQ(CodeOfReport("artifacts/small"), grpc::StatusCode::NOT_FOUND);
  std::string text;
  ASSERT_TRUE(Report(job.name(), v1::GetReportRequest::JSON, &text).ok());
  EXPECT_EQ(text, kReport);
  ASSERT_TRUE(Report(job.name(), v1::GetReportRequest::FORMAT_UNSPECIFIED, &text).ok());
  EXPECT_EQ(text, "# R");
  ASSERT_TRUE(Report(job.name(), v1::GetReportRequest::HTML, &text).ok());
  EXPECT_THAT(text, HasSubstr("<!DOCTYPE html>"));
}

TEST_F(ContractsTest, TheReportOfAnArtifactIsThatOfItsJob) {
  MakeWith(kReport, absl::OkStatus());
  v1::Job first, second;
  ASSERT_TRUE(Create({}, &first).ok());
  ASSERT_TRUE(RunOne());
  std::string of_job, of_artifact;
  ASSERT_TRUE(Report(first.name(), v1::GetReportRequest::HTML, &of_job).ok());
  ASSERT_TRUE(Report("artifacts/small", v1::GetReportRequest::HTML, &of_artifact).ok());
  EXPECT_EQ(of_job, of_artifact);
  EXPECT_THAT(of_artifact, HasSubstr("spqr"));
  ASSERT_TRUE(Create({}, &second).ok());
  ASSERT_TRUE(RunOne());
  EXPECT_EQ(CodeOfReport(first.name()), grpc::StatusCode::NOT_FOUND) << "its artifact was replaced";
  EXPECT_EQ(CodeOfReport(second.name()), grpc::StatusCode::OK);
}

TEST_F(ContractsTest, WhatHasNoReportIsNamed) {
  MakeWith("", absl::OkStatus());
  ASSERT_TRUE(Create({}).ok());
  ASSERT_TRUE(RunOne());
  EXPECT_EQ(CodeOfReport("artifacts/small"), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(CodeOfReport("artifacts/none"), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(CodeOfReport("jobs/none"), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(CodeOfReport("models/tiny"), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(CodeOfReport("small"), grpc::StatusCode::INVALID_ARGUMENT);
  MakeWith(kReport, absl::OkStatus());
  ASSERT_TRUE(Create({}).ok());
  ASSERT_TRUE(RunOne());
  EXPECT_EQ(CodeOfReport("artifacts/small", 7), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ContractsTest, ADamagedReportHasNoPageAndIsStillShown) {
  MakeWith("{damaged", absl::OkStatus());
  ASSERT_TRUE(Create({}).ok());
  ASSERT_TRUE(RunOne());
  EXPECT_EQ(CodeOfReport("artifacts/small", v1::GetReportRequest::HTML), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(CodeOfReport("artifacts/small"), grpc::StatusCode::OK);
  v1::ListArtifactsResponse list;
  ASSERT_TRUE(Call(*artifacts_, &Artifacts::ListArtifacts, {}, &list).ok());
  EXPECT_FALSE(list.artifacts(0).has_summary());
}

TEST_F(ContractsTest, AListTellsTheFewFiguresOfEachReport) {
  MakeWith(kReport, absl::OkStatus());
  ASSERT_TRUE(Create({}).ok());
  ASSERT_TRUE(RunOne());
  v1::ListArtifactsResponse list;
  ASSERT_TRUE(Call(*artifacts_, &Artifacts::ListArtifacts, {}, &list).ok());
  ASSERT_EQ(list.artifacts_size(), 1);
  EXPECT_EQ(list.artifacts(0).report_json(), "");
  const v1::ArtifactSummary& summary = list.artifacts(0).summary();
  EXPECT_EQ(summary.method(), "spqr");
  EXPECT_EQ(summary.source_bytes(), 10U);
  EXPECT_EQ(summary.total_bytes(), 7U);
  EXPECT_EQ(summary.model_bits_per_weight(), 4.5);
  EXPECT_EQ(summary.perplexity_before(), 2);
  EXPECT_EQ(summary.perplexity(), 3);
  EXPECT_EQ(summary.mean_kl(), 0.5);
  EXPECT_FALSE(summary.has_same_top1()) << "nothing measured it";
  EXPECT_EQ(summary.seconds(), 2);
  EXPECT_EQ(summary.peak_memory_bytes(), 9U);
  EXPECT_EQ(summary.metrics_size(), 0) << "a page has a thousand of them";
  v1::GetArtifactRequest get;
  get.set_name("artifacts/small");
  v1::Artifact artifact;
  ASSERT_TRUE(Call(*artifacts_, &Artifacts::GetArtifact, get, &artifact).ok());
  ASSERT_EQ(artifact.summary().metrics_size(), 1);
  EXPECT_EQ(artifact.summary().metrics(0).evaluation(), "mmlu");
  EXPECT_EQ(artifact.summary().metrics(0).before(), 0.5);
}

constexpr char kAlice[] = "alice-alice-alice", kBob[] = "bob-bob-bob-bob-bob";

class ReportPrincipalsTest : public ContractsTest {
 protected:
  void SetUp() override {
    settings_.service.tokens = folder_.path() + "/tokens";
    std::ofstream(settings_.service.tokens) << kAlice << " alice\n" << kBob << " bob\n";
    JobsFixture::SetUp();
  }
};

TEST_F(ReportPrincipalsTest, AReportIsItsOwnersAlone) {
  JobStore& jobs = server_->state().jobs;
  Job job;
  job.principal = "alice";
  job.kind = "quantize";
  job.spec_json = "{}";
  const std::string id = jobs.Enqueue(job)->id;
  const Lease lease = *jobs.Acquire({"w", "cpu:0", 1, {}});
  ASSERT_TRUE(jobs.Fail(id, lease.fencing_token, {9, "missed", ""}, false, {"{}", "# R"}).ok());
  std::string text;
  EXPECT_TRUE(Report("jobs/" + id, v1::GetReportRequest::MARKDOWN, &text, kAlice).ok());
  EXPECT_EQ(Report("jobs/" + id, v1::GetReportRequest::MARKDOWN, &text, kBob).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace gwq
