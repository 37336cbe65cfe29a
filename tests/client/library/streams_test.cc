// Answers and jobs whose streams come whole, break on the way, say nothing, or are cancelled.
#include <gmock/gmock.h>

#include <atomic>

#include "client/library/generate.h"
#include "client/library/jobs.h"
#include "client/library/vqa.h"
#include "gwq/v1/inference.grpc.pb.h"
#include "gwq/v1/jobs.grpc.pb.h"
#include "tests/client/local_server.h"
#include "tests/client/progress_record.h"
#include "tests/support/status_matchers.h"

namespace gwq::client {
namespace {

using ::testing::ElementsAre;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

// Streams "a", "b" and a last part where `whole`, and ends with `end`; or never ends. Answers a question with itself.
class Inference final : public v1::InferenceService::Service {
 public:
  bool whole = true, endless = false;
  grpc::Status end = grpc::Status::OK;
  std::atomic<int> calls = 0;

 private:
  template <class Chunk, class Finish>
  grpc::Status Stream(grpc::ServerWriter<Chunk>* out, const Finish& finish) {
    ++calls;
    Chunk chunk;
    for (const char* const text : {"a", "b"}) {
      chunk.set_text(text);
      out->Write(chunk);
    }
    while (endless && out->Write(chunk)) {
    }
    chunk.set_text("");
    finish(chunk);
    if (whole) out->Write(chunk);
    return end;
  }
  grpc::Status Generate(grpc::ServerContext*, const v1::GenerateRequest*,
                        grpc::ServerWriter<v1::GenerateChunk>* out) override {
    return Stream(out, [](v1::GenerateChunk& last) { last.set_finish_reason(v1::STOP); });
  }
  grpc::Status Vqa(grpc::ServerContext*, const v1::VqaRequest*, grpc::ServerWriter<v1::VqaChunk>* out) override {
    return Stream(out, [](v1::VqaChunk& last) { last.mutable_result()->mutable_free_text(); });
  }
  grpc::Status VqaOnce(grpc::ServerContext*, const v1::VqaRequest* request, v1::VqaResponse* response) override {
    ++calls;
    if (request->question() == "?") return {grpc::StatusCode::INVALID_ARGUMENT, "no question"};
    response->mutable_result()->mutable_free_text()->set_answer(request->question());
    return grpc::Status::OK;
  }
};

class AnswersTest : public ::testing::Test {
 protected:
  std::vector<absl::Status> AskForBothKinds() {
    const auto seen = [this](const auto& chunk) { Seen(chunk.text()); };
    return {Generate(connection_, {}, canceller_, seen).status(), Vqa(connection_, {}, canceller_, seen).status()};
  }
  absl::Status Batch(const std::vector<std::string>& questions, int parallel) {
    std::vector<VqaQuestion> asked(questions.size());
    for (size_t i = 0; i < questions.size(); ++i) asked[i].request.set_question(questions[i]);
    return AskAll(connection_, asked, parallel, canceller_, progress_,
                  [this](const VqaQuestion&, const absl::StatusOr<v1::VqaResponse>& answer) {
                    Seen(answer.ok() ? answer->result().free_text().answer() : answer.status().ToString());
                  });
  }
  void Seen(const std::string& text) {
    seen_.push_back(text);
    if (seen_.size() == cancel_after_) canceller_.Cancel();
  }

