// The client library's push against gwq-jobs in this process.
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "client/library/upload.h"
#include "core/base/status.h"
#include "tests/server/jobs/jobs_fixture.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

class Silent final : public client::ProgressSink {
 public:
  void Update(std::string_view, uint64_t, uint64_t, std::string_view) override {}
  void Done() override {}
};

class PushTest : public JobsFixture {
 protected:
  // The tiny model on disk, as the client scans it.
  client::LocalModel Scan(const PushedModel& model) {
    const std::string folder = folder_ / "model";
    std::filesystem::create_directories(folder);
    for (const v1::FileEntry& file : model.page.files()) {
      std::ofstream out(folder + "/" + file.path(), std::ios::binary);
      out << model.blobs.at(file.sha256());
      for (const v1::TensorCut& cut : file.cuts()) out << model.blobs.at(cut.sha256());
    }
    auto scanned = client::ScanModel(folder, silent_);
    EXPECT_TRUE(scanned.ok()) << scanned.status();
    return *std::move(scanned);
  }
  absl::StatusOr<client::UploadSummary> PushTo(client::UploadOptions options, const client::LocalModel& model,
                                               client::Canceller* canceller = nullptr) {
    options.model_id = "tiny";
    options.first_pause = std::chrono::milliseconds(1);
    client::Endpoint endpoint;
    endpoint.address = server_->address();
    const client::Connection connection(endpoint, canceller);
    return client::PushModel(connection, model, options, silent_);
  }

  Silent silent_;
};

// Another push's stream of one blob, which stands still until it is ended.
class OtherStream {
 public:
  OtherStream(v1::ModelService::Stub& stub, const std::string& upload, const std::string& sha256,
              const std::string& data = "{")
      : writer_(stub.WriteBlob(&context_, &response_)) {
    v1::WriteBlobRequest message;
    message.set_upload(upload);
    message.set_sha256(sha256);
    message.set_data(data);
    (void)writer_->Write(message);
  }
  // Until the service has ended it, some writes after that.
  bool Goes() { return writer_->Write(v1::WriteBlobRequest()); }
  grpc::Status End() {
    writer_->WritesDone();
    return writer_->Finish();
  }

 private:
  grpc::ClientContext context_;
  v1::WriteBlobResponse response_;
  std::unique_ptr<grpc::ClientWriter<v1::WriteBlobRequest>> writer_;
};

TEST_F(PushTest, WaitsForAnotherPushThatWritesTheSameBlobAndGoesOnWhereItEnded) {
  PushedModel tiny = TinyModel();
  std::ranges::sort(*tiny.page.mutable_files(), {}, [](const v1::FileEntry& file) { return file.path(); });
  const client::LocalModel model = Scan(tiny);
  // What an earlier push of the same model made.
  v1::CreateUploadRequest create;
  create.set_model_id("tiny");
  create.set_total_bytes(tiny.total_bytes);
  create.set_request_id("tiny-" + model.fingerprint.Hex().substr(0, 32));
  v1::Upload upload;
  ASSERT_TRUE(Call(*models_, &v1::ModelService::Stub::CreateUpload, create, &upload).ok());
  tiny.page.set_upload(upload.name());
  v1::AddUploadFilesResponse pages;
  ASSERT_TRUE(Call(*models_, &v1::ModelService::Stub::AddUploadFiles, tiny.page, &pages).ok());

  const std::string blob = model.files[0].head.digest.Hex();
  auto other = std::make_unique<OtherStream>(*models_, upload.name(), blob);
  // Until the service has seen it; the one that asks may have come first, and kept it out.
  while (OtherStream(*models_, upload.name(), blob, "").End().ok()) {
    if (other->Goes()) continue;
    EXPECT_FALSE(other->End().ok());
    other = std::make_unique<OtherStream>(*models_, upload.name(), blob);
  }
  int waits = 0;
  const auto wait = [&](const absl::Status& why) {
    EXPECT_NE(MessageOf(why).find("another stream writes this blob"), std::string_view::npos) << why;
    EXPECT_EQ(MessageOf(why).find("no answer"), std::string_view::npos) << why;
    EXPECT_EQ(RetryDelayMilliseconds(why), 200);
    ++waits;
    if (waits == 2) {
      EXPECT_TRUE(other->End().ok());
    }
  };
  client::UploadOptions options;
  options.waiting = wait;
  const auto pushed = PushTo(options, model);
  ASSERT_TRUE(pushed.ok()) << pushed.status();
  EXPECT_GE(waits, 2);
  EXPECT_TRUE(RunOne());
  EXPECT_TRUE(OperationNow(pushed->operation.name()).has_response());
}

TEST_F(PushTest, EndsWhenItIsCancelled) {
  const client::LocalModel model = Scan(TinyModel());
  client::Canceller canceller;
  canceller.Cancel();
  EXPECT_TRUE(absl::IsCancelled(PushTo({}, model, &canceller).status()));
  EXPECT_TRUE(absl::IsCancelled(client::ScanModel(folder_ / "model", silent_, &canceller).status()));
}

TEST_F(PushTest, NamesTextThatIsNoUtf8BeforeAnythingIsSent) {
  client::LocalModel model = Scan(TinyModel());
  model.files[1].name = "\xFF.json";
  const absl::Status status = PushTo({}, model).status();
  EXPECT_THAT(status, testing::FailsAt("files[1].path"));
  v1::GetModelRequest request;
  request.set_name("models/\xFF");
  EXPECT_THAT(client::CheckUtf8(request), testing::FailsAt("name"));
  request.set_name("models/漢");
  EXPECT_THAT(client::CheckUtf8(request), testing::IsOk());
}

TEST(Canceller, CutsAPauseAndEveryCallToCome) {
  client::Canceller canceller;
  EXPECT_FALSE(canceller.WaitFor(std::chrono::milliseconds(0)));
  std::thread waits([&] { EXPECT_TRUE(canceller.WaitFor(std::chrono::hours(1))); });
  canceller.Cancel();
  waits.join();
  EXPECT_TRUE(canceller.cancelled());
}

}  // namespace
}  // namespace gwq
