#include <gmock/gmock.h>
#include <grpcpp/client_context.h>

#include <future>
#include <set>
#include <thread>

#include "tests/server/infer/infer_fixture.h"

namespace gwq::testing {
namespace {

using GenerateTest = InferFixture;

grpc::Status Once(v1::InferenceService::Stub& stub, const v1::GenerateRequest& request,
                  v1::GenerateResponse* response) {
  grpc::ClientContext call;
  return stub.GenerateOnce(&call, request, response);
}

TEST_F(GenerateTest, AStreamJoinedEqualsTheAnswerAtOnceAndEveryChunkIsUtf8) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  for (int seed = 0; seed < 20; ++seed) {
    v1::GenerateRequest request = Prompt("tiny", "héllo", 100);
    request.mutable_sampling()->set_temperature(1.5);
    request.mutable_sampling()->set_seed(static_cast<uint64_t>(seed));
    if (seed % 2 == 1) request.add_stop("x");
    const Streamed streamed = ReadStream(*stub, request);
    ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
    EXPECT_TRUE(streamed.valid_utf8);
    v1::GenerateResponse once;
    ASSERT_TRUE(Once(*stub, request, &once).ok());
    EXPECT_EQ(once.text(), streamed.answer.text());
    EXPECT_EQ(std::vector(once.token_ids().begin(), once.token_ids().end()),
              std::vector(streamed.answer.token_ids().begin(), streamed.answer.token_ids().end()));
    EXPECT_EQ(once.stop_match(), streamed.answer.stop_match());
    EXPECT_EQ(once.usage().generated_tokens(), once.token_ids_size());
    EXPECT_EQ(once.usage().prompt_tokens(), 6) << "a token a byte";
    EXPECT_EQ(once.seed(), static_cast<uint64_t>(seed));
    if (once.finish_reason() == v1::STOP) {
      EXPECT_EQ(once.stop_match(), "x");
      EXPECT_EQ(once.text().find('x'), std::string::npos);
    } else {
      EXPECT_EQ(once.token_ids_size(), 100);
    }
  }
  ExpectIdle("tiny");
}

TEST_F(GenerateTest, TheTextIsWhatDetokenizeMakesOfTheIds) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  v1::GenerateRequest request = Prompt("tiny", "a", 200);
  request.mutable_sampling()->set_temperature(2);
  request.mutable_sampling()->set_seed(3);
  const Streamed streamed = ReadStream(*stub, request);
  ASSERT_TRUE(streamed.status.ok());
  v1::DetokenizeRequest ids;
  ids.set_model("tiny");
  ids.set_skip_special_tokens(true);
  *ids.mutable_ids() = streamed.answer.token_ids();
  v1::DetokenizeResponse text;
  grpc::ClientContext call;
  ASSERT_TRUE(stub->Detokenize(&call, ids, &text).ok());
  EXPECT_EQ(streamed.answer.text(), text.text());
}

TEST_F(GenerateTest, ADrawnSeedIsToldAndRepeatsTheAnswer) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  v1::GenerateRequest request = Prompt("tiny", "abc", 40);
  request.mutable_sampling()->set_temperature(1);
  v1::GenerateResponse first, second, repeated;
  ASSERT_TRUE(Once(*stub, request, &first).ok());
  ASSERT_TRUE(Once(*stub, request, &second).ok());
  EXPECT_NE(first.seed(), second.seed());
  request.mutable_sampling()->set_seed(first.seed());
  ASSERT_TRUE(Once(*stub, request, &repeated).ok());
  EXPECT_EQ(repeated.text(), first.text());
}

TEST_F(GenerateTest, AnswersAreTheSameAloneAndAmongOthers) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  const auto request = [](int i) {
    v1::GenerateRequest out =
        Prompt("tiny", std::string(static_cast<size_t>(1 + 37 * i % 150), static_cast<char>('a' + i)), 30 + i);
    out.mutable_sampling()->set_temperature(i % 2);
    out.mutable_sampling()->set_seed(7);
    return out;
  };
  std::vector<v1::GenerateResponse> alone(16);
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(Once(*stub, request(i), &alone[static_cast<size_t>(i)]).ok());
  std::vector<std::future<Streamed>> together;
  for (int i = 0; i < 16; ++i) {
    together.push_back(std::async(std::launch::async, [&, i] { return ReadStream(*stub, request(i)); }));
  }
  for (size_t i = 0; i < 16; ++i) {
    const Streamed streamed = together[i].get();
    ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
    EXPECT_EQ(streamed.answer.text(), alone[i].text());
  }
}

