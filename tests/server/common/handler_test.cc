#include "server/common/handler.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>

#include "absl/cleanup/cleanup.h"
#include "core/base/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gwq/v1/artifacts.grpc.pb.h"
#include "gwq/v1/models.grpc.pb.h"
#include "server/common/service_host.h"

namespace gwq {
namespace {

using ReadRequest = v1::ReadBlobRequest;
using ReadResponse = v1::ReadBlobResponse;

class EchoModel final : public BlockingHandler<v1::GetModelRequest, v1::Model> {
 public:
  using BlockingHandler::BlockingHandler;

 private:
  absl::Status Run() override {
    if (request().name() == "bad") return InvalidField("name", "'bad' is not good");
    if (request().name() == "é") return InvalidField("name", request().name().substr(0, 1) + " is not good");
    if (request().name() == "busy") return WithRetryDelay(absl::ResourceExhaustedError("full"), 1500);
    response().set_name(request().name());
    response().set_job(principal());
    return absl::OkStatus();
  }
};

// Never ends by itself.
class Waiting final : public UnaryHandler<v1::DeleteModelRequest, google::protobuf::Empty> {
 public:
  using UnaryHandler::UnaryHandler;

 private:
  void Start() override {}
};

class CountUp final : public ServerStreamHandler<ReadRequest, ReadResponse> {
 public:
  using ServerStreamHandler::ServerStreamHandler;

 private:
  void Open() override { Drained(); }
  void Drained() override {
    EXPECT_EQ(queued(), 0u);
    EXPECT_EQ(running_.fetch_add(1), 0);
    const absl::Cleanup done = [this] { running_.fetch_sub(1); };
    if (next_ == request().limit()) return End(absl::DataLossError("ran out"));
    for (int i = 0; i < 3 && next_ < request().limit(); ++i) {
      ReadResponse part;
      part.set_total_bytes(next_++);
      Send(std::move(part));
    }
  }
  uint64_t next_ = 0;
  std::atomic<int> running_{0};
};

class AddUp final : public ClientStreamHandler<v1::WriteBlobRequest, v1::WriteBlobResponse> {
 public:
  using ClientStreamHandler::ClientStreamHandler;

 private:
  void Message(v1::WriteBlobRequest& message) override {
    if (message.offset() == 666) return End(absl::AbortedError("enough"));
    sum_ += message.offset();
  }
  void Closed() override {
    response().set_persisted_bytes(sum_);
    End(absl::OkStatus());
  }
  uint64_t sum_ = 0;
};

class Models final : public v1::ModelService::CallbackService {
 public:
  explicit Models(const CallEnvironment& environment) : environment_(environment) {}

 private:
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context, const v1::GetModelRequest* request,
                                     v1::Model* response) override {
    return StartCall<EchoModel>(environment_, "ModelService/GetModel", context, request, response);
  }
  grpc::ServerUnaryReactor* DeleteModel(grpc::CallbackServerContext* context, const v1::DeleteModelRequest* request,
                                        google::protobuf::Empty* response) override {
    return StartCall<Waiting>(environment_, "ModelService/DeleteModel", context, request, response);
  }
  grpc::ServerReadReactor<v1::WriteBlobRequest>* WriteBlob(grpc::CallbackServerContext* context,
                                                           v1::WriteBlobResponse* response) override {
    return StartCall<AddUp>(environment_, "ModelService/WriteBlob", context, response);
  }
  const CallEnvironment environment_;
};

class Artifacts final : public v1::ArtifactService::CallbackService {
 public:
  explicit Artifacts(const CallEnvironment& environment) : environment_(environment) {}

 private:
  grpc::ServerWriteReactor<ReadResponse>* ReadBlob(grpc::CallbackServerContext* context,
                                                   const ReadRequest* request) override {
    return StartCall<CountUp>(environment_, "ArtifactService/ReadBlob", context, request);
  }
  const CallEnvironment environment_;
};

class HandlerTest : public testing::Test {
 protected:
  void SetUp() override {
    settings_.drain_seconds = 1;  // what the health watch holds on for
    auto host = ServiceHost::Start(settings_, {&models_service_, &artifacts_service_});
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    channel_ = grpc::CreateChannel(host_->address(), grpc::InsecureChannelCredentials());
    models_ = v1::ModelService::NewStub(channel_);
    artifacts_ = v1::ArtifactService::NewStub(channel_);
  }
  grpc::Status Get(const std::string& name, v1::Model* model, const std::string& token = "") {
    grpc::ClientContext context;
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    v1::GetModelRequest request;
    request.set_name(name);
    return models_->GetModel(&context, request, model);
  }

