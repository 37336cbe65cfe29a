// A push against a service that cuts streams, forgets bytes and tells untruths.
#include "client/library/upload.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "gwq/v1/models.grpc.pb.h"
#include "tests/client/local_server.h"
#include "tests/client/progress_record.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq::client {
namespace {

using ::testing::ElementsAre;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

constexpr uint64_t kPart = 1 << 20;  // what the client puts in a message

// Takes one blob of `size` bytes. The members are set before a call and read after it.
class Models final : public v1::ModelService::Service {
 public:
  std::string sha256;
  uint64_t size = 0;
  uint64_t stored = 0;               // bytes that are safe
  bool whole = false;                // the blob is in the store
  uint64_t bytes_each = UINT64_MAX;  // a stream is ended with `end` once it brought as many
  grpc::Status end{grpc::StatusCode::UNAVAILABLE, "cut"};
  uint64_t forgets = 0;           // bytes that are lost with the next stream that is ended
  std::vector<uint64_t> offsets;  // where streams began
  std::vector<v1::AddUploadFilesRequest> pages;
  int commits = 0;

 private:
  grpc::Status CreateUpload(grpc::ServerContext*, const v1::CreateUploadRequest*, v1::Upload* upload) override {
    upload->set_name("uploads/1");
    return grpc::Status::OK;
  }
  grpc::Status AddUploadFiles(grpc::ServerContext*, const v1::AddUploadFilesRequest* page,
                              v1::AddUploadFilesResponse*) override {
    pages.push_back(*page);
    return grpc::Status::OK;
  }
  grpc::Status ListMissingBlobs(grpc::ServerContext*, const v1::ListMissingBlobsRequest*,
                                v1::ListMissingBlobsResponse* response) override {
    if (whole) return grpc::Status::OK;
    v1::MissingBlob& blob = *response->add_blobs();
    blob.set_sha256(sha256);
    blob.set_size(size);
    blob.set_received_bytes(stored);
    return grpc::Status::OK;
  }
  grpc::Status WriteBlob(grpc::ServerContext*, grpc::ServerReader<v1::WriteBlobRequest>* parts,
                         v1::WriteBlobResponse* response) override {
    v1::WriteBlobRequest part;
    uint64_t brought = 0;
    for (bool first = true; parts->Read(&part); first = false) {
      if (first) offsets.push_back(part.offset());
      if (first && part.offset() != stored) return {grpc::StatusCode::INVALID_ARGUMENT, "wrong offset"};
      if (brought >= bytes_each) return Ended();
      brought += part.data().size();
      stored += part.data().size();
    }
    whole = stored == size;
    response->set_complete(whole);
    return grpc::Status::OK;
  }
  grpc::Status CommitUpload(grpc::ServerContext*, const v1::CommitUploadRequest*,
                            google::longrunning::Operation* operation) override {
    ++commits;
    operation->set_name("operations/1");
    return grpc::Status::OK;
  }
  grpc::Status Ended() {
    stored -= std::min(stored, std::exchange(forgets, 0));
    return end;
  }
};

class UploadTest : public ::testing::Test {
 protected:
  UploadTest() {
    const std::string bytes(3 * kPart + 5, 'x');
    const std::string path = folder_ / "config.json";
    std::ofstream(path, std::ios::binary) << bytes;
    LocalFile file{
        .name = "config.json", .size = bytes.size(), .head = {path, 0, bytes.size(), Sha256Of(bytes)}, .tensors = {}};
    model_.total_bytes = models_.size = bytes.size();
    models_.sha256 = file.head.digest.Hex();
    model_.files.push_back(std::move(file));
    options_.model_id = "m";
    options_.max_attempts = 3;
    options_.first_pause = std::chrono::milliseconds(0);
    options_.waiting = [this](const absl::Status&) { ++waits_; };
  }
  absl::StatusOr<UploadSummary> Push() { return PushModel(Connection(server_.endpoint), model_, options_, progress_); }

