#include "server/infer/models/jobs_source.h"

#include <fmt/format.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "tests/server/infer/fake_jobs.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq::testing {
namespace {

TEST(JobsSource, OneThatWaitsFindsTheServiceStartedAfterOneThatDidNotWaitFailed) {
  const TempFolder folder;
  const std::string address = fmt::format("unix:{}/socket", folder.path());  // no other process takes it meanwhile
  const auto source = MakeJobsSource({.address = address, .token = {}, .blob_root = {}}, "test");
  const auto refused = source->Resolve(Caller(), "tiny", OnUnavailable::kFail);
  EXPECT_THAT(refused, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(MessageOf(refused.status()).find("did not answer within"), std::string::npos)
      << "it waited: " << refused.status();

  FakeJobs jobs(folder.path());
  jobs.Add("models/tiny", Digest{});
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&jobs);
  const auto server = builder.BuildAndStart();
  // The channel takes its time before it connects again.
  const auto resolved = source->Resolve(Caller(), "tiny", OnUnavailable::kWait);
  ASSERT_THAT(resolved, IsOk());
  EXPECT_EQ(resolved->name, "models/tiny");
  EXPECT_THAT(source->Resolve(Caller(), "tiny", OnUnavailable::kFail), IsOk());
  server->Shutdown();
}

}  // namespace
}  // namespace gwq::testing
