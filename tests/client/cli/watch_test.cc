// A job that is followed on the terminal, what is said at its end, and Ctrl-C.
#include "client/cli/commands/watch.h"

#include <gmock/gmock.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "gwq/v1/jobs.grpc.pb.h"
#include "tests/client/cli/printed.h"
#include "tests/client/local_server.h"
#include "tests/support/status_matchers.h"

namespace gwq::cli {
namespace {

using ::testing::HasSubstr;
using testing::PrintedBy;

// In a process of its own: a signal belongs to no test.
TEST(InterruptsDeathTest, TheFirstSignalCancelsAndTheSecondEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto interrupt_twice = [] {
    Interrupts interrupts;
    kill(getpid(), SIGTERM);
    if (!interrupts.canceller().WaitFor(std::chrono::minutes(1))) _exit(1);
    fputs("cancelled", stderr);
    kill(getpid(), SIGINT);
    pause();
  };
  EXPECT_EXIT(interrupt_twice(), ::testing::ExitedWithCode(kExitInterrupted), "cancelled");
}

v1::Job InState(v1::JobState state, const std::string& error = "") {
  v1::Job job;
  job.set_name("jobs/1");
  job.set_state(state);
  if (error.empty()) return job;
  job.mutable_error()->set_code(static_cast<int>(absl::StatusCode::kInvalidArgument));
  job.mutable_error()->set_message(error);
  return job;
}

testing::Printed EndOf(const v1::Job& job, ExitCode code, bool json = false) {
  return PrintedBy([&] {
    Session session({.token = {}, .json = json});
    EXPECT_EQ(ReportEnd(session, job), code);
  });
}

TEST(ReportEnd, IsALineForPeople) {
  EXPECT_EQ(EndOf(InState(v1::JOB_STATE_SUCCEEDED), kExitOk).error, "");
  EXPECT_EQ(EndOf(InState(v1::JOB_STATE_CANCELLED), kExitJobCancelled).error, "jobs/1: cancelled\n");
  const auto failed = EndOf(InState(v1::JOB_STATE_FAILED, "no luck"), kExitJobFailed);
  EXPECT_EQ(failed.error, "gwq: jobs/1 failed: no luck\n");
  EXPECT_EQ(failed.out, "");
  EXPECT_EQ(EndOf(InState(v1::JOB_STATE_FAILED), kExitJobFailed).error,
            "gwq: jobs/1 failed: the job failed without an error text\n");
}

TEST(ReportEnd, SaysWhereTheReportOfARefusedArtifactIs) {
  v1::Job job = InState(v1::JOB_STATE_FAILED, "missed");
  job.set_has_report(true);
  EXPECT_THAT(EndOf(job, kExitJobFailed).error, HasSubstr("'gwq jobs report jobs/1'"));
}

TEST(ReportEnd, ForProgramsTheJobIsAResultAndItsErrorAnObject) {
  using nlohmann::json;
  const auto failed = EndOf(InState(v1::JOB_STATE_FAILED, "no luck"), kExitJobFailed, /*json=*/true);
  EXPECT_EQ(json::parse(failed.out).at("state"), "JOB_STATE_FAILED");
  EXPECT_EQ(json::parse(failed.error),
            json::parse(R"({"error": {"code": "INVALID_ARGUMENT", "job": "jobs/1", "message": "no luck"}})"));
  const auto cancelled = EndOf(InState(v1::JOB_STATE_CANCELLED), kExitJobCancelled, /*json=*/true);
  EXPECT_EQ(json::parse(cancelled.error)["error"]["code"], "CANCELLED");
}

// Tells of one job what the test wrote, and ends the stream.
class Jobs final : public v1::JobService::Service {
 public:
  std::vector<v1::Job> states;

 private:
  grpc::Status WatchJob(grpc::ServerContext*, const v1::WatchJobRequest*, grpc::ServerWriter<v1::Job>* out) override {
    for (const v1::Job& state : states) out->Write(state);
    return grpc::Status::OK;
  }
};

TEST(FollowJob, TellsOnceThatAJobWaitsAndHowFarItIs) {
  Jobs jobs;
  const testing::LocalServer server(jobs);
  v1::Job running = InState(v1::JOB_STATE_RUNNING);
  running.mutable_progress()->set_phase("quantize");
  running.mutable_progress()->set_done(1);
  running.mutable_progress()->set_total(4);
  jobs.states = {InState(v1::JOB_STATE_QUEUED), InState(v1::JOB_STATE_QUEUED), InState(v1::JOB_STATE_RUNNING), running,
                 InState(v1::JOB_STATE_SUCCEEDED)};
  const auto printed = PrintedBy([&] {
    Session session({.jobs = server.endpoint.address, .token = {}});
    EXPECT_THAT(FollowJob(session, "jobs/1"), testing::IsOk());
  });
  EXPECT_EQ(printed.error, "jobs/1: queued\nquantize: 1 of 4 (20 %)\n");
  EXPECT_EQ(printed.out, "");
}

TEST(FollowJob, AnInterruptedWatchSaysHowToComeBack) {
  Session session({.jobs = "127.0.0.1:1", .token = {}});
  session.canceller().Cancel();
  const absl::Status status = FollowJob(session, "jobs/1").status();
  EXPECT_THAT(status, testing::HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(status.ToString(), HasSubstr("'gwq jobs watch jobs/1', or end it with 'gwq jobs cancel jobs/1'"));
}

}  // namespace
}  // namespace gwq::cli
