// The client library's pull against a service that breaks streams and tells untruths.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "client/library/download.h"
#include "core/base/status.h"
#include "core/manifest/manifest.h"
#include "core/spec/quality_gate.h"
#include "gwq/v1/artifacts.grpc.pb.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

class Silent final : public client::ProgressSink {
 public:
  void Update(std::string_view, uint64_t, uint64_t, std::string_view) override {}
  void Done() override {}
};

// Does something else at every step of a pull.
class AtEachStep final : public client::ProgressSink {
 public:
  using Step = std::function<void(uint64_t done, uint64_t total)>;
  explicit AtEachStep(Step step) : step_(std::move(step)) {}
  void Update(std::string_view, uint64_t done, uint64_t total, std::string_view) override { step_(done, total); }
  void Done() override {}

 private:
  const Step step_;
};

// One artifact of one file of 4500 bytes. The members are set before a call and read after it.
class Artifacts final : public v1::ArtifactService::Service {
 public:
  static constexpr size_t kPart = 1000;
  Artifacts() { Hold("q.jsonl", 'y'); }

  // Holds another file from now on.
  void Hold(const std::string& name, char different) {
    bytes_ = std::string(4500, 'x');
    bytes_[4321] = different;
    Manifest manifest;
    manifest.kind = "dataset";
    manifest.files = {{name, bytes_.size(), Sha256Of(bytes_)}};
    manifest_ = ManifestJson(manifest);
    digest = Sha256Of(manifest_).Hex();
  }

  std::string digest;
  // Streams of a blob end with `broken` after this many parts, those of the manifest before the last byte.
  size_t parts_each = SIZE_MAX;
  int broken_manifests = 0;
  grpc::Status broken{grpc::StatusCode::UNAVAILABLE, "cut"};
  int64_t too_many = 0;           // bytes that a stream of a blob brings above its size, or fewer
  std::vector<uint64_t> offsets;  // asked for

 private:
  grpc::Status GetArtifact(grpc::ServerContext*, const v1::GetArtifactRequest*, v1::Artifact* response) override {
    response->set_digest(digest);
    return grpc::Status::OK;
  }
  grpc::Status ReadManifest(grpc::ServerContext*, const v1::ReadManifestRequest*,
                            grpc::ServerWriter<v1::ReadBlobResponse>* writer) override {
    const bool breaks = broken_manifests-- > 0;
    v1::ReadBlobResponse part;
    part.set_data(manifest_.substr(0, manifest_.size() - (breaks ? 1 : 0)));
    writer->Write(part);
    return breaks ? broken : grpc::Status::OK;
  }
  grpc::Status ReadBlob(grpc::ServerContext*, const v1::ReadBlobRequest* request,
                        grpc::ServerWriter<v1::ReadBlobResponse>* writer) override {
    offsets.push_back(request->offset());
    size_t offset = request->offset();
    std::string bytes = bytes_;
    bytes.resize(bytes.size() + static_cast<size_t>(too_many));
    for (size_t parts = 0; offset < bytes.size(); ++parts) {
      if (parts == parts_each) return broken;
      v1::ReadBlobResponse part;
      part.set_data(bytes.substr(offset, kPart));
      offset += part.data().size();
      writer->Write(part);
    }
    return grpc::Status::OK;
  }

  std::string bytes_;
  std::string manifest_;
};

class PullTest : public ::testing::Test {
 protected:
  PullTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&artifacts_);
    server_ = builder.BuildAndStart();
    endpoint_.address = "127.0.0.1:" + std::to_string(port);
    retry_.max_attempts = 3;
    retry_.first_pause = std::chrono::milliseconds(1);
  }
  ~PullTest() override { server_->Shutdown(); }

  absl::StatusOr<client::PullSummary> Pull() { return Pull(silent_); }
  absl::StatusOr<client::PullSummary> Pull(client::ProgressSink& progress) {
    const client::Connection connection(endpoint_, canceller_);
    return client::Pull(connection, "artifacts/small", pulled(), progress, retry_);
  }
  // What the folder holds, by name.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(pulled())) {
      std::stringstream text;
      text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      files[entry.path().filename()] = text.str();
    }
    return files;
  }
  std::string pulled() const { return folder_ / "pulled"; }

  testing::TempFolder folder_;
  Artifacts artifacts_;
  std::unique_ptr<grpc::Server> server_;
  client::Endpoint endpoint_;
  client::Canceller* canceller_ = nullptr;
  client::RetryOptions retry_;
  Silent silent_;
};

