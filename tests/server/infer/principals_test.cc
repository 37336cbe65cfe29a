// Two principals at one gwq-infer: neither meets what is the other's.
#include <fmt/format.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/infer/infer_fixture.h"
#include "tests/support/png_file.h"

namespace gwq::testing {
namespace {

const std::string kAliceToken = "alice-0123456789";
const std::string kAliceNewToken = "alice-9876543210";
const std::string kBobToken = "bob-0123456789ab";
const std::string kTokens = fmt::format("{} alice\n{} alice\n{} bob\n", kAliceToken, kAliceNewToken, kBobToken);

// The service's calls as the holder of a token makes them.
class User {
 public:
  User(v1::InferenceService::Stub& stub, std::string token) : stub_(stub), token_(std::move(token)) {}

  grpc::Status Load(const std::string& name) {
    v1::LoadModelRequest request;
    request.set_name(name);
    v1::LoadedModel response;
    return stub_.LoadModel(Context().get(), request, &response);
  }
  grpc::Status Unload(const std::string& name) {
    v1::UnloadModelRequest request;
    request.set_name(name);
    google::protobuf::Empty response;
    return stub_.UnloadModel(Context().get(), request, &response);
  }
  std::vector<v1::LoadedModel> List() {
    v1::ListLoadedModelsResponse response;
    EXPECT_TRUE(stub_.ListLoadedModels(Context().get(), {}, &response).ok());
    return {response.models().begin(), response.models().end()};
  }
  grpc::Status GenerateOnce(const std::string& name, int max_tokens, v1::GenerateResponse* response) {
    return stub_.GenerateOnce(Context().get(), Prompt(name, "abc", max_tokens), response);
  }
  grpc::Status Generate(const std::string& name) {
    const auto context = Context();
    const auto reader = stub_.Generate(context.get(), Prompt(name, "abc", 2));
    for (v1::GenerateChunk chunk; reader->Read(&chunk);) {
    }
    return reader->Finish();
  }
  grpc::Status Tokenize(const std::string& name) {
    v1::TokenizeRequest request;
    request.set_model(name);
    request.set_text("abc");
    v1::TokenizeResponse response;
    return stub_.Tokenize(Context().get(), request, &response);
  }
  grpc::Status Detokenize(const std::string& name) {
    v1::DetokenizeRequest request;
    request.set_model(name);
    request.add_ids(5);
    v1::DetokenizeResponse response;
    return stub_.Detokenize(Context().get(), request, &response);
  }
  grpc::Status Vqa(const std::string& name) {
    const auto context = Context();
    const auto reader = stub_.Vqa(context.get(), Question(name));
    for (v1::VqaChunk chunk; reader->Read(&chunk);) {
    }
    return reader->Finish();
  }
  grpc::Status VqaOnce(const std::string& name) { return Ask(Question(name)); }
  grpc::Status AskAbout(const std::string& name, const std::string& image_sha256) {
    v1::VqaRequest request = Question(name);
    request.add_images()->set_sha256(image_sha256);
    return Ask(request);
  }
  std::string UploadImage(const std::string& file) {
    v1::UploadImageRequest request;
    request.set_data(file);
    v1::UploadedImage response;
    EXPECT_TRUE(stub_.UploadImage(Context().get(), request, &response).ok());
    return response.sha256();
  }

 private:
  [[nodiscard]] std::unique_ptr<grpc::ClientContext> Context() const {
    auto context = std::make_unique<grpc::ClientContext>();
    context->AddMetadata("authorization", "Bearer " + token_);
    return context;
  }
  static v1::VqaRequest Question(const std::string& name) {
    v1::VqaRequest request;
    request.set_model(name);
    request.set_question("what?");
    request.set_max_tokens(2);
    request.set_ignore_eos(true);
    return request;
  }
  grpc::Status Ask(const v1::VqaRequest& request) {
    v1::VqaResponse response;
    return stub_.VqaOnce(Context().get(), request, &response);
  }

