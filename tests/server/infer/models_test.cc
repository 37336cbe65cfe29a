#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>

#include <future>
#include <span>
#include <thread>

#include "core/manifest/manifest.h"
#include "core/spec/quality_gate.h"
#include "tests/server/infer/infer_fixture.h"

namespace gwq::testing {
namespace {

grpc::Status Unload(v1::InferenceService::Stub& stub, const std::string& name) {
  v1::UnloadModelRequest request;
  request.set_name(name);
  google::protobuf::Empty response;
  grpc::ClientContext call;
  return stub.UnloadModel(&call, request, &response);
}

class ModelsTest : public InferFixture {
 protected:
  struct HeldUnload {
    std::future<Streamed> stream;
    std::future<grpc::Status> unload;
  };
  // The tiny model as "artifacts/NAME", with this gate in its manifest.
  void AddArtifact(const std::string& name, const std::string& gate) {
    Manifest manifest = *ParseManifest(*ReadBlob(store(), tiny(), 1 << 20));
    manifest.kind = "artifact";
    manifest.source = tiny();
    manifest.recipe_json = "{}";
    manifest.quality_json = gate;
    const std::string json = ManifestJson(manifest);
    jobs->Add("artifacts/" + name, *PutBlob(store(), std::as_bytes(std::span(json))));
  }
  // "tiny" taken out of service while a request of it runs; both wait for the backend's gate, which is closed.
  HeldUnload UnloadUnderARequest(int max_tokens) {
    backend->Close();
    HeldUnload held;
    held.stream = std::async(std::launch::async,
                             [this, max_tokens] { return ReadStream(*stub, Prompt("tiny", "abc", max_tokens)); });
    backend->WaitHeld();
    held.unload = std::async(std::launch::async, [this] { return Unload(*stub, "tiny"); });
    while (models->Find(kLocal, "tiny").ok()) std::this_thread::yield();
    return held;
  }
};

TEST_F(ModelsTest, LoadTellsWhatWasLoadedAndIsIdempotent) {
  Setup setup;
  setup.load.cache_tokens = 1000;
  setup.load.kernels = "scalar";
  Start(setup);
  v1::LoadedModel loaded;
  ASSERT_TRUE(Load("tiny", &loaded).ok());
  EXPECT_EQ(loaded.name(), "models/tiny");
  EXPECT_EQ(loaded.digest(), tiny().Hex());
  EXPECT_EQ(loaded.architecture(), "LlamaForCausalLM");
  EXPECT_EQ(loaded.cache_tokens(), 1008) << "whole blocks of 16";
  EXPECT_EQ(loaded.max_context_tokens(), 1008);
  EXPECT_GT(loaded.weight_bytes(), 0u);
  EXPECT_GT(loaded.cache_bytes(), 0u);
  EXPECT_EQ(loaded.kernels(), "scalar");
  v1::LoadedModel again;
  ASSERT_TRUE(Load("models/tiny", &again).ok());
  EXPECT_EQ(again.digest(), loaded.digest());
  EXPECT_EQ(models->List(kLocal).size(), 1u);
}

TEST_F(ModelsTest, WhatIsLoadedIsAnsweredWhileOtherLoadsWaitForGwqJobs) {
  Setup setup;
  setup.load_threads = 1;
  Start(setup);
  ASSERT_TRUE(Load("models/tiny").ok());
  jobs->Silence("models/other");
  auto other = std::async(std::launch::async, [this] { return Load("models/other"); });
  jobs->WaitSilent();
  auto again = std::async(std::launch::async, [this] { return Load("models/tiny"); });
  EXPECT_TRUE(again.get().ok());
  EXPECT_EQ(other.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  jobs->EndSilence();
  EXPECT_TRUE(other.get().ok());
}

TEST_F(ModelsTest, LoadRefusesWhatDoesNotFitWhatIsLoaded) {
  Start();
  ASSERT_TRUE(Load("tiny", nullptr, 100).ok());
  EXPECT_TRUE(Load("tiny", nullptr, 100).ok());
  EXPECT_EQ(Load("tiny", nullptr, 200).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  jobs->Add("models/tiny", other());
  EXPECT_EQ(Load("tiny").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ModelsTest, AnArtifactIsLoadedOnlyIfItMeetsTheContractInItsManifest) {
  Start();
  const QualityContract contract{.max_mean_kl = 0.1, .max_bits = 4};
  const QualityMeasures good{.bits = 4, .evaluations = {{"text", {{"mean_kl", 0.05}}}}};
  AddArtifact("good", QualityGateJson({contract, good}));
  AddArtifact("free", "");
  AddArtifact("altered", QualityGateJson({contract, {.bits = 4, .evaluations = {{"text", {{"mean_kl", 0.5}}}}}}));
  AddArtifact("silent", QualityGateJson({contract, {}}));
  AddArtifact("strange", R"({"contract":{"max_joy":1}})");
  EXPECT_TRUE(Load("artifacts/good").ok());
  EXPECT_TRUE(Load("artifacts/free").ok());
  const auto refused = [&](const std::string& name) {
    const grpc::Status status = Load("artifacts/" + name);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << name;
    EXPECT_FALSE(models->Find(kLocal, name).ok());
    return status.error_message();
  };
  EXPECT_THAT(refused("altered"),
              ::testing::HasSubstr("max_mean_kl: mean_kl of text is 0.5, the limit is at most 0.1"));
  EXPECT_THAT(refused("silent"), ::testing::HasSubstr("max_bits: bits per weight of the model was not measured"));
  EXPECT_THAT(refused("strange"), ::testing::HasSubstr("quality.contract.max_joy"));
}

TEST_F(ModelsTest, LoadNamesTheFieldAtFault) {
  Start();
  EXPECT_EQ(ViolatedField(Load("")), "name");
  EXPECT_EQ(ViolatedField(Load("tiny", nullptr, -1)), "max_context_tokens");
  EXPECT_EQ(ViolatedField(Load("tiny", nullptr, 8193)), "max_context_tokens");
  const grpc::Status unknown = Load("nobody");
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(unknown.error_message().find("nobody"), std::string::npos);
  jobs->Add("models/broken", Digest{});
  EXPECT_EQ(Load("broken").error_code(), grpc::StatusCode::NOT_FOUND) << "the blob is not in the store";
  EXPECT_EQ(jobs->Holders(Digest{}), 0) << "a failed load keeps its hold";
  EXPECT_TRUE(models->List(kLocal).empty());
}

TEST_F(ModelsTest, AHoldIsKeptWhileLoadedAndReleasedAfterwards) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  ASSERT_TRUE(Load("other").ok());
  EXPECT_EQ(jobs->Holders(tiny()), 1);
  ASSERT_TRUE(Unload(*stub, "tiny").ok());
  EXPECT_EQ(jobs->Holders(tiny()), 0);
  EXPECT_EQ(jobs->Holders(other()), 1);
  Stop();
  EXPECT_EQ(jobs->Holders(other()), 0) << "the end of the service releases what is left";
}

TEST_F(ModelsTest, TwoNamesOfTheSameBytesShareAHoldUntilBothAreGone) {
  Start();
  jobs->Add("models/copy", tiny());
  ASSERT_TRUE(Load("tiny").ok());
  ASSERT_TRUE(Load("copy").ok());
  ASSERT_TRUE(Unload(*stub, "copy").ok());
  EXPECT_EQ(jobs->Holders(tiny()), 1);
  ASSERT_TRUE(Unload(*stub, "tiny").ok());
  EXPECT_EQ(jobs->Holders(tiny()), 0);
}

TEST_F(ModelsTest, HoldsAreRenewedInTime) {
  Setup setup;
  setup.hold_millis = 90;
  Start(setup);
  ASSERT_TRUE(Load("tiny").ok());
  jobs->WaitResolved(4);
}

TEST_F(ModelsTest, ANameThatIsNotLoadedIsToldWithTheRemedy) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  const Streamed streamed = ReadStream(*stub, Prompt("other", "a", 1));
  EXPECT_EQ(streamed.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(streamed.status.error_message().find("models/tiny"), std::string::npos);
  EXPECT_NE(streamed.status.error_message().find("LoadModel"), std::string::npos);
  EXPECT_EQ(Unload(*stub, "other").error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ModelsTest, AnUnloadLetsRunningRequestsFinishAndRefusesNewOnes) {
  Start();
  ASSERT_TRUE(Load("tiny").ok());
  auto [stream, unload] = UnloadUnderARequest(50);
  EXPECT_EQ(ReadStream(*stub, Prompt("tiny", "abc", 5)).status.error_code(), grpc::StatusCode::NOT_FOUND);
  backend->Open();
  const Streamed streamed = stream.get();
  EXPECT_TRUE(streamed.status.ok()) << streamed.status.error_message();
  EXPECT_EQ(streamed.answer.token_ids_size(), 50);
  EXPECT_TRUE(unload.get().ok());
  ASSERT_TRUE(Load("tiny").ok());
  EXPECT_TRUE(ReadStream(*stub, Prompt("tiny", "abc", 5)).status.ok());
}

TEST_F(ModelsTest, AnUnloadWithoutTimeEndsRunningRequests) {
  Setup setup;
  setup.unload_millis = 0;
  Start(setup);
  ASSERT_TRUE(Load("tiny").ok());
  auto [stream, unload] = UnloadUnderARequest(8000);
  backend->Open();
  EXPECT_TRUE(unload.get().ok());
  EXPECT_EQ(stream.get().status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ModelsTest, ACacheInBytesIsThatManyTokens) {
  Setup setup;
  // Two blocks, two KV heads of 16 numbers, keys and values in 4 bytes: 512 bytes per token.
  setup.load.cache_bytes = 512 * 160;
  Start(setup);
  v1::LoadedModel loaded;
  ASSERT_TRUE(Load("tiny", &loaded).ok());
  EXPECT_EQ(loaded.cache_tokens(), 160);
}

// Room for one of the tiny models and not for two.
class LoadLimitTest : public ModelsTest {
 protected:
  void StartWithRoomForOne(const std::string& tokens = "") {
    Start();
    v1::LoadedModel loaded;
    ASSERT_TRUE(Load("tiny", &loaded).ok());
    Stop();
    Setup setup;
    setup.max_loaded_bytes = (loaded.weight_bytes() + loaded.cache_bytes()) * 3 / 2;
    setup.tokens = tokens;
    Start(setup);
  }
};

TEST_F(LoadLimitTest, ALoadOverItTellsWhatIsLoadedWhatItNeedsTheLimitAndTheRemedy) {
  StartWithRoomForOne();
  jobs->Add("models/copy", tiny());
  ASSERT_TRUE(Load("tiny").ok());
  EXPECT_TRUE(Load("tiny").ok()) << "what is loaded already takes nothing";
  const grpc::Status copy = Load("copy");
  EXPECT_EQ(copy.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << "the same bytes stand there twice";
  for (const char* part : {"models/copy needs 4.", "limit of all loaded models is 6.", "max-loaded-mib",
                           "loaded: models/tiny with 4.", "gwq serve unload"}) {
    EXPECT_NE(copy.error_message().find(part), std::string::npos) << part << " in " << copy.error_message();
  }
  EXPECT_TRUE(ReadStream(*stub, Prompt("tiny", "abc", 5)).status.ok());
  ASSERT_TRUE(Unload(*stub, "tiny").ok());
  EXPECT_EQ(jobs->Holders(tiny()), 0) << "the refused load keeps no hold";
  EXPECT_TRUE(Load("copy").ok());
}

TEST_F(LoadLimitTest, OfTwoLoadsAtOnceOneIsRefused) {
  StartWithRoomForOne();
  auto first = std::async(std::launch::async, [&] { return Load("tiny"); });
  auto second = std::async(std::launch::async, [&] { return Load("other"); });
  const bool tiny = first.get().ok(), other = second.get().ok();
  EXPECT_NE(tiny, other);
  EXPECT_EQ(models->List(kLocal).size(), 1u);
}

TEST_F(LoadLimitTest, WhatIsBeingUnloadedTakesItsMemoryStill) {
  StartWithRoomForOne();
  ASSERT_TRUE(Load("tiny").ok());
  auto [stream, unload] = UnloadUnderARequest(50);
  EXPECT_EQ(Load("other").error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  backend->Open();
  EXPECT_TRUE(stream.get().status.ok());
  ASSERT_TRUE(unload.get().ok());
  EXPECT_TRUE(Load("other").ok());
}

TEST_F(LoadLimitTest, AnotherPrincipalsModelsCountWithoutTheirNames) {
  StartWithRoomForOne("alice-0123456789 alice\nbob-0123456789ab bob\n");
  const auto load = [&](const std::string& token, const std::string& name) {
    v1::LoadModelRequest request;
    request.set_name(name);
    v1::LoadedModel loaded;
    grpc::ClientContext call;
    call.AddMetadata("authorization", "Bearer " + token);
    return stub->LoadModel(&call, request, &loaded);
  };
  ASSERT_TRUE(load("alice-0123456789", "tiny").ok());
  const grpc::Status bobs = load("bob-0123456789ab", "other");
  EXPECT_EQ(bobs.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(bobs.error_message().find("other principals' with 4."), std::string::npos) << bobs.error_message();
  EXPECT_EQ(bobs.error_message().find("tiny"), std::string::npos) << bobs.error_message();
}

TEST_F(ModelsTest, WithTokensAWrongOneIsUnauthenticated) {
  Setup setup;
  setup.tokens = "0123456789abcdef alice\n";
  Start(setup);
  v1::ListLoadedModelsResponse response;
  grpc::ClientContext without, wrong, right;
  wrong.AddMetadata("authorization", "Bearer 0123456789abcdeX");
  right.AddMetadata("authorization", "Bearer 0123456789abcdef");
  EXPECT_EQ(stub->ListLoadedModels(&without, {}, &response).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(stub->ListLoadedModels(&wrong, {}, &response).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(stub->ListLoadedModels(&right, {}, &response).ok());
}

}  // namespace
}  // namespace gwq::testing
