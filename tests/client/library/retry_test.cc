#include "client/library/retry.h"

#include <gmock/gmock.h>

#include "core/base/status.h"
#include "tests/support/status_matchers.h"

namespace gwq::client {
namespace {

using std::chrono::milliseconds;
using testing::HasCode;
using testing::IsOk;

TEST(IsTransient, OnlyWhereNobodyAnsweredOrNotInTime) {
  for (int code = 0; code <= 16; ++code) {
    const auto is = static_cast<absl::StatusCode>(code);
    const bool passes = is == absl::StatusCode::kUnavailable || is == absl::StatusCode::kDeadlineExceeded;
    EXPECT_EQ(IsTransient(absl::Status(is, "")), passes) << absl::StatusCodeToString(is);
  }
}

class RetryTest : public ::testing::Test {
 protected:
  milliseconds PauseOf(int stalled, int64_t asked = -1) {
    const auto before = std::chrono::steady_clock::now();
    Pause(connection_, options_, stalled, WithRetryDelay(absl::UnavailableError(""), asked));
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - before);
  }
  // `attempt` is given its number, from 1.
  absl::Status PersistWith(const std::function<absl::Status(int)>& attempt) {
    options_.max_attempts = 3;
    options_.first_pause = milliseconds(0);
    options_.waiting = [this](const absl::Status&) { ++waits_; };
    return Persist(connection_, options_, forward_, [&] { return attempt(++attempts_); });
  }

  Canceller canceller_;
  const Connection connection_{{.address = "127.0.0.1:1", .token = {}}, &canceller_};
  RetryOptions options_;
  uint64_t forward_ = 0;
  int attempts_ = 0, waits_ = 0;
};

// Only lower bounds: how much longer a pause lasts is the machine's affair.
TEST_F(RetryTest, PausesDoubleUpToSixteenTimesOrAreAsLongAsTheServiceAsks) {
  options_.first_pause = milliseconds(2);
  EXPECT_GE(PauseOf(1), milliseconds(2));
  EXPECT_GE(PauseOf(3), milliseconds(8));
  EXPECT_GE(PauseOf(1000), milliseconds(32)) << "and no more, or this test would not end";
  EXPECT_GE(PauseOf(1, 30), milliseconds(30));
  EXPECT_GE(PauseOf(4, 1), milliseconds(16)) << "less does not count";
}

TEST_F(RetryTest, APauseEndsWhenItIsCancelled) {
  options_.first_pause = std::chrono::hours(1);
  options_.waiting = [this](const absl::Status&) { canceller_.Cancel(); };
  EXPECT_LT(PauseOf(9, 86'400'000), std::chrono::minutes(30));
}

TEST_F(RetryTest, AttemptsThatBringNothingAreCountedAndTheLastOneIsTold) {
  const auto status = PersistWith([](int attempt) { return absl::UnavailableError("no " + std::to_string(attempt)); });
  EXPECT_THAT(status, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(MessageOf(status), "3 attempts made no progress: no 3");
  EXPECT_EQ(waits_, 2) << "nobody waits after the last one";
}

TEST_F(RetryTest, ProgressBeginsTheCountAnewUntilItEndsOrDoesNotPass) {
  for (const absl::Status& end : {absl::OkStatus(), absl::NotFoundError("gone")}) {
    attempts_ = waits_ = 0;
    EXPECT_EQ(PersistWith([&](int attempt) {
                if (attempt % 3 == 0) ++forward_;
                return attempt < 12 ? absl::DeadlineExceededError("slow") : end;
              }),
              end);
    EXPECT_EQ(attempts_, 12);
    EXPECT_EQ(waits_, 8) << "an attempt that brought something is followed at once";
  }
}

}  // namespace
}  // namespace gwq::client