  v1::InferenceService::Stub& stub_;
  const std::string token_;
};

class PrincipalsTest : public InferFixture {
 protected:
  void StartWithTokens(int64_t hold_millis = 600'000) {
    Setup setup;
    setup.tokens = kTokens;
    setup.jobs_token = "the-service's-own";
    setup.hold_millis = hold_millis;
    Start(setup);
    alice = std::make_unique<User>(*stub, kAliceToken);
    bob = std::make_unique<User>(*stub, kBobToken);
  }

  std::unique_ptr<User> alice;
  std::unique_ptr<User> bob;
};

std::string Replaced(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

TEST_F(PrincipalsTest, WhatAnotherLoadedIsAsANameThatDoesNotExist) {
  jobs->Add("models/alices", tiny(), kAliceToken);
  StartWithTokens();
  ASSERT_TRUE(alice->Load("alices").ok());
  ASSERT_EQ(alice->List().size(), 1u);
  EXPECT_TRUE(bob->List().empty());

  using Method = std::function<grpc::Status(User&, const std::string&)>;
  const std::pair<const char*, Method> methods[] = {
      {"LoadModel", &User::Load},
      {"UnloadModel", &User::Unload},
      {"Generate", &User::Generate},
      {"GenerateOnce",
       [](User& user, const std::string& name) {
         v1::GenerateResponse response;
         return user.GenerateOnce(name, 2, &response);
       }},
      {"Tokenize", &User::Tokenize},
      {"Detokenize", &User::Detokenize},
      {"Vqa", &User::Vqa},
      {"VqaOnce", &User::VqaOnce},
  };
  for (const auto& [method, call] : methods) {
    for (const char* const prefix : {"", "models/"}) {
      SCOPED_TRACE(fmt::format("{} {}", method, prefix));
      const grpc::Status there = call(*bob, prefix + std::string("alices"));
      const grpc::Status nowhere = call(*bob, prefix + std::string("nobody"));
      EXPECT_EQ(there.error_code(), grpc::StatusCode::NOT_FOUND);
      EXPECT_EQ(nowhere.error_code(), grpc::StatusCode::NOT_FOUND);
      EXPECT_EQ(Replaced(there.error_message(), "alices", "nobody"), nowhere.error_message());
    }
  }
  EXPECT_EQ(alice->List().size(), 1u);
  for (const auto& [method, call] : methods) {
    if (std::string_view(method) == "UnloadModel") continue;
    EXPECT_TRUE(call(*alice, "alices").ok()) << method;
  }
}

TEST_F(PrincipalsTest, OneNameIsToEachItsOwn) {
  jobs->Add("models/mine", tiny(), kAliceToken);
  jobs->Add("models/mine", other(), kBobToken);
  StartWithTokens();
  ASSERT_TRUE(alice->Load("mine").ok());
  ASSERT_TRUE(bob->Load("mine").ok());
  ASSERT_EQ(alice->List().size(), 1u);
  ASSERT_EQ(bob->List().size(), 1u);
  EXPECT_EQ(alice->List()[0].digest(), tiny().Hex());
  EXPECT_EQ(bob->List()[0].digest(), other().Hex());
  v1::GenerateResponse alices, bobs;
  ASSERT_TRUE(alice->GenerateOnce("mine", 60, &alices).ok());
  ASSERT_TRUE(bob->GenerateOnce("mine", 60, &bobs).ok());
  EXPECT_NE(alices.text(), bobs.text());
}

TEST_F(PrincipalsTest, AnUnloadAndARunningRequestDoNotReachAnother) {
  StartWithTokens();
  ASSERT_TRUE(alice->Load("tiny").ok());
  ASSERT_TRUE(bob->Load("tiny").ok());
  EXPECT_EQ(jobs->Holders(tiny()), 2) << "a gwq-jobs without tokens tells holds apart by their holder alone";
  backend->Close();
  v1::GenerateResponse answer;
  auto running = std::async(std::launch::async, [&] { return bob->GenerateOnce("tiny", 50, &answer); });
  backend->WaitHeld();
  EXPECT_EQ(bob->List()[0].running_requests() + bob->List()[0].queued_requests(), 1);
  EXPECT_EQ(alice->List()[0].running_requests() + alice->List()[0].queued_requests(), 0);

  ASSERT_TRUE(alice->Unload("tiny").ok());
  EXPECT_TRUE(alice->List().empty());
  EXPECT_EQ(alice->Generate("tiny").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(jobs->Holders(tiny()), 1);
  backend->Open();
  const grpc::Status status = running.get();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(answer.token_ids_size(), 50);
  ASSERT_EQ(bob->List().size(), 1u);
  ExpectIdle("tiny", "bob");
  const std::string text = metrics->Text();
  for (const char* const line : {"gwq_infer_generated_tokens_total{model=\"models/tiny\",principal=\"bob\"} 50",
                                 "gwq_infer_generated_tokens_total{model=\"models/tiny\",principal=\"alice\"} 0"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  ASSERT_TRUE(bob->Unload("tiny").ok());
  EXPECT_EQ(jobs->Holders(tiny()), 0);
}

TEST_F(PrincipalsTest, AHoldIsRenewedAndReleasedWithTheTokenThatCameLast) {
  jobs->Add("models/alices", tiny(), kAliceToken);
  StartWithTokens(/*hold_millis=*/90);
  ASSERT_TRUE(alice->Load("alices").ok());
  jobs->WaitResolved(4);
  jobs->Add("models/alices", tiny(), kAliceNewToken);
  User renewed(*stub, kAliceNewToken);
  ASSERT_TRUE(renewed.Load("alices").ok());
  jobs->Remove("models/alices", kAliceToken);
  jobs->WaitResolved(jobs->resolved() + 4);
  EXPECT_EQ(jobs->Holders(tiny()), 1);
  ASSERT_TRUE(alice->Unload("alices").ok()) << "both tokens are alice's";
  EXPECT_EQ(jobs->Holders(tiny()), 0);
}

TEST_F(PrincipalsTest, ATokenThatGwqJobsDoesNotKnowIsToldWithTheRemedy) {
  jobs->Admit(kBobToken);
  StartWithTokens();
  EXPECT_TRUE(bob->Load("tiny").ok());
  const grpc::Status status = alice->Load("tiny");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_NE(status.error_message().find("--tokens"), std::string::npos) << status.error_message();
}

TEST_F(PrincipalsTest, WithoutTokensTheServiceAsksWithItsOwnWhateverTheCallerSends) {
  jobs->Add("models/alices", tiny(), kAliceToken);
  jobs->Add("models/services", tiny(), "the-service's-own");
  Setup setup;
  setup.jobs_token = "the-service's-own";
  Start(setup);
  User somebody(*stub, kAliceToken), anybody(*stub, kBobToken);
  EXPECT_EQ(somebody.Load("alices").error_code(), grpc::StatusCode::NOT_FOUND);
  ASSERT_TRUE(somebody.Load("services").ok());
  EXPECT_EQ(anybody.List().size(), 1u);
  EXPECT_TRUE(anybody.Generate("services").ok());
  EXPECT_TRUE(anybody.Unload("services").ok());
  EXPECT_EQ(jobs->Holders(tiny()), 0);
}

TEST_F(PrincipalsTest, AnUploadedImageIsItsUploadersAlone) {
  StartWithTokens();
  ASSERT_TRUE(alice->Load("seeing").ok());
  ASSERT_TRUE(bob->Load("seeing").ok());
  const std::string digest = alice->UploadImage(StripedPng(24, 16, 0));
  const grpc::Status own = alice->AskAbout("seeing", digest);
  EXPECT_TRUE(own.ok()) << own.error_message();
  const std::string absent(64, 'a');
  const grpc::Status there = bob->AskAbout("seeing", digest);
  const grpc::Status nowhere = bob->AskAbout("seeing", absent);
  EXPECT_EQ(there.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Replaced(there.error_message(), digest, absent), nowhere.error_message());
}

}  // namespace
}  // namespace gwq::testing
