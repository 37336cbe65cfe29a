// Checkpoints from attempt to attempt, through the service.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <memory>

#include "core/storage/checkpoint.h"
#include "server/worker/lease_checkpoints.h"
#include "tests/server/jobs/jobs_fixture.h"

namespace gwq {
namespace {

using Stub = v1::WorkerService::Stub;

class CheckpointsTest : public JobsFixture {
 protected:
  void SetUp() override {
    JobsFixture::SetUp();
    Import(TinyModel(), "tiny");
    v1::CreateJobResponse response;
    ASSERT_TRUE(Call(*jobs_, &v1::JobService::Stub::CreateJob, Quantize("models/tiny", "small"), &response).ok());
    job_ = response.job().name();
  }

  // A lease of a worker that then does nothing by itself.
  v1::AcquireResponse Acquire() {
    v1::AcquireRequest request;
    request.set_worker("first");
    request.set_memory_bytes(uint64_t{1} << 40);
    v1::AcquireResponse lease;
    EXPECT_TRUE(Call(*workers_, &Stub::Acquire, request, &lease).ok());
    EXPECT_EQ(lease.job(), job_);
    return lease;
  }
  void EndLease() {
    clock_.Advance(settings_.lease_seconds * 1000);
    server_->maintenance().ExpireLeasesAndUploads();
  }
  absl::Status Save(const v1::AcquireResponse& lease, const Checkpoint& checkpoint) {
    if (slot_ == nullptr) {
      client_ = std::make_unique<JobsClient>(server_->address(), "");
      slot_ = std::make_unique<LeaseCheckpoints>(blobs(), *client_, lease);
    }
    return slot_->Save(checkpoint);
  }
  grpc::Status Save(const v1::AcquireResponse& lease, const std::string& digest) {
    v1::SaveCheckpointRequest request;
    request.set_job(lease.job());
    request.set_fencing_token(lease.fencing_token());
    request.set_checkpoint_sha256(digest);
    v1::SaveCheckpointResponse response;
    return Call(*workers_, &Stub::SaveCheckpoint, request, &response);
  }
  // As a call does that was sent when the job's checkpoint was `replaced`.
  grpc::Status SaveOver(const v1::AcquireResponse& lease, const std::string& digest, const std::string& replaced) {
    v1::SaveCheckpointRequest request;
    request.set_job(lease.job());
    request.set_fencing_token(lease.fencing_token());
    request.set_checkpoint_sha256(digest);
    request.set_replaced_sha256(replaced);
    v1::SaveCheckpointResponse response;
    return Call(*workers_, &Stub::SaveCheckpoint, request, &response);
  }
  BlobStore& blobs() { return server_->state().blobs; }
  Digest Put(std::string_view text) { return *PutBlob(blobs(), std::as_bytes(std::span(text))); }
  // Removes whatever nothing names.
  void Collect() {
    clock_.Advance(int64_t{2} * 3'600'000);
    ASSERT_TRUE(server_->maintenance().Collect().ok());
  }
  v1::Job Get() {
    v1::GetJobRequest request;
    request.set_name(job_);
    v1::Job job;
    EXPECT_TRUE(Call(*jobs_, &v1::JobService::Stub::GetJob, request, &job).ok());
    return job;
  }

  // A blob that only one job names.
  Digest Scratch() {
    const auto writer = *BeginScratch(blobs());
    return *writer->Commit();
  }
  bool IsStored(const Digest& digest) { return blobs().Stat(digest).ok(); }

  std::string job_;

