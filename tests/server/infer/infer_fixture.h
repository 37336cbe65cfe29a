// gwq-infer's service in this process on a free port, over a fake gwq-jobs that knows two tiny models.
#pragma once

#include <grpcpp/server.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "gwq/v1/inference.grpc.pb.h"
#include "server/common/service_host.h"
#include "server/infer/inference_service.h"
#include "tests/server/infer/fake_jobs.h"
#include "tests/server/infer/gated_backend.h"
#include "tests/support/temp_folder.h"

namespace gwq::testing {

inline const std::string kLocal(kLocalPrincipal);

// "models/tiny" and "models/other", and the vision-language models "models/seeing", "models/blind", which lacks its
// processor file, "models/llava" and "models/boxless", which are of other families.
class InferFixture : public ::testing::Test {
 protected:
  struct Setup {
    LoadOptions load;
    int64_t hold_millis = 600'000;
    int64_t unload_millis = 20'000;
    ImageLimits image_limits;
    size_t max_queued_images = 16;
    size_t image_memory_bytes = size_t{64} << 20;
    std::string tokens;      // lines of the token file; empty: everybody is local
    std::string jobs_token;  // the service's own at gwq-jobs
    uint64_t max_loaded_bytes = 0;
    int load_threads = 2;
    const Clock* clock = &SystemClock();
  };
  // Imported once for all tests of the program.
  static void SetUpTestSuite();

  InferFixture();
  ~InferFixture() override;
  // Called by the test, which may change the set-up before.
  void Start();
  void Start(const Setup& setup);
  void Stop();

  [[nodiscard]] grpc::Status Load(const std::string& name, v1::LoadedModel* loaded = nullptr, int64_t context = 0);
  // A stub with a connection of its own.
  [[nodiscard]] std::unique_ptr<v1::InferenceService::Stub> NewStub(const grpc::ChannelArguments& arguments = {});
  [[nodiscard]] v1::LoadedModel Describe(const std::string& name);
  // Blocks until nothing runs or waits; fails where that takes more than 30 s.
  void ExpectIdle(const std::string& name, const std::string& principal = kLocal);
  [[nodiscard]] SchedulerStats Stats(const std::string& name, const std::string& principal = kLocal);

  [[nodiscard]] static const Digest& tiny();
  [[nodiscard]] static const Digest& other();
  [[nodiscard]] static const Digest& llava();
  // Where all of them are.
  [[nodiscard]] static BlobStore& store();

  std::unique_ptr<FakeJobs> jobs;
  std::unique_ptr<GatedBackend> backend;
  std::unique_ptr<ModelTable> models;
  std::unique_ptr<v1::InferenceService::Stub> stub;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<ImageStore> image_store;
  std::unique_ptr<ImageMemory> image_memory;

 private:
  const Log log_{"gwq-infer-test", LogLevel::kError};
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<grpc::Server> jobs_server_;
  std::unique_ptr<ModelSource> source_;
  std::unique_ptr<Holds> holds_;
  std::unique_ptr<ModelLoader> loader_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Executor> loads_;
  std::unique_ptr<Executor> lookups_;
  std::unique_ptr<Executor> images_;
  std::unique_ptr<InferenceService> service_;
  std::unique_ptr<ServiceHost> host_;
};

// Reads a stream to its end: texts and ids joined, the last chunk's figures.
struct Streamed {
  grpc::Status status;
  v1::GenerateResponse answer;
  int chunks = 0;
  bool valid_utf8 = true;  // every chunk by itself
};
[[nodiscard]] Streamed ReadStream(v1::InferenceService::Stub& stub, const v1::GenerateRequest& request);

[[nodiscard]] bool IsUtf8(std::string_view text);
// The field of the first BadRequest violation in the details; empty if there is none.
[[nodiscard]] std::string ViolatedField(const grpc::Status& status);
// The RetryInfo's delay in milliseconds; -1 if there is none.
[[nodiscard]] int64_t RetryMillis(const grpc::Status& status);

[[nodiscard]] v1::GenerateRequest Prompt(const std::string& model, const std::string& prompt, int max_tokens);

}  // namespace gwq::testing
