// What is refused says what was given, what the limit is and what to do, and leaves nothing behind.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "core/spec/recipe.h"
#include "tests/server/jobs/jobs_fixture.h"

namespace gwq {
namespace {

using ::testing::HasSubstr;

class RefusalsTest : public JobsFixture {
 protected:
  grpc::Status Create(const v1::CreateJobRequest& request) {
    v1::CreateJobResponse response;
    return Call(*jobs_, &v1::JobService::Stub::CreateJob, request, &response);
  }
  grpc::Status AddPage(const std::string& upload, int page, bool last) {
    v1::AddUploadFilesRequest request = TinyModel().page;
    if (page > 0) request.clear_files();
    request.set_upload(upload);
    request.set_page(page);
    request.set_last(last);
    v1::AddUploadFilesResponse response;
    return Call(*models_, &v1::ModelService::Stub::AddUploadFiles, request, &response);
  }
  // Files of the blob store.
  int64_t StoredFiles() {
    namespace fs = std::filesystem;
    return std::ranges::count_if(fs::recursive_directory_iterator(server_->state().blob_root),
                                 [](const fs::directory_entry& entry) { return entry.is_regular_file(); });
  }
};

TEST_F(RefusalsTest, AJobThatHasNoPlaceInTheQueueLeavesNoTexts) {
  Import(TinyModel(), "tiny");
  StopServer();
  settings_.max_queued_jobs = 1;
  StartServer();
  ASSERT_TRUE(Create(Quantize("models/tiny", "waiting")).ok());
  v1::CreateJobRequest request = Quantize("models/tiny", "refused");
  request.mutable_quantize()->mutable_recipe()->mutable_calibration()->set_source(v1::Calibration::TEXT);
  request.mutable_quantize()->mutable_recipe()->mutable_calibration()->set_text(std::string(5000, 'a'));
  const int64_t before = StoredFiles();
  const grpc::Status refused = Create(request);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("1 jobs wait already, the limit is 1"));
  EXPECT_EQ(StoredFiles(), before);
}

TEST_F(RefusalsTest, ATextThatARecipeCannotHoldIsInvalidWhereAMessageCanHoldIt) {
  Import(TinyModel(), "tiny");
  StopServer();
  settings_.service.max_message_mib = 8;
  StartServer();
  v1::CreateJobRequest request = Quantize("models/tiny", "refused");
  request.mutable_quantize()->mutable_recipe()->mutable_calibration()->set_source(v1::Calibration::TEXT);
  request.mutable_quantize()->mutable_recipe()->mutable_calibration()->set_text(
      std::string(kMaxRecipeTextBytes + 1, 'a'));
  const grpc::Status refused = Create(request);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(FieldOf(refused), "quantize.recipe.calibration.text");
  EXPECT_THAT(refused.error_message(), HasSubstr("4194304"));
}

TEST_F(RefusalsTest, ALongRequestIdIsRefusedWithItsLengthAndTheLimit) {
  v1::CreateJobRequest request = Quantize("models/tiny", "small");
  request.set_request_id(std::string(257, 'x'));
  const grpc::Status refused = Create(request);
  EXPECT_EQ(FieldOf(refused), "request_id");
  EXPECT_THAT(refused.error_message(), HasSubstr("has 257 bytes, the limit is 256; use a shorter id"));
}

TEST_F(RefusalsTest, ALongHolderIsRefusedWithItsLengthAndTheLimit) {
  v1::ResolveRequest request;
  request.set_name("tiny");
  request.set_holder(std::string(257, 'x'));
  request.set_hold_millis(1000);
  v1::ResolveResponse response;
  const grpc::Status refused = Call(*artifacts_, &v1::ArtifactService::Stub::Resolve, request, &response);
  EXPECT_EQ(FieldOf(refused), "holder");
  EXPECT_THAT(refused.error_message(), HasSubstr("has 257 bytes, not 1 to 256"));
}

TEST_F(RefusalsTest, APageBehindTheLastOneIsRefusedWithBothNumbers) {
  const PushedModel model = TinyModel();
  const std::string upload = CreateUpload("tiny", model.total_bytes).name();
  ASSERT_TRUE(AddPage(upload, 0, true).ok());
  const grpc::Status refused = AddPage(upload, 1, true);
  EXPECT_EQ(FieldOf(refused), "last");
  EXPECT_THAT(refused.error_message(), HasSubstr("page 0 was marked as the last, so no page 1 can follow"));
}

TEST_F(RefusalsTest, ACommittedUploadNamesItsJobWhenItRefusesAPage) {
  google::longrunning::Operation operation;
  Push(TinyModel(), "tiny", &operation, "the-push");
  v1::CreateUploadRequest again;
  again.set_model_id("tiny");
  again.set_request_id("the-push");
  again.set_total_bytes(TinyModel().total_bytes);
  v1::Upload upload;
  ASSERT_TRUE(Call(*models_, &v1::ModelService::Stub::CreateUpload, again, &upload).ok());
  const grpc::Status refused = AddPage(upload.name(), 1, true);
  EXPECT_THAT(refused.error_message(), HasSubstr("was committed by " + upload.job() + " and takes no more files"));
}

TEST_F(RefusalsTest, AnUploadWithoutItsLastPageSaysHowToEndIt) {
  const std::string upload = CreateUpload("tiny", TinyModel().total_bytes).name();
  ASSERT_TRUE(AddPage(upload, 0, false).ok());
  google::longrunning::Operation operation;
  EXPECT_THAT(Commit(upload, &operation).error_message(),
              HasSubstr("the last page of the files of " + upload + " has not come; send it with AddUploadFiles"));
}

}  // namespace
}  // namespace gwq