TEST_F(GenerateTest, ChatIsRenderedByTheModelsOwnTemplate) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  v1::TokenizeRequest tokenize;
  tokenize.set_model("models/tiny");
  auto* message = tokenize.mutable_chat()->add_messages();
  message->set_role("user");
  message->set_content("Hi");
  v1::TokenizeResponse tokens;
  {
    grpc::ClientContext call;
    ASSERT_TRUE(stub->Tokenize(&call, tokenize, &tokens).ok());
  }
  EXPECT_EQ(tokens.rendered(), "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  v1::GenerateRequest chat = Prompt("tiny", "", 10);
  *chat.mutable_chat() = tokenize.chat();
  v1::GenerateRequest ids = Prompt("tiny", "", 10);
  *ids.mutable_tokens()->mutable_ids() = tokens.ids();
  v1::GenerateResponse by_chat, by_ids;
  ASSERT_TRUE(Once(*stub, chat, &by_chat).ok());
  ASSERT_TRUE(Once(*stub, ids, &by_ids).ok());
  EXPECT_EQ(by_chat.text(), by_ids.text());
  EXPECT_EQ(by_chat.usage().prompt_tokens(), tokens.ids_size());
}

TEST_F(GenerateTest, EndOfSequenceStopsUnlessIgnoredAndStopIdsAreObeyed) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  v1::GenerateRequest request = Prompt("tiny", "stop", 300);
  request.mutable_sampling()->set_temperature(20);  // nearly uniform: 300 draws of 258 tokens meet the eos with 69 %
  for (uint64_t seed = 0;; ++seed) {
    ASSERT_LT(seed, 50u);
    request.mutable_sampling()->set_seed(seed);
    request.set_ignore_eos(true);
    v1::GenerateResponse whole, ended;
    ASSERT_TRUE(Once(*stub, request, &whole).ok());
    const auto eos = std::find(whole.token_ids().begin(), whole.token_ids().end(), 1);
    if (eos == whole.token_ids().end() || eos - whole.token_ids().begin() < 2) continue;
    request.set_ignore_eos(false);
    ASSERT_TRUE(Once(*stub, request, &ended).ok());
    EXPECT_EQ(ended.finish_reason(), v1::STOP);
    EXPECT_EQ(ended.token_ids_size(), eos - whole.token_ids().begin() + 1);
    EXPECT_EQ(ended.stop_match(), "");
    request.add_stop_ids(whole.token_ids(0));
    ASSERT_TRUE(Once(*stub, request, &ended).ok());
    EXPECT_EQ(ended.token_ids_size(), 1);
    EXPECT_EQ(ended.text(), "");
    return;
  }
}

TEST_F(GenerateTest, DefaultIs256TokensAndTheContextEndsAnAnswer) {
  Start();
  ASSERT_TRUE(Load("tiny", nullptr, 300).ok());
  v1::GenerateRequest request = Prompt("tiny", "abcd", 1);
  request.clear_max_tokens();
  v1::GenerateResponse answer;
  ASSERT_TRUE(Once(*stub, request, &answer).ok());
  EXPECT_EQ(answer.token_ids_size(), 256);
  request.set_max_tokens(100000);
  ASSERT_TRUE(Once(*stub, request, &answer).ok());
  EXPECT_EQ(answer.token_ids_size(), 296);
  EXPECT_EQ(answer.finish_reason(), v1::LENGTH);
}

TEST_F(GenerateTest, ACancelMidStreamFreesSlotAndBlocks) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  grpc::ClientContext call;
  const auto reader = stub->Generate(&call, Prompt("tiny", "abc", 8000));
  v1::GenerateChunk chunk;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(reader->Read(&chunk));
  call.TryCancel();
  while (reader->Read(&chunk)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  ExpectIdle("tiny");
  EXPECT_LT(Stats("tiny").generated_tokens, 8000);
}

// The engine's clock passes the deadline, gRPC's does not: what ends the request is the engine.
TEST_F(GenerateTest, APassedDeadlineEndsTheRequestInTheEngine) {
  FakeClock clock;
  Setup setup;
  setup.clock = &clock;
  Start(setup);
  ASSERT_TRUE(Load("tiny").ok());
  backend->Close();
  auto answer = std::async(std::launch::async, [&] {
    grpc::ClientContext call;
    call.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(600));
    v1::GenerateResponse ignored;
    return stub->GenerateOnce(&call, Prompt("tiny", "abc", 8000), &ignored);
  });
  backend->WaitHeld();
  clock.Advance(601'000);
  backend->Open();
  const grpc::Status status = answer.get();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr("the deadline passed after 1 generated tokens"));
  ExpectIdle("tiny");
  EXPECT_EQ(Stats("tiny").generated_tokens, 1);
  Stop();
}