 private:
  std::unique_ptr<JobsClient> client_;
  std::unique_ptr<LeaseCheckpoints> slot_;  // of the first lease that saves
};

TEST_F(CheckpointsTest, AnotherWorkerGoesOnFromWhatTheFirstSaved) {
  const v1::AcquireResponse lease = Acquire();
  const Digest part = Put("a part");
  ASSERT_TRUE(Save(lease, Checkpoint{R"({"next":1})", {}}).ok());
  ASSERT_TRUE(Save(lease, Checkpoint{R"({"next":2})", {part}}).ok());
  EndLease();
  Collect();
  std::optional<Checkpoint> found;
  runners_[1].run = [&](const JobContext& context) -> absl::StatusOr<JobOutput> {
    const auto loaded = context.checkpoints.Load();
    if (!loaded.ok()) return loaded.status();
    found = *loaded;
    // Here, because the collector may take it as soon as the job has ended.
    EXPECT_TRUE(IsStored(part));
    return absl::DataLossError("enough is known");
  };
  ASSERT_TRUE(RunOne());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->state, R"({"next":2})");
  EXPECT_EQ(found->blobs, std::vector<Digest>{part});
}

TEST_F(CheckpointsTest, AFirstAttemptFindsNone) {
  bool none = false;
  runners_[1].run = [&](const JobContext& context) -> absl::StatusOr<JobOutput> {
    const auto loaded = context.checkpoints.Load();
    none = loaded.ok() && !loaded->has_value();
    return absl::DataLossError("enough is known");
  };
  ASSERT_TRUE(RunOne());
  EXPECT_TRUE(none);
}

TEST_F(CheckpointsTest, ACheckpointAndItsBlobsAreCollectedOnceTheJobHasEnded) {
  const v1::AcquireResponse lease = Acquire();
  const Digest part = Put("a part");
  ASSERT_TRUE(Save(lease, Checkpoint{"{}", {part}}).ok());
  EndLease();
  Collect();
  EXPECT_TRUE(blobs().Stat(part).ok()) << "the job waits for its next attempt";
  v1::CancelJobRequest cancel;
  cancel.set_name(job_);
  v1::Job cancelled;
  ASSERT_TRUE(Call(*jobs_, &v1::JobService::Stub::CancelJob, cancel, &cancelled).ok());
  Collect();
  EXPECT_TRUE(absl::IsNotFound(blobs().Stat(part).status()));
}

TEST_F(CheckpointsTest, ScratchGoesAsSoonAsTheNextCheckpointDoesNotNameIt) {
  const v1::AcquireResponse lease = Acquire();
  const Digest packed = Put("packed"), early = Scratch(), lasting = Scratch(), late = Scratch();
  ASSERT_TRUE(Save(lease, Checkpoint{"1", {packed}, {early, lasting}}).ok());
  EXPECT_TRUE(IsStored(early));
  ASSERT_TRUE(Save(lease, Checkpoint{"2", {}, {lasting, late}}).ok());
  EXPECT_FALSE(IsStored(early));
  EXPECT_TRUE(IsStored(lasting) && IsStored(late));
  EXPECT_TRUE(IsStored(packed)) << "others may name it: the collector decides";
}

TEST_F(CheckpointsTest, ScratchStaysWhileTheJobWaitsAndGoesWhenItFails) {
  const v1::AcquireResponse lease = Acquire();
  const Digest state = Scratch();
  ASSERT_TRUE(Save(lease, Checkpoint{"1", {}, {state}}).ok());
  EndLease();
  Collect();
  EXPECT_TRUE(IsStored(state));
  runners_[1].run = [](const JobContext&) -> absl::StatusOr<JobOutput> { return absl::DataLossError("bad model"); };
  ASSERT_TRUE(RunOne());
  server_->maintenance().RemoveEndedScratch();
  EXPECT_FALSE(IsStored(state));
}

TEST_F(CheckpointsTest, ScratchGoesWhenAJobThatWaitsIsCancelled) {
  const v1::AcquireResponse lease = Acquire();
  const Digest state = Scratch();
  ASSERT_TRUE(Save(lease, Checkpoint{"1", {}, {state}}).ok());
  EndLease();
  v1::CancelJobRequest cancel;
  cancel.set_name(job_);
  v1::Job cancelled;
  ASSERT_TRUE(Call(*jobs_, &v1::JobService::Stub::CancelJob, cancel, &cancelled).ok());
  server_->maintenance().RemoveEndedScratch();
  EXPECT_FALSE(IsStored(state));
}

TEST_F(CheckpointsTest, ALateSaveNeitherReplacesTheCheckpointNorRemovesItsScratch) {
  const v1::AcquireResponse lease = Acquire();
  const Digest state = Scratch();
  const Digest early = *StoreCheckpoint(blobs(), {"0", {}, {}});
  ASSERT_TRUE(Save(lease, Checkpoint{"1", {}, {state}}).ok());
  EXPECT_EQ(SaveOver(lease, early.Hex(), "").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(IsStored(state));
}

TEST_F(CheckpointsTest, ALostLeaseSavesNoCheckpoint) {
  const v1::AcquireResponse lease = Acquire();
  EndLease();
  EXPECT_TRUE(absl::IsAborted(Save(lease, Checkpoint{"{}", {}})));
}

TEST_F(CheckpointsTest, ACheckpointIsRefusedUnlessItAndItsBlobsAreStored) {
  const v1::AcquireResponse lease = Acquire();
  for (const std::string& digest : {std::string("x"), Sha256Of("nothing").Hex(), Put("no checkpoint").Hex(),
                                    StoreCheckpoint(blobs(), {"{}", {Sha256Of("nothing")}})->Hex()}) {
    const grpc::Status status = Save(lease, digest);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << digest;
    EXPECT_EQ(FieldOf(status), "checkpoint_sha256");
  }
}

TEST_F(CheckpointsTest, AWorkerThatIsKilledIsReplacedByOneThatContinues) {
  StopServer();
  settings_.no_workers = false;
  settings_.lease_seconds = 3600;
  settings_.worker_program = std::string(std::getenv("GWQ_BIN_DIR")) + "/checkpointing-worker";
  StartServer();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  // The next process starts after a time of this clock.
  while (Get().state() != v1::JOB_STATE_SUCCEEDED && std::chrono::steady_clock::now() < until) clock_.Advance(10);
  EXPECT_EQ(Get().state(), v1::JOB_STATE_SUCCEEDED) << Get().ShortDebugString();
  EXPECT_EQ(Get().attempt(), 2);
  Caller caller;
  v1::ReadJobLogsRequest request;
  request.set_name(job_);
  const auto stream = jobs_->ReadJobLogs(&caller.context, request);
  std::string log;
  for (v1::JobLogLine line; stream->Read(&line);) log += line.text() + "\n";
  EXPECT_EQ(log, "continues at part 3\n");
}

}  // namespace
}  // namespace gwq
