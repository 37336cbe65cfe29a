// A model that goes while many streams are under way.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <future>
#include <map>
#include <vector>

#include "tests/core/engine/fake_sink.h"
#include "tests/server/infer/table_fixture.h"
#include "tests/support/status_matchers.h"

namespace gwq::testing {
namespace {

using ::testing::HasSubstr;

class UnloadTest : public TableFixture {
 protected:
  struct Stream {
    std::shared_ptr<FakeSink> sink = std::make_shared<FakeSink>();
    std::shared_ptr<GenerationHandle> handle;
  };

  // "tiny" with four slots; a reader is paused at more than 8 unread tokens.
  std::shared_ptr<ServedModel> StartTiny(uint64_t max_loaded_bytes = 0) {
    LoadOptions options;
    options.engine.scheduler.max_running = 4;
    options.engine.scheduler.max_unread_tokens = 8;
    Start(options, max_loaded_bytes);
    return *Load("tiny");
  }
  static Stream Submit(ServedModel& model, int64_t tokens, bool slow = false) {
    Stream stream;
    stream.sink->slow = slow;
    stream.handle = *model.engine().Submit(Ask({10, 20, 30}, tokens), stream.sink);
    return stream;
  }
};

// In the order of arrival, by tens.
enum Kind { kSlow, kCancelled, kShort, kAlsoShort, kLong };

TEST_F(UnloadTest, EveryStreamOfFiftyEndsOnceInTheWayThatItMust) {
  auto model = StartTiny();
  std::vector<Stream> streams;
  for (int i = 0; i < 50; ++i) {
    const int kind = i / 10;
    streams.push_back(Submit(*model, kind == kLong ? 8000 : 20, /*slow=*/kind == kSlow));
    if (kind == kCancelled) streams.back().handle->Cancel();
  }
  for (int i = 0; i < 10; ++i) streams[i].sink->WaitTokens(9);
  model.reset();
  ASSERT_THAT(Unload("tiny"), IsOk());
  EXPECT_THAT(table->Find(std::string(kLocalPrincipal), "tiny"), HasCode(absl::StatusCode::kNotFound));
  for (int i = 0; i < 50; ++i) {
    const absl::Status status = streams[i].sink->status();
    ASSERT_EQ(streams[i].sink->done_calls(), 1) << i;
    if (i / 10 == kSlow || i / 10 == kLong) {
      EXPECT_EQ(status, absl::UnavailableError("models/tiny was unloaded; ask again elsewhere")) << i;
    } else {
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status) || absl::IsCancelled(status)) << i << ": " << status;
    }
    streams[i].handle->Cancel();  // its model is gone: it does nothing
    streams[i].handle->Resume();
  }
}

// By an unload, after which the engine tells that nothing is left, and with the service, when it tells no more.
TEST_F(UnloadTest, ItsGaugesGoBackToZeroHoweverItGoes) {
  int ended = 0;
  for (const bool with_the_table : {false, true}) {
    auto model = StartTiny();
    const Stream slow = Submit(*model, 50, /*slow=*/true);
    slow.sink->WaitTokens(9);
    while (model->engine().stats().paused == 0) std::this_thread::yield();
    EXPECT_EQ(model->Describe().queued_requests(), 1) << "who is paused waits too";
    EXPECT_THAT(metrics.Text(), HasSubstr("gwq_infer_parked_requests{model=\"models/tiny\"} 1"));
    model.reset();
    if (!with_the_table) {
      ASSERT_THAT(Unload("tiny"), IsOk());
    }
    table.reset();
    for (const char* gauge : {"parked_requests", "running_requests", "queued_requests", "cache_used_ratio"}) {
      EXPECT_THAT(metrics.Text(), HasSubstr("gwq_infer_" + std::string(gauge) + "{model=\"models/tiny\"} 0"));
    }
    EXPECT_THAT(metrics.Text(),
                HasSubstr(fmt::format("requests_total{{code=\"UNAVAILABLE\",model=\"models/tiny\"}} {}", ++ended)));
  }
}

TEST_F(UnloadTest, OfManyUnloadsAtOnceOneSucceeds) {
  auto model = StartTiny();
  const Stream stream = Submit(*model, 8000);
  model.reset();
  std::vector<std::future<absl::Status>> unloads;
  for (int i = 0; i < 6; ++i) unloads.push_back(std::async(std::launch::async, [this] { return Unload("tiny"); }));
  std::map<absl::StatusCode, int> codes;
  for (auto& unload : unloads) ++codes[unload.get().code()];
  EXPECT_EQ(codes[absl::StatusCode::kOk], 1);
  EXPECT_EQ(codes[absl::StatusCode::kNotFound], 5);
  EXPECT_EQ(stream.sink->done_calls(), 1);
  EXPECT_EQ(source.releases, 1);
}

TEST_F(UnloadTest, AModelThatSomebodyHoldsRefusesRequestsAndCountsUntilItIsLetGo) {
  auto held = StartTiny();
  held = StartTiny(held->memory_bytes());
  ASSERT_THAT(Unload("tiny"), IsOk());
  EXPECT_THAT(held->engine().Submit(Ask({1}, 5), std::make_shared<FakeSink>()),
              HasCode(absl::StatusCode::kUnavailable));
  const auto refused = Load("tiny");
  EXPECT_THAT(refused, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr("loaded: models/tiny with 4."));
  held.reset();
  EXPECT_THAT(Load("tiny"), IsOk());
}

}  // namespace
}  // namespace gwq::testing