  Inference inference_;
  const testing::LocalServer server_{inference_};
  const Connection connection_{server_.endpoint};
  Canceller canceller_;
  testing::ProgressRecord progress_;
  std::vector<std::string> seen_;
  size_t cancel_after_ = 0;
};

TEST_F(AnswersTest, PartsComeInOrderUpToTheLast) {
  for (const absl::Status& status : AskForBothKinds()) EXPECT_THAT(status, IsOk());
  EXPECT_THAT(seen_, ElementsAre("a", "b", "", "a", "b", ""));
}

TEST_F(AnswersTest, AStreamThatBreaksIsAnErrorBehindWhatCameAndNotAskedTwice) {
  inference_.whole = false;
  inference_.end = {grpc::StatusCode::UNAVAILABLE, "shutting down"};
  for (const absl::Status& status : AskForBothKinds()) {
    EXPECT_THAT(status, HasCode(absl::StatusCode::kUnavailable));
    EXPECT_EQ(MessageOf(status), server_.endpoint.address + ": shutting down");
  }
  EXPECT_THAT(seen_, ElementsAre("a", "b", "a", "b"));
}

TEST_F(AnswersTest, AStreamThatEndsWithoutItsLastPartIsNoAnswer) {
  inference_.whole = false;
  const auto cut = AskForBothKinds();
  EXPECT_EQ(cut[0], absl::DataLossError("the answer ended without a finish reason"));
  EXPECT_EQ(cut[1], absl::DataLossError("the answer ended without a result"));
}

TEST_F(AnswersTest, AnEndlessAnswerEndsWhenItIsCancelledAndNothingIsAskedThen) {
  inference_.endless = true;
  cancel_after_ = 5;
  for (const absl::Status& status : AskForBothKinds()) EXPECT_THAT(status, HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(VqaOnce(connection_, {}, canceller_), HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(EnsureLoaded(connection_, "models/m", canceller_), HasCode(absl::StatusCode::kCancelled));
  EXPECT_EQ(inference_.calls, 1);
}

TEST_F(AnswersTest, ABatchIsAnsweredInItsOrderAndAQuestionThatFailsKeepsItsPlace) {
  std::vector<std::string> questions;
  for (int i = 0; i < 40; ++i) questions.push_back(std::to_string(i));
  questions[7] = "?";
  EXPECT_THAT(Batch(questions, 8), IsOk());
  questions[7] = "INVALID_ARGUMENT: no question";
  EXPECT_EQ(seen_, questions);
  EXPECT_EQ(progress_.last_done, 40u);
}

TEST_F(AnswersTest, ABatchThatIsCancelledAnswersFewer) {
  cancel_after_ = 2;
  EXPECT_THAT(Batch({"a", "b", "c", "d"}, 1), HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(seen_, ElementsAre("a", "b"));
}

// Each watch tells the next of `states`, the last one again and again, and ends with `end`.
class Jobs final : public v1::JobService::Service {
 public:
  std::vector<v1::JobState> states;
  grpc::Status end{grpc::StatusCode::UNAVAILABLE, "restarting"};
  std::atomic<size_t> watches = 0;

 private:
  grpc::Status WatchJob(grpc::ServerContext*, const v1::WatchJobRequest*, grpc::ServerWriter<v1::Job>* out) override {
    v1::Job job;
    // Counted first: whoever reads the state may look at once.
    const size_t before = watches++;
    if (!states.empty()) job.set_state(states[std::min(before, states.size() - 1)]);
    if (!states.empty()) out->Write(job);
    return client::IsTerminal(job.state()) ? grpc::Status::OK : end;
  }
  // Answers nobody who waits for it.
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest*, v1::Job*) override {
    while (!context->IsCancelled()) std::this_thread::yield();
    return grpc::Status::OK;
  }
};

class JobsTest : public ::testing::Test {
 protected:
  absl::StatusOr<v1::Job> Watch(int max_reconnects, const std::function<void(const v1::Job&)>& seen = [](auto&) {}) {
    return WatchJob(Connection(server_.endpoint), "jobs/1", canceller_, seen, max_reconnects);
  }

  Jobs jobs_;
  testing::LocalServer server_{jobs_};
  Canceller canceller_;
};

TEST_F(JobsTest, ABrokenWatchIsOpenedAgainAndOneThatToldSomethingIsNotCounted) {
  jobs_.states = {v1::JOB_STATE_QUEUED, v1::JOB_STATE_RUNNING, v1::JOB_STATE_FAILED};
  const auto job = Watch(1);
  ASSERT_THAT(job, IsOk()) << "a failed job was watched well";
  EXPECT_EQ(job->state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(jobs_.watches, 3u);
}

TEST_F(JobsTest, AfterTheLastReconnectTheCauseIsToldAndWhatDoesNotPassAtOnce) {
  EXPECT_THAT(Watch(1).status().ToString(), HasSubstr("restarting"));
  EXPECT_EQ(jobs_.watches, 2u);
  jobs_.end = grpc::Status::OK;
  EXPECT_EQ(Watch(0).status(), absl::UnavailableError("the service ended the watch")) << "though the job goes on";
  jobs_.end = {grpc::StatusCode::NOT_FOUND, "not there"};
  EXPECT_EQ(Watch(20).status(), absl::NotFoundError("not there"));
  EXPECT_EQ(jobs_.watches, 4u);
}

TEST_F(JobsTest, AWatchThatIsCancelledIsNotOpenedAgain) {
  jobs_.states = {v1::JOB_STATE_RUNNING};
  EXPECT_EQ(Watch(20, [this](const v1::Job&) { canceller_.Cancel(); }).status(),
            absl::CancelledError("the watch was ended; the job goes on"));
  EXPECT_EQ(jobs_.watches, 1u);
}

TEST_F(JobsTest, ACallThatIsNotAnsweredInTimeNamesWhoWasAskedAndForHowLong) {
  server_.endpoint.timeout_millis = 50;
  server_.endpoint.service = "gwq-jobs";
  const Connection connection(server_.endpoint);
  const auto stub = v1::JobService::NewStub(connection.channel());
  EXPECT_EQ(Call(connection, *stub, &v1::JobService::Stub::GetJob, v1::GetJobRequest()).status(),
            absl::DeadlineExceededError("gwq-jobs at " + server_.endpoint.address +
                                        " did not answer within 0.05 s: try again, or allow more time"));
}

}  // namespace
}  // namespace gwq::client
