// Requests that must be refused: the code, the field, and nothing left behind.
#include <fmt/format.h>
#include <grpcpp/client_context.h>

#include <functional>

#include "tests/server/infer/infer_fixture.h"

namespace gwq::testing {
namespace {

using MalformedTest = InferFixture;

struct Case {
  const char* name;
  std::function<void(v1::GenerateRequest&)> spoil;
  grpc::StatusCode code;
  const char* field;
};

constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"no model", [](auto& r) { r.clear_model(); }, kInvalid, "model"},
      {"unknown model", [](auto& r) { r.set_model(std::string("models/none")); }, grpc::StatusCode::NOT_FOUND, ""},
      {"a model's path", [](auto& r) { r.set_model(std::string("../tiny")); }, grpc::StatusCode::NOT_FOUND, ""},
      {"no input", [](auto& r) { r.clear_input(); }, kInvalid, "input"},
      {"empty prompt", [](auto& r) { r.set_prompt(std::string()); }, kInvalid, "prompt"},
      {"prompt above the limit", [](auto& r) { r.set_prompt(std::string(300, 'a')); }, kInvalid, "prompt"},
      {"prompt far above the limit", [](auto& r) { r.set_prompt(std::string(3'000'000, 'a')); }, kInvalid, "prompt"},
      {"message above the limit", [](auto& r) { r.set_prompt(std::string(5'000'000, 'a')); },
       grpc::StatusCode::RESOURCE_EXHAUSTED, ""},
      {"empty chat", [](auto& r) { r.mutable_chat(); }, kInvalid, "chat.messages"},
      {"message without a role", [](auto& r) { r.mutable_chat()->add_messages()->set_content(std::string("x")); },
       kInvalid, "chat.messages[0].role"},
      {"long chat",
       [](auto& r) {
         auto* message = r.mutable_chat()->add_messages();
         message->set_role(std::string("user"));
         message->set_content(std::string(500, 'x'));
       },
       kInvalid, "chat.messages"},
      {"no ids", [](auto& r) { r.mutable_tokens(); }, kInvalid, "tokens.ids"},
      {"negative id", [](auto& r) { r.mutable_tokens()->add_ids(-1); }, kInvalid, "tokens.ids[0]"},
      {"id outside the vocabulary",
       [](auto& r) {
         r.mutable_tokens()->add_ids(5);
         r.mutable_tokens()->add_ids(258);
       },
       kInvalid, "tokens.ids[1]"},
      {"max_tokens 0", [](auto& r) { r.set_max_tokens(0); }, kInvalid, "max_tokens"},
      {"max_tokens negative", [](auto& r) { r.set_max_tokens(-5); }, kInvalid, "max_tokens"},
      {"temperature negative", [](auto& r) { r.mutable_sampling()->set_temperature(-1); }, kInvalid,
       "sampling.temperature"},
      {"temperature NaN", [](auto& r) { r.mutable_sampling()->set_temperature(std::nan("")); }, kInvalid,
       "sampling.temperature"},
      {"temperature infinite", [](auto& r) { r.mutable_sampling()->set_temperature(HUGE_VAL); }, kInvalid,
       "sampling.temperature"},
      {"top_k negative", [](auto& r) { r.mutable_sampling()->set_top_k(-1); }, kInvalid, "sampling.top_k"},
      {"top_p 0", [](auto& r) { r.mutable_sampling()->set_top_p(0); }, kInvalid, "sampling.top_p"},
      {"top_p above 1", [](auto& r) { r.mutable_sampling()->set_top_p(1.5); }, kInvalid, "sampling.top_p"},
      {"17 stop strings",
       [](auto& r) {
         for (int i = 0; i < 17; ++i) r.add_stop(std::string("s"));
       },
       kInvalid, "stop"},
      {"empty stop string", [](auto& r) { r.add_stop(std::string()); }, kInvalid, "stop[0]"},
      {"long stop string", [](auto& r) { r.add_stop(std::string(257, 's')); }, kInvalid, "stop[0]"},
      {"stop id outside the vocabulary", [](auto& r) { r.add_stop_ids(1000); }, kInvalid, "stop_ids[0]"},
      {"stop id negative", [](auto& r) { r.add_stop_ids(-1); }, kInvalid, "stop_ids[0]"},
      {"300 stop ids",
       [](auto& r) {
         for (int i = 0; i < 300; ++i) r.add_stop_ids(1);
       },
       kInvalid, "stop_ids"},
      {"raw chat",
       [](auto& r) {
         r.mutable_chat()->add_messages()->set_role(std::string("user"));
         r.set_raw_prompt(true);
       },
       kInvalid, "raw_prompt"},
  };
  return cases;
}