  const testing::TempFolder folder_;
  Models models_;
  const testing::LocalServer server_{models_};
  LocalModel model_;
  UploadOptions options_;
  testing::ProgressRecord progress_;
  int waits_ = 0;
};

TEST_F(UploadTest, BeginsWhereTheServicesDiskEnds) {
  models_.stored = kPart + 7;
  const auto pushed = Push();
  ASSERT_THAT(pushed, IsOk());
  EXPECT_EQ(pushed->sent_bytes, 2 * kPart - 2);
  EXPECT_EQ(pushed->total_bytes, model_.total_bytes);
  EXPECT_EQ(pushed->operation.name(), "operations/1");
  EXPECT_EQ(progress_.last_done, progress_.last_total);
  EXPECT_THAT(models_.offsets, ElementsAre(kPart + 7));
}

TEST_F(UploadTest, GoesOnWhereABrokenStreamStoppedWithoutWaiting) {
  models_.bytes_each = kPart;
  ASSERT_THAT(Push(), IsOk());
  EXPECT_THAT(models_.offsets, ElementsAre(0, kPart, 2 * kPart, 3 * kPart));
  EXPECT_EQ(waits_, 0) << "each brought something";
}

TEST_F(UploadTest, GoesBackToWhatTheServiceStillHas) {
  models_.bytes_each = 2 * kPart;
  models_.forgets = kPart;
  ASSERT_THAT(Push(), IsOk());
  EXPECT_THAT(models_.offsets, ElementsAre(0, kPart, 3 * kPart));
}

TEST_F(UploadTest, GivesUpWhenAttemptsBringNothingForward) {
  models_.bytes_each = 0;
  const absl::Status status = Push().status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(status.ToString(), HasSubstr("3 attempts made no progress"));
  EXPECT_THAT(models_.offsets, ElementsAre(0, 0, 0));
  EXPECT_EQ(waits_, 2) << "nobody waits after the last one";
  EXPECT_EQ(models_.commits, 0);
}

TEST_F(UploadTest, WhatDoesNotPassIsToldAtOnce) {
  models_.bytes_each = 0;
  models_.end = {grpc::StatusCode::RESOURCE_EXHAUSTED, "the disk is full"};
  EXPECT_THAT(Push(), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(models_.offsets, ElementsAre(0));
  models_.end = {grpc::StatusCode::INVALID_ARGUMENT, "the digest differs"};
  EXPECT_THAT(Push(), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(models_.offsets.size(), 2u);
  EXPECT_EQ(models_.commits, 0);
}

TEST_F(UploadTest, ABlobThatTheModelDoesNotHaveIsNamed) {
  models_.sha256 = Sha256Of("another").Hex();
  const absl::Status status = Push().status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kInternal));
  EXPECT_THAT(status.ToString(), HasSubstr(models_.sha256));
  EXPECT_EQ(models_.commits, 0);
}

TEST_F(UploadTest, AFileThatShrankMeanwhileIsNamed) {
  std::filesystem::resize_file(folder_ / "config.json", kPart);
  const absl::Status status = Push().status();
  EXPECT_THAT(status.ToString(), HasSubstr("the file changed while it was sent"));
  EXPECT_THAT(status.ToString(), HasSubstr(folder_ / "config.json"));
  EXPECT_EQ(models_.commits, 0);
}

TEST_F(UploadTest, AManifestOfManyTensorsComesInPagesAndWhatIsThereIsNotSent) {
  models_.whole = true;
  model_.files[0].tensors.assign(4001, LocalTensor{"t", model_.files[0].head});
  EXPECT_EQ(Push()->sent_bytes, 0u);
  EXPECT_EQ(models_.commits, 1);
  ASSERT_EQ(models_.pages.size(), 2u);
  EXPECT_EQ(models_.pages[0].files(0).cuts_size(), 4000);
  EXPECT_FALSE(models_.pages[0].last());
  EXPECT_EQ(models_.pages[1].files(0).cuts_size(), 1);
  EXPECT_TRUE(models_.pages[1].last());
  EXPECT_EQ(models_.pages[1].page(), 1);
}

}  // namespace
}  // namespace gwq::client