TEST_F(PullTest, RefusesAManifestThatIsNotTheArtifacts) {
  const std::string right = artifacts_.digest;
  artifacts_.digest = Sha256Of("another").Hex();
  const absl::Status status = Pull().status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kDataLoss));
  EXPECT_NE(MessageOf(status).find(right), std::string_view::npos) << status;
  EXPECT_NE(MessageOf(status).find(artifacts_.digest), std::string_view::npos) << status;
  EXPECT_FALSE(std::filesystem::exists(pulled()));
}

TEST_F(PullTest, GoesOnWhereABrokenStreamStopped) {
  artifacts_.parts_each = 2;
  artifacts_.broken_manifests = 2;
  const auto summary = Pull();
  ASSERT_THAT(summary, IsOk());
  EXPECT_EQ(artifacts_.offsets, (std::vector<uint64_t>{0, 2000, 4000}));
  EXPECT_EQ(summary->received_bytes, 4500u);
  EXPECT_EQ(summary->digest.Hex(), artifacts_.digest);
  const auto verified = client::VerifyFolder(pulled(), std::nullopt, silent_);
  ASSERT_THAT(verified, IsOk());
  EXPECT_EQ(verified->Hex(), artifacts_.digest);
}

TEST_F(PullTest, AFolderWhoseArtifactMissesItsContractIsNotVerified) {
  ASSERT_THAT(Pull(), IsOk());
  Manifest manifest;
  manifest.kind = "artifact";
  manifest.architecture = "LlamaForCausalLM";
  manifest.source = Sha256Of("model");
  manifest.recipe_json = manifest.producer_json = "{}";
  const QualityMeasures worse{.bits = 4.5, .evaluations = {{"text", {{"mean_kl", 0.2}}}}};
  manifest.quality_json = QualityGateJson({.contract = {.max_mean_kl = 0.1}, .measures = worse});
  std::ofstream(pulled() + "/gwq-manifest.json") << ManifestJson(manifest);
  EXPECT_THAT(client::VerifyFolder(pulled(), std::nullopt, silent_), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST_F(PullTest, GivesUpWhenAttemptsBringNothingForward) {
  artifacts_.parts_each = 0;
  int pauses = 0;
  retry_.waiting = [&](const absl::Status&) { ++pauses; };
  const absl::Status status = Pull().status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_NE(MessageOf(status).find("3 attempts"), std::string_view::npos) << status;
  EXPECT_EQ(artifacts_.offsets.size(), 3u);
  EXPECT_EQ(pauses, 2);
  artifacts_.broken = {grpc::StatusCode::NOT_FOUND, "deleted"};
  EXPECT_THAT(Pull().status(), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(artifacts_.offsets.size(), 4u) << "that does not pass";
}

TEST_F(PullTest, AFolderThatWasRewrittenWholeIsFoundOutByTheDigest) {
  ASSERT_THAT(Pull(), IsOk());
  const Digest digest = *Digest::Parse(artifacts_.digest);
  EXPECT_THAT(client::VerifyFolder(pulled(), digest, silent_), IsOk());
  const std::string forged = "forged";
  Manifest manifest;
  manifest.kind = "dataset";
  manifest.files = {{"q.jsonl", forged.size(), Sha256Of(forged)}};
  std::ofstream(pulled() + "/q.jsonl") << forged;
  std::ofstream(pulled() + "/gwq-manifest.json") << ManifestJson(manifest);
  const auto believed = client::VerifyFolder(pulled(), std::nullopt, silent_);
  ASSERT_THAT(believed, IsOk());
  EXPECT_NE(*believed, digest);
  EXPECT_THAT(client::VerifyFolder(pulled(), digest, silent_), HasCode(absl::StatusCode::kDataLoss));
}

TEST_F(PullTest, OnePullAtATimeWritesAFolderAndTheOtherIsRefusedAtOnce) {
  int refused = 0;
  AtEachStep second([&](uint64_t, uint64_t) {
    const absl::Status status = Pull().status();
    EXPECT_THAT(status, HasCode(absl::StatusCode::kUnavailable));
    EXPECT_NE(MessageOf(status).find(pulled()), std::string_view::npos) << status;
    EXPECT_NE(MessageOf(status).find("another pull"), std::string_view::npos) << status;
    ++refused;
  });
  ASSERT_THAT(Pull(second), IsOk());
  EXPECT_GE(refused, 5);
  const auto files = Files();
  EXPECT_EQ(files.size(), 2u) << "no lock is left";
  EXPECT_EQ(files.at("q.jsonl").size(), 4500u);
  EXPECT_THAT(Pull(), IsOk());
}

TEST_F(PullTest, AFileThatGrewBehindItsLastByteGetsNoName) {
  const std::string partial = pulled() + "/q.jsonl.partial";
  AtEachStep appends([&](uint64_t done, uint64_t total) {
    if (done == total) std::ofstream(partial, std::ios::app) << "z";
  });
  const absl::Status status = Pull(appends).status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kDataLoss));
  EXPECT_NE(MessageOf(status).find("4501 bytes, the manifest says 4500"), std::string_view::npos) << status;
  EXPECT_FALSE(std::filesystem::exists(pulled() + "/q.jsonl"));
  EXPECT_THAT(Pull(), IsOk());
  EXPECT_THAT(client::VerifyFolder(pulled(), std::nullopt, silent_), IsOk());
}

TEST_F(PullTest, ABlobThatIsLongerOrShorterThanTheManifestSaysIsNamed) {
  for (const auto& [too_many, text] : {std::pair(1, "is longer than the manifest says"), {-7, "ended 7 bytes early"}}) {
    artifacts_.too_many = too_many;
    const absl::Status status = Pull().status();
    EXPECT_THAT(status, HasCode(absl::StatusCode::kDataLoss));
    EXPECT_NE(MessageOf(status).find(text), std::string_view::npos) << status;
    EXPECT_FALSE(std::filesystem::exists(pulled() + "/q.jsonl"));
  }
  EXPECT_EQ(artifacts_.offsets.size(), 2u) << "to try again does not help";
}

TEST_F(PullTest, BytesThatWereSpoiledInACutFileAreFoundAndPulledAgain) {
  std::filesystem::create_directories(pulled());
  std::ofstream(pulled() + "/q.jsonl.partial") << std::string(4000, '?');
  const absl::Status status = Pull().status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kDataLoss));
  EXPECT_NE(MessageOf(status).find("bytes [0, 4500) have SHA-256"), std::string_view::npos) << status;
  const auto again = Pull();
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->received_bytes, 4500u);
}

