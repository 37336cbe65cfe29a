// What a connection refuses before any call, and how it tells that nobody answered from an answer.
#include "client/library/connection.h"

#include <gtest/gtest.h>

#include "gwq/v1/artifacts.grpc.pb.h"
#include "gwq/v1/models.grpc.pb.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

class Models final : public v1::ModelService::Service {
 public:
  int calls = 0;
  grpc::Status answer = grpc::Status::OK;

 private:
  grpc::Status GetModel(grpc::ServerContext*, const v1::GetModelRequest*, v1::Model*) override {
    ++calls;
    return answer;
  }
};

class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&models_);
    server_ = builder.BuildAndStart();
    endpoint_.address = "127.0.0.1:" + std::to_string(port);
    endpoint_.service = "gwq-jobs";
  }
  ~ConnectionTest() override { server_->Shutdown(); }

  absl::Status GetModel() const {
    const client::Connection connection(endpoint_);
    const auto stub = v1::ModelService::NewStub(connection.channel());
    return client::Call(connection, *stub, &v1::ModelService::Stub::GetModel, v1::GetModelRequest()).status();
  }

  Models models_;
  std::unique_ptr<grpc::Server> server_;
  client::Endpoint endpoint_;
};

bool Says(const absl::Status& status, std::string_view text) {
  return MessageOf(status).find(text) != std::string_view::npos;
}

TEST_F(ConnectionTest, ATokenThatNoHeaderTakesIsRefusedBeforeAnyCallAndNotTold) {
  endpoint_.token = "secret\nsecret";
  const absl::Status status = GetModel();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(Says(status, "token: byte 7 of 13 ")) << status;
  EXPECT_FALSE(Says(status, "secret")) << status;
  EXPECT_EQ(models_.calls, 0);
  endpoint_.token = "every-printable-byte,~too";
  EXPECT_THAT(GetModel(), IsOk());
}

TEST_F(ConnectionTest, WhatIsNoAddressIsRefusedBeforeAnyCall) {
  // gRPC would resolve the first to port 443, and logs that it cannot read the second.
  for (const char* const address : {"localhost", "\xff:1"}) {
    endpoint_.address = address;
    const absl::Status status = GetModel();
    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument)) << address;
    EXPECT_TRUE(Says(status, "address: ")) << status;
  }
}

TEST_F(ConnectionTest, AServicesOwnUnavailableIsAnAnswer) {
  models_.answer = {grpc::StatusCode::UNAVAILABLE, "gwq-jobs at elsewhere did not answer"};
  const absl::Status answered = GetModel();
  EXPECT_THAT(answered, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(MessageOf(answered), endpoint_.address + ": gwq-jobs at elsewhere did not answer");
  EXPECT_EQ(models_.calls, 1);
}

TEST_F(ConnectionTest, WhereNobodyListensNobodyAnswers) {
  endpoint_.address = "127.0.0.1:1";
  const absl::Status silent = GetModel();
  EXPECT_THAT(silent, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(Says(silent, "no answer from 127.0.0.1:1: ")) << silent;
  EXPECT_TRUE(Says(silent, "(is gwq-jobs running there?)")) << silent;
}

TEST_F(ConnectionTest, AServiceThatDoesNotKnowTheCallIsNamed) {
  const client::Connection connection(endpoint_);
  const auto stub = v1::ArtifactService::NewStub(connection.channel());
  const absl::Status status =
      client::Call(connection, *stub, &v1::ArtifactService::Stub::GetArtifact, v1::GetArtifactRequest()).status();
  EXPECT_THAT(status, HasCode(absl::StatusCode::kUnimplemented));
  EXPECT_TRUE(Says(status, endpoint_.address)) << status;
  EXPECT_TRUE(Says(status, "the address of gwq-jobs")) << status;
}

}  // namespace
}  // namespace gwq
