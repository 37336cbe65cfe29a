// Long texts of a job's spec: whole for who asks for the job, cut for who follows many.
#include <gtest/gtest.h>

#include <string>

#include "google/longrunning/operations.pb.h"
#include "tests/server/jobs/jobs_fixture.h"

namespace gwq {
namespace {

using Operations = google::longrunning::Operations;
using Stub = v1::JobService::Stub;

class JobSummaryTest : public JobsFixture {
 protected:
  void SetUp() override {
    JobsFixture::SetUp();
    Import(TinyModel(), "tiny");
    v1::CreateJobRequest request = Quantize("models/tiny", "small");
    v1::Recipe& recipe = *request.mutable_quantize()->mutable_recipe();
    recipe.mutable_calibration()->set_source(v1::Calibration::TEXT);
    recipe.mutable_calibration()->set_text(other_long_);
    for (const std::string& text : {long_, short_}) {
      v1::EvaluationTask& task = *request.mutable_quantize()->add_evaluations();
      task.set_kind(v1::EvaluationTask::TEXT);
      task.set_text(text);
    }
    v1::CreateJobResponse response;
    const grpc::Status created = Call(*jobs_, &Stub::CreateJob, request, &response);
    ASSERT_TRUE(created.ok()) << created.error_message();
    job_ = response.job();
  }

  void ExpectSummary(const v1::Job& job) const {
    EXPECT_EQ(job.name(), job_.name());
    EXPECT_LT(job.ByteSizeLong(), 6000u);
    EXPECT_EQ(job.quantize().model(), "models/tiny");
    EXPECT_EQ(job.quantize().recipe().calibration().text(), cut_);
    ASSERT_EQ(job.quantize().evaluations_size(), 2);
    EXPECT_EQ(job.quantize().evaluations(0).text(), cut_);
    EXPECT_EQ(job.quantize().evaluations(1).text(), short_);
  }

  static std::string Times(int count, std::string_view piece) {
    std::string out;
    for (int i = 0; i < count; ++i) out += piece;
    return out;
  }
  // Quotes, backslashes, line ends, control characters and characters of more bytes: what a cut could break.
  static constexpr std::string_view kPiece = "\"\\\n\x01\xC3\xA9\\\"";
  // A piece has 8 bytes: 128 of them are 1 KiB.
  const std::string long_ = Times(5000, kPiece);
  // A text is not measured that was calibrated on.
  const std::string other_long_ = long_ + " w1";
  const std::string cut_ = Times(128, kPiece) + "\xE2\x80\xA6";
  const std::string short_ = std::string(1024, 'y');
  v1::Job job_;
};

TEST_F(JobSummaryTest, TheJobItselfHasItsTexts) {
  EXPECT_EQ(job_.quantize().evaluations(0).text(), long_);
  v1::GetJobRequest request;
  request.set_name(job_.name());
  v1::Job job;
  ASSERT_TRUE(Call(*jobs_, &Stub::GetJob, request, &job).ok());
  EXPECT_EQ(job.quantize().recipe().calibration().text(), other_long_);
  EXPECT_EQ(job.quantize().evaluations(0).text(), long_);
}

TEST_F(JobSummaryTest, AListHasThemCut) {
  v1::ListJobsResponse page;
  ASSERT_TRUE(Call(*jobs_, &Stub::ListJobs, v1::ListJobsRequest(), &page).ok());
  ASSERT_GE(page.jobs_size(), 1);
  ExpectSummary(page.jobs(0));
}

TEST_F(JobSummaryTest, AnOperationHasThemCut) {
  google::longrunning::GetOperationRequest request;
  request.set_name(job_.operation());
  google::longrunning::Operation operation;
  ASSERT_TRUE(Call(*operations_, &Operations::Stub::GetOperation, request, &operation).ok());
  v1::JobMetadata metadata;
  ASSERT_TRUE(operation.metadata().UnpackTo(&metadata));
  ExpectSummary(metadata.job());
}

TEST_F(JobSummaryTest, EveryUpdateOfAWatchHasThemCut) {
  Caller caller;
  v1::WatchJobRequest request;
  request.set_name(job_.name());
  const auto watch = jobs_->WatchJob(&caller.context, request);
  v1::Job seen;
  ASSERT_TRUE(watch->Read(&seen));
  ExpectSummary(seen);
  v1::CancelJobRequest cancel;
  cancel.set_name(job_.name());
  v1::Job cancelled;
  ASSERT_TRUE(Call(*jobs_, &Stub::CancelJob, cancel, &cancelled).ok());
  ASSERT_TRUE(watch->Read(&seen));
  EXPECT_EQ(seen.state(), v1::JOB_STATE_CANCELLED);
  ExpectSummary(seen);
}

}  // namespace
}  // namespace gwq