TEST_F(MalformedTest, EveryBadRequestIsRefusedByBothMethodsWithCodeAndField) {
  Setup setup;
  setup.load.cache_tokens = 256;
  Start(setup);
  ASSERT_TRUE(Load("tiny").ok());
  for (const Case& bad : Cases()) {
    SCOPED_TRACE(bad.name);
    v1::GenerateRequest request = Prompt("tiny", "fine", 5);
    bad.spoil(request);
    const Streamed streamed = ReadStream(*stub, request);
    EXPECT_EQ(streamed.status.error_code(), bad.code) << streamed.status.error_message();
    EXPECT_EQ(ViolatedField(streamed.status), bad.field);
    EXPECT_EQ(streamed.chunks, 0);
    v1::GenerateResponse response;
    grpc::ClientContext call;
    const grpc::Status once = stub->GenerateOnce(&call, request, &response);
    EXPECT_EQ(once.error_code(), bad.code) << once.error_message();
    EXPECT_EQ(ViolatedField(once), bad.field);
  }
  ExpectIdle("tiny");
  EXPECT_EQ(Stats("tiny").generated_tokens, 0);
  EXPECT_TRUE(ReadStream(*stub, Prompt("tiny", "fine", 5)).status.ok());
}

TEST_F(MalformedTest, TokenizeAndDetokenizeNameTheField) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  const auto tokenize = [&](const std::function<void(v1::TokenizeRequest&)>& spoil) {
    v1::TokenizeRequest request;
    request.set_model(std::string("tiny"));
    spoil(request);
    v1::TokenizeResponse response;
    grpc::ClientContext call;
    return stub->Tokenize(&call, request, &response);
  };
  EXPECT_EQ(ViolatedField(tokenize([](auto&) {})), "input");
  EXPECT_EQ(ViolatedField(tokenize([](auto& r) { r.mutable_chat(); })), "chat.messages");
  const auto messages = [&](int count) {
    return tokenize([&](auto& r) {
      for (int i = 0; i < count; ++i) r.mutable_chat()->add_messages()->set_role(std::string("user"));
    });
  };
  EXPECT_TRUE(messages(1000).ok());
  EXPECT_EQ(ViolatedField(messages(1001)), "chat.messages");
  EXPECT_TRUE(tokenize([](auto& r) { r.set_text(std::string(1 << 20, 'a')); }).ok());
  EXPECT_EQ(ViolatedField(tokenize([](auto& r) { r.set_text(std::string((1 << 20) + 1, 'a')); })), "text");
  EXPECT_EQ(ViolatedField(tokenize([](auto& r) {
              auto* message = r.mutable_chat()->add_messages();
              message->set_role(std::string("user"));
              message->set_content(std::string(1 << 20, 'a'));
            })),
            "chat.messages");
  EXPECT_EQ(ViolatedField(tokenize([](auto& r) {
              r.mutable_chat()->add_messages()->set_role(std::string("user"));
              r.set_add_special_tokens(true);
            })),
            "add_special_tokens");
  EXPECT_EQ(tokenize([](auto& r) { r.set_model(std::string("none")); }).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(tokenize([](auto& r) { r.set_text(std::string()); }).ok());
  v1::DetokenizeRequest request;
  request.set_model(std::string("tiny"));
  request.add_ids(4);
  request.add_ids(-4);
  v1::DetokenizeResponse response;
  grpc::ClientContext call;
  EXPECT_EQ(ViolatedField(stub->Detokenize(&call, request, &response)), "ids[1]");
}

}  // namespace
}  // namespace gwq::testing
