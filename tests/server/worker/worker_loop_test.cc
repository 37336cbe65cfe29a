// A worker against a service that answers as the test says.
#include "server/worker/worker_loop.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "server/worker/lease_checkpoints.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

constexpr char kKind[] = "import";

// Has one job, whose lease is over as soon as its end was told: before the answer to that is out, as where the service
// is slow, a heartbeat is refused.
class SlowService final : public v1::WorkerService::Service {
 public:
  grpc::Status Acquire(grpc::ServerContext*, const v1::AcquireRequest*, v1::AcquireResponse* response) override {
    response->set_job("jobs/one");
    response->set_kind(kKind);
    response->set_fencing_token(7);
    response->set_ttl_millis(150);  // a heartbeat each 50
    return grpc::Status::OK;
  }
  grpc::Status Heartbeat(grpc::ServerContext*, const v1::HeartbeatRequest*, v1::HeartbeatResponse*) override {
    MutexLock lock(mutex_);
    if (!over_) return grpc::Status::OK;
    // Another comes only after the worker has heard the answer to the one before.
    ++refused_;
    changed_.NotifyAll();
    return {grpc::StatusCode::ABORTED, "the lease is over"};
  }
  grpc::Status Commit(grpc::ServerContext*, const v1::CommitRequest*, v1::CommitResponse*) override {
    AwaitRefusals();
    return grpc::Status::OK;
  }
  grpc::Status Fail(grpc::ServerContext*, const v1::FailRequest* request, v1::FailResponse*) override {
    {
      MutexLock lock(mutex_);
      failure_ = *request;
    }
    AwaitRefusals();
    return grpc::Status::OK;
  }

  // Busy twice; then the token of Acquire alone is current.
  grpc::Status SaveCheckpoint(grpc::ServerContext*, const v1::SaveCheckpointRequest* request,
                              v1::SaveCheckpointResponse*) override {
    MutexLock lock(mutex_);
    if (++saves_ <= 2) return {grpc::StatusCode::UNAVAILABLE, "restarting"};
    saved_ = request->checkpoint_sha256();
    return request->fencing_token() == 7 ? grpc::Status::OK
                                         : grpc::Status(grpc::StatusCode::ABORTED, "the lease is over");
  }
  v1::FailRequest failure() {
    MutexLock lock(mutex_);
    return failure_;
  }
  std::string saved() {
    MutexLock lock(mutex_);
    return saved_;
  }

  void AwaitRefusals() {
    MutexLock lock(mutex_);
    over_ = true;
    while (refused_ < 2) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  int refused_ ABSL_GUARDED_BY(mutex_) = 0;
  int saves_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string saved_ ABSL_GUARDED_BY(mutex_);
  v1::FailRequest failure_ ABSL_GUARDED_BY(mutex_);
};

class WorkerLoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    address_ = "127.0.0.1:" + std::to_string(port);
  }

  // Runs the job with this runner; whether the worker took its lease for lost.
  bool LosesLease(const std::function<absl::StatusOr<JobOutput>()>& run) {
    JobsClient client(address_, "");
    const std::vector<JobRunner> runners = {{kKind, [&](const JobContext&) { return run(); }}};
    const gwq::Log log("worker", LogLevel::kError);
    WorkerLoop loop({"worker", "cpu:0", 1}, client, *blobs_, runners, log, [&](const std::string&) { lost_ = true; });
    const auto ran = loop.RunOne();
    EXPECT_TRUE(ran.ok() && *ran) << ran.status();
    return lost_;
  }

  const testing::TempFolder folder_;
  const std::unique_ptr<BlobStore> blobs_ = *OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
  SlowService service_;
  std::atomic<bool> lost_ = false;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

TEST_F(WorkerLoopTest, AHeartbeatThatTheCommitOvertookLosesNoLease) {
  EXPECT_FALSE(LosesLease([] { return JobOutput(); }));
}

TEST_F(WorkerLoopTest, AHeartbeatThatTheFailureOvertookLosesNoLease) {
  EXPECT_FALSE(LosesLease([] { return absl::InvalidArgumentError("a fault"); }));
}

TEST_F(WorkerLoopTest, AnErrorOfMegabytesIsToldByItsBeginning) {
  LosesLease([] { return InvalidField("config." + std::string(5 << 20, 'k'), "bad " + std::string(5 << 20, 'x')); });
  EXPECT_LT(service_.failure().ByteSizeLong(), size_t{100} << 10);
  EXPECT_TRUE(service_.failure().field().starts_with("config.k"));
  EXPECT_EQ(service_.failure().code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
}

JobOutput Refused(const std::string& report) {
  JobOutput output;
  output.report_json = report;
  output.report_markdown = "# R \xFF";
  output.verdict = absl::FailedPreconditionError("max_bits: missed");
  return output;
}

TEST_F(WorkerLoopTest, WhatIsNotToBePublishedFailsTheJobWithItsReport) {
  LosesLease([] { return Refused("{}"); });
  EXPECT_EQ(service_.failure().code(), static_cast<int>(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(service_.failure().message(), "max_bits: missed");
  EXPECT_FALSE(service_.failure().retryable());
  EXPECT_EQ(service_.failure().report_json(), "{}");
  EXPECT_EQ(service_.failure().report_markdown(), "# R \xEF\xBF\xBD");
}

TEST_F(WorkerLoopTest, AReportThatTheServiceDoesNotTakeCostsTheErrorNothing) {
  LosesLease([] { return Refused(std::string(5 << 20, 'x')); });
  EXPECT_EQ(service_.failure().code(), static_cast<int>(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(service_.failure().message(), "its report was refused: max_bits: missed");
  EXPECT_EQ(service_.failure().report_json(), "");
}

TEST_F(WorkerLoopTest, AHeartbeatThatIsRefusedWhileTheJobRunsLosesTheLease) {
  EXPECT_TRUE(LosesLease([&]() -> absl::StatusOr<JobOutput> {
    service_.AwaitRefusals();
    return JobOutput();
  }));
}

TEST_F(WorkerLoopTest, ACheckpointIsStoredBeforeItIsNamedAndNamedOnceTheServiceAnswers) {
  JobsClient client(address_, "");
  v1::AcquireResponse lease;
  lease.set_job("jobs/one");
  lease.set_fencing_token(7);
  LeaseCheckpoints checkpoints(*blobs_, client, lease);
  ASSERT_TRUE(checkpoints.Save({R"({"next":1})", {}}).ok());
  lease.set_checkpoint_sha256(service_.saved());
  EXPECT_EQ((*checkpoints.Load())->state, R"({"next":1})");
  lease.set_fencing_token(6);
  EXPECT_TRUE(absl::IsAborted(checkpoints.Save({"{}", {}})));
}

}  // namespace
}  // namespace gwq