TEST_F(PullTest, AFileThatIsRightIsLeftAndOneThatWasChangedIsPulledAgain) {
  ASSERT_THAT(Pull(), IsOk());
  EXPECT_EQ(Pull()->received_bytes, 0u);
  const auto right = Files();
  std::ofstream(pulled() + "/q.jsonl") << std::string(4500, '?');
  EXPECT_THAT(client::VerifyFolder(pulled(), std::nullopt, silent_), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_EQ(Pull()->received_bytes, 4500u);
  EXPECT_EQ(Files(), right);
}

TEST_F(PullTest, ACancelledPullGoesOnLater) {
  client::Canceller canceller;
  canceller_ = &canceller;
  AtEachStep cancels([&](uint64_t done, uint64_t) {
    if (done >= 2000) canceller.Cancel();
  });
  artifacts_.parts_each = 2;
  EXPECT_THAT(Pull(cancels), HasCode(absl::StatusCode::kCancelled));
  canceller_ = nullptr;
  const auto rest = Pull();
  ASSERT_THAT(rest, IsOk());
  EXPECT_EQ(rest->received_bytes, 2500u);
}

TEST_F(PullTest, AServiceThatTellsNoDigestIsAtFaultAndNotTheCaller) {
  artifacts_.digest = "";
  const absl::Status status = Pull().status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kDataLoss));
  EXPECT_NE(MessageOf(status).find("the service tells no digest of artifacts/small"), std::string_view::npos) << status;
}

TEST_F(PullTest, AFolderOfAnotherManifestIsRefusedAndLeftAsItIs) {
  ASSERT_THAT(Pull(), IsOk());
  const auto before = Files();
  const std::string first = artifacts_.digest;
  artifacts_.Hold("other.jsonl", 'z');
  const absl::Status status = Pull().status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kFailedPrecondition));
  for (const std::string& named : {pulled(), first, artifacts_.digest, std::string("another folder")}) {
    EXPECT_NE(MessageOf(status).find(named), std::string_view::npos) << status;
  }
  EXPECT_EQ(Files(), before);
}

TEST_F(PullTest, SoIsAFolderWhereAPullOfAnotherManifestWasCut) {
  artifacts_.parts_each = 2;
  artifacts_.broken = {grpc::StatusCode::NOT_FOUND, "deleted"};
  EXPECT_THAT(Pull().status(), HasCode(absl::StatusCode::kNotFound));
  const auto before = Files();
  EXPECT_EQ(before.at("q.jsonl.partial").size(), 2000u);
  artifacts_.parts_each = SIZE_MAX;
  artifacts_.Hold("other.jsonl", 'z');
  EXPECT_THAT(Pull().status(), HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Files(), before);
  artifacts_.Hold("q.jsonl", 'y');
  const auto resumed = Pull();
  ASSERT_THAT(resumed, IsOk());
  EXPECT_EQ(resumed->received_bytes, 2500u);
  EXPECT_EQ(Files().size(), 2u) << "nothing tells of the cut one";
}

}  // namespace
}  // namespace gwq