  ServiceSettings settings_;
  Executor executor_{2, 16};
  Authenticator authenticator_;
  Metrics metrics_;
  Log log_{"test", LogLevel::kError};
  CallEnvironment environment_{executor_, authenticator_, metrics_, log_};
  Models models_service_{environment_};
  Artifacts artifacts_service_{environment_};
  std::unique_ptr<ServiceHost> host_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ModelService::Stub> models_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
};

TEST_F(HandlerTest, UnaryAnswersAndCounts) {
  v1::Model model;
  ASSERT_TRUE(Get("m", &model).ok());
  EXPECT_EQ(model.name(), "m");
  EXPECT_EQ(model.job(), "local");
  host_->Drain();
  EXPECT_NE(metrics_.Text().find("gwq_rpc_total{code=\"OK\",method=\"ModelService/GetModel\"} 1"), std::string::npos)
      << metrics_.Text();
  EXPECT_NE(metrics_.Text().find("# HELP gwq_rpc_total Calls that ended"), std::string::npos);
}

TEST_F(HandlerTest, FieldViolationsTravelAsBadRequest) {
  v1::Model model;
  const grpc::Status status = Get("bad", &model);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::BadRequest bad;
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).field(), "name");
}

TEST_F(HandlerTest, AnErrorThatCutsACharacterStaysReadable) {
  v1::Model model;
  const grpc::Status status = Get("é", &model);
  EXPECT_EQ(status.error_message(), "name: \xEF\xBF\xBD is not good");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(0).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).description(), "\xEF\xBF\xBD is not good");
}

TEST_F(HandlerTest, RetryDelayTravelsAsRetryInfo) {
  v1::Model model;
  const grpc::Status status = Get("busy", &model);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(0).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST_F(HandlerTest, AnUnknownTokenIsRefusedAndAKnownOneGivesThePrincipal) {
  auto tokens = Authenticator::FromText("# comment\n0123456789abcdef alice\n");
  ASSERT_TRUE(tokens.ok());
  authenticator_ = *tokens;
  v1::Model model;
  EXPECT_EQ(Get("m", &model).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Get("m", &model, "0123456789abcdee").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  ASSERT_TRUE(Get("m", &model, "0123456789abcdef").ok());
  EXPECT_EQ(model.job(), "alice");
}

TEST_F(HandlerTest, AWaitingCallEndsWithItsDeadline) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  google::protobuf::Empty empty;
  EXPECT_EQ(models_->DeleteModel(&context, {}, &empty).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  host_->Drain();  // hangs where the handler did not end
}

TEST_F(HandlerTest, AStreamArrivesInOrderAndEndsWithItsStatus) {
  grpc::ClientContext context;
  ReadRequest request;
  request.set_limit(100);
  auto reader = artifacts_->ReadBlob(&context, request);
  ReadResponse part;
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(reader->Read(&part));
    EXPECT_EQ(part.total_bytes(), i);
  }
  EXPECT_FALSE(reader->Read(&part));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DATA_LOSS);
}