TEST_F(GenerateTest, AFullQueueAnswersResourceExhaustedWithARetryDelay) {
  Setup setup;
  setup.load.engine.max_queued = 1;
  setup.load.engine.scheduler.max_running = 1;
  Start(setup);
  ASSERT_TRUE(Load("tiny").ok());
  backend->Close();
  auto running = std::async(std::launch::async, [&] { return ReadStream(*stub, Prompt("tiny", "a", 5)); });
  backend->WaitHeld();
  auto waiting = std::async(std::launch::async, [&] { return ReadStream(*stub, Prompt("tiny", "b", 5)); });
  // Whichever of these comes before the waiting one is let in and ends when the gate opens.
  std::vector<std::future<Streamed>> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(std::async(std::launch::async, [&] { return ReadStream(*stub, Prompt("tiny", "c", 5)); }));
  }
  // Three of the four find the one place taken; they end while the gate is closed.
  int refused = 0;
  const auto ended = [](const std::future<Streamed>& stream) {
    return stream.wait_for(std::chrono::milliseconds(1)) == std::future_status::ready;
  };
  const auto count_ended = [&] {
    int count = ended(waiting) ? 1 : 0;
    for (const auto& stream : others) count += ended(stream) ? 1 : 0;
    return count;
  };
  while (count_ended() < 3) {
  }
  backend->Open();
  EXPECT_TRUE(running.get().status.ok());
  others.push_back(std::move(waiting));
  for (auto& stream : others) {
    const Streamed result = stream.get();
    if (result.status.ok()) continue;
    ++refused;
    EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_GT(RetryMillis(result.status), 0);
  }
  EXPECT_EQ(refused, 3);
}

TEST_F(GenerateTest, ASlowReaderIsPausedAndOthersGoOn) {
  Setup setup;
  setup.load.engine.scheduler.max_unread_tokens = 16;
  setup.load.engine.scheduler.max_running = 1;
  Start(setup);
  ASSERT_TRUE(Load("tiny").ok());
  v1::GenerateResponse expected;
  ASSERT_TRUE(Once(*stub, Prompt("tiny", "abc", 2000), &expected).ok());
  grpc::ChannelArguments narrow;
  narrow.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
  narrow.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  const auto slow = NewStub(narrow);
  grpc::ClientContext call;
  const auto reader = slow->Generate(&call, Prompt("tiny", "abc", 2000));
  while (Stats("tiny").paused == 0) std::this_thread::yield();
  EXPECT_TRUE(ReadStream(*stub, Prompt("tiny", "x", 50)).status.ok()) << "the only slot is free";
  std::string text;
  for (v1::GenerateChunk chunk; reader->Read(&chunk);) text += chunk.text();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(text, expected.text());
}

TEST_F(GenerateTest, TwoModelsAnswerSideBySide) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  ASSERT_TRUE(Load("other").ok());
  v1::GenerateResponse tiny, other;
  ASSERT_TRUE(Once(*stub, Prompt("tiny", "same", 60), &tiny).ok());
  ASSERT_TRUE(Once(*stub, Prompt("other", "same", 60), &other).ok());
  EXPECT_NE(tiny.text(), other.text());
  std::vector<std::future<Streamed>> streams;
  for (int i = 0; i < 8; ++i) {
    streams.push_back(std::async(
        std::launch::async, [&, i] { return ReadStream(*stub, Prompt(i % 2 == 0 ? "tiny" : "other", "same", 60)); }));
  }
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(streams[i].get().answer.text(), i % 2 == 0 ? tiny.text() : other.text());
}

TEST_F(GenerateTest, MetricsTellWhatHappened) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  ASSERT_TRUE(ReadStream(*stub, Prompt("tiny", "abcd", 7)).status.ok());
  ExpectIdle("tiny");
  const std::string text = metrics->Text();
  for (const char* line :
       {"gwq_infer_prompt_tokens_total{model=\"models/tiny\"} 4",
        "gwq_infer_generated_tokens_total{model=\"models/tiny\"} 7",
        "gwq_infer_first_token_seconds_count{model=\"models/tiny\"} 1",
        "gwq_infer_inter_token_seconds_count{model=\"models/tiny\"} 6",
        "gwq_infer_queued_requests{model=\"models/tiny\"} 0", "gwq_infer_running_requests{model=\"models/tiny\"} 0",
        "gwq_infer_cache_used_ratio{model=\"models/tiny\"} 0"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

}  // namespace
}  // namespace gwq::testing
