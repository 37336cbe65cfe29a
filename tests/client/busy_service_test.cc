// A service that is busy for a moment, that refuses what is too large, and whose answers are large.
#include <gmock/gmock.h>

#include <atomic>
#include <fstream>

#include "client/library/retry.h"
#include "client/library/upload.h"
#include "gwq/v1/jobs.grpc.pb.h"
#include "gwq/v1/models.grpc.pb.h"
#include "server/common/status_to_grpc.h"
#include "tests/client/local_server.h"
#include "tests/client/progress_record.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq::client {
namespace {

using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

absl::Status Exhausted(int64_t delay_millis) {
  return WithRetryDelay(absl::ResourceExhaustedError("the service is busy"), delay_millis);
}

TEST(IsTransient, OfWhatIsExhaustedOnlyAServiceThatIsBusyForAMoment) {
  EXPECT_TRUE(IsTransient(Exhausted(0)));
  EXPECT_TRUE(IsTransient(Exhausted(500)));
  EXPECT_TRUE(IsTransient(Exhausted(10'000)));
  EXPECT_FALSE(IsTransient(Exhausted(60'000))) << "a quota, or a full disk";
  EXPECT_FALSE(IsTransient(absl::ResourceExhaustedError("the message is too large")));
}

// Refuses the first call of each method as busy.
class BusyModels final : public v1::ModelService::Service {
 public:
  std::atomic<int> refusals = 0;
  int refuse = 1;  // of each method
  int64_t delay_millis = 0;

 private:
  grpc::Status Busy(std::atomic<int>& calls) {
    if (calls++ >= refuse) return grpc::Status::OK;
    ++refusals;
    return ToGrpc(Exhausted(delay_millis));
  }
  grpc::Status CreateUpload(grpc::ServerContext*, const v1::CreateUploadRequest*, v1::Upload* upload) override {
    upload->set_name("uploads/1");
    return Busy(creates_);
  }
  grpc::Status AddUploadFiles(grpc::ServerContext*, const v1::AddUploadFilesRequest* page,
                              v1::AddUploadFilesResponse*) override {
    sha256_ = page->files(0).sha256();
    return Busy(pages_);
  }
  grpc::Status ListMissingBlobs(grpc::ServerContext*, const v1::ListMissingBlobsRequest*,
                                v1::ListMissingBlobsResponse* response) override {
    if (!whole_) {
      response->add_blobs()->set_sha256(sha256_);
      response->mutable_blobs(0)->set_size(4);
    }
    return Busy(lists_);
  }
  grpc::Status WriteBlob(grpc::ServerContext*, grpc::ServerReader<v1::WriteBlobRequest>* parts,
                         v1::WriteBlobResponse* response) override {
    const grpc::Status busy = Busy(writes_);
    if (!busy.ok()) return busy;
    for (v1::WriteBlobRequest part; parts->Read(&part);) {
    }
    whole_ = true;
    response->set_complete(true);
    return grpc::Status::OK;
  }
  grpc::Status CommitUpload(grpc::ServerContext*, const v1::CommitUploadRequest*,
                            google::longrunning::Operation*) override {
    return Busy(commits_);
  }

  std::string sha256_;
  bool whole_ = false;
  std::atomic<int> creates_ = 0, pages_ = 0, lists_ = 0, writes_ = 0, commits_ = 0;
};

class BusyPushTest : public ::testing::Test {
 protected:
  absl::Status Push() {
    std::ofstream(folder_ / "a.txt") << "text";
    LocalModel files;
    files.files.push_back(
        {.name = "a.txt", .size = 4, .head = {folder_ / "a.txt", 0, 4, Sha256Of("text")}, .tensors = {}});
    files.total_bytes = 4;
    UploadOptions options;
    options.dataset_id = "d";
    options.max_attempts = 3;
    options.first_pause = std::chrono::milliseconds(1);
    options.waiting = [this](const absl::Status& why) {
      ++waits_;
      if (RetryDelayMilliseconds(why) > 0) canceller_.Cancel();  // no case waits for that
    };
    const Connection connection(server_.endpoint, &canceller_);
    return PushModel(connection, files, options, progress_).status();
  }

  testing::TempFolder folder_;
  BusyModels models_;
  testing::LocalServer server_{models_};
  testing::ProgressRecord progress_;
  Canceller canceller_;
  std::atomic<int> waits_ = 0;
};

TEST_F(BusyPushTest, WaitsAtEachOfItsCalls) {
  EXPECT_THAT(Push(), IsOk());
  EXPECT_EQ(models_.refusals, 5);
  EXPECT_EQ(waits_, 5);
}

TEST_F(BusyPushTest, EndsWhenTheServiceStaysBusy) {
  models_.refuse = 100;
  EXPECT_THAT(Push(), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(models_.refusals, 3);
}

TEST_F(BusyPushTest, AQuotaIsToldAtOnce) {
  models_.delay_millis = 60'000;
  EXPECT_THAT(Push(), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(waits_, 0);
}

// Gives back a job with a text as long as is asked for.
class LargeJobs final : public v1::JobService::Service {
  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                         v1::CreateJobResponse* response) override {
    response->mutable_job()->mutable_progress()->set_phase(std::string(std::stoul(request->request_id()), 'a'));
    return grpc::Status::OK;
  }
};

class LargeMessagesTest : public ::testing::Test {
 protected:
  absl::StatusOr<v1::CreateJobResponse> Create(const v1::CreateJobRequest& request) {
    const Connection connection(server_.endpoint);
    const auto stub = v1::JobService::NewStub(connection.channel());
    return Call(connection, *stub, &v1::JobService::Stub::CreateJob, request);
  }

  LargeJobs jobs_;
  testing::LocalServer server_{jobs_};
};

TEST_F(LargeMessagesTest, AnAnswerIsTakenThatRepeatsALargeRequest) {
  v1::CreateJobRequest request;
  request.set_request_id("40000000");
  const auto created = Create(request);
  ASSERT_THAT(created, IsOk());
  EXPECT_EQ(created->job().progress().phase().size(), 40'000'000u);
}

TEST_F(LargeMessagesTest, ARequestThatTheServiceDoesNotTakeIsInvalidWithBothSizesAndARemedy) {
  v1::CreateJobRequest request;
  request.mutable_quantize()->mutable_recipe()->mutable_calibration()->set_text(std::string(5'000'000, 'a'));
  const absl::Status refused = Create(request).status();
  EXPECT_THAT(refused, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(refused.message()), HasSubstr(" vs. 4194304) bytes: shorten its texts"));
}

}  // namespace
}  // namespace gwq::client