TEST_F(HandlerTest, ACancelledStreamEnds) {
  grpc::ClientContext context;
  ReadRequest request;
  request.set_limit(1'000'000'000);
  auto reader = artifacts_->ReadBlob(&context, request);
  ReadResponse part;
  ASSERT_TRUE(reader->Read(&part));
  context.TryCancel();
  while (reader->Read(&part)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  host_->Drain();
}

TEST_F(HandlerTest, AClientStreamIsReadToItsEnd) {
  grpc::ClientContext context;
  v1::WriteBlobResponse response;
  auto writer = models_->WriteBlob(&context, &response);
  v1::WriteBlobRequest message;
  for (uint64_t i = 1; i <= 1000; ++i) {
    message.set_offset(i == 666 ? 0 : i);
    ASSERT_TRUE(writer->Write(message));
  }
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(response.persisted_bytes(), 1000u * 1001 / 2 - 666);
}

TEST_F(HandlerTest, AHandlerMayEndAClientStreamEarly) {
  grpc::ClientContext context;
  v1::WriteBlobResponse response;
  auto writer = models_->WriteBlob(&context, &response);
  v1::WriteBlobRequest message;
  message.set_offset(666);
  while (writer->Write(message)) {
  }
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::ABORTED);
}

// Takes all threads of an executor while it lives.
class Occupied {
 public:
  Occupied(Executor& executor, int threads) : all_(threads) {
    for (int i = 0; i < threads; ++i) {
      const absl::Status posted = executor.Post([this, released = released_] {
        all_.count_down();
        released.wait();
      });
      EXPECT_TRUE(posted.ok()) << posted;
    }
    all_.wait();
  }
  ~Occupied() { release_.set_value(); }

 private:
  std::latch all_;
  std::promise<void> release_;
  const std::shared_future<void> released_{release_.get_future()};
};

TEST_F(HandlerTest, AStreamTakesFewBytesAheadOfAReaderThatStands) {
  grpc::ClientContext context;
  v1::WriteBlobResponse response;
  grpc::CompletionQueue queue;
  // The tag of what ended within the time; null if nothing did.
  const auto ended = [&](std::chrono::seconds time) -> void* {
    void* tag = nullptr;
    bool ok = false;
    const auto until = std::chrono::system_clock::now() + time;
    return queue.AsyncNext(&tag, &ok, until) == grpc::CompletionQueue::GOT_EVENT ? tag : nullptr;
  };
  v1::WriteBlobRequest message;
  message.set_data(std::string(1 << 20, 'x'));
  const auto writer = models_->AsyncWriteBlob(&context, &response, &queue, &message);
  ASSERT_NE(ended(std::chrono::seconds(30)), nullptr);
  // A line that was fast so far.
  for (int i = 0; i < 1024; ++i) {
    writer->Write(message, &message);
    ASSERT_NE(ended(std::chrono::seconds(30)), nullptr);
  }
  size_t bytes = 0;
  {
    const Occupied standing(executor_, 2);
    const auto written = [&] {
      writer->Write(message, &message);
      return ended(std::chrono::seconds(1)) != nullptr;
    };
    while (bytes < (size_t{1} << 30) && written()) bytes += message.data().size();
  }
  EXPECT_LE(bytes, size_t{6} << 20) << "a window of 2 MiB, and the messages that straddle it";
  context.TryCancel();
  grpc::Status status;
  writer->Finish(&status, &status);
  for (void* tag = &message; tag != &status;) {
    tag = ended(std::chrono::seconds(30));
    ASSERT_NE(tag, nullptr);
  }
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(HandlerTest, AFullExecutorRefusesWithARetryDelay) {
  v1::Model model;
  grpc::Status status;
  {
    const Occupied standing(executor_, 2);
    while (executor_.Post([] {}).ok()) {
    }
    status = Get("m", &model);
  }
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_FALSE(status.error_details().empty());
}

// The watch of grpc.health.v1, whose C++ classes Debian does not ship: an empty request, then bytes {1 << 3, status}.
class HealthWatch {
 public:
  explicit HealthWatch(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {
    call_ = stub_.PrepareCall(&context_, "/grpc.health.v1.Health/Watch", &queue_);
    call_->StartCall(this);
    EXPECT_TRUE(Next());
    call_->WriteLast(grpc::ByteBuffer(nullptr, 0), grpc::WriteOptions(), this);
    EXPECT_TRUE(Next());
  }
  ~HealthWatch() {
    grpc::Status status;
    call_->Finish(&status, this);
    (void)Next();
  }
  // 1: SERVING, 2: NOT_SERVING, -1: the stream ended.
  int Read() {
    grpc::ByteBuffer buffer;
    call_->Read(&buffer, this);
    if (!Next()) return -1;
    grpc::Slice bytes;
    return buffer.DumpToSingleSlice(&bytes).ok() && bytes.size() == 2 ? bytes.begin()[1] : 0;
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

TEST_F(HandlerTest, HealthServesUntilTheDrain) {
  HealthWatch watch(channel_);
  EXPECT_EQ(watch.Read(), 1);
  std::thread drain([this] { host_->Drain(); });
  EXPECT_EQ(watch.Read(), 2);
  drain.join();
}

}  // namespace
}  // namespace gwq
