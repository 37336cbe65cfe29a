// Loading while gwq-jobs is away.
#include "server/infer/models/model_table.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <vector>

#include "core/backend/cpu/cpu_backend.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/server/infer/tiny_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq::testing {
namespace {

// Answers what it is told to, and keeps what it was asked.
class FakeSource final : public ModelSource {
 public:
  absl::StatusOr<ResolvedModel> answer = absl::UnavailableError("gwq-jobs is away");
  std::vector<absl::StatusOr<ResolvedModel>> answers;  // come first
  std::vector<OnUnavailable> resolves;
  std::vector<std::string> releases;  // the headers they came with
  // A call for "silent" tells of its begin and is answered NOT_FOUND at the end.
  std::promise<void> silence_begins, silence_ends;

 private:
  absl::StatusOr<ResolvedModel> Resolve(const Caller&, const std::string& name, OnUnavailable on_unavailable) override {
    if (name == "silent") {
      silence_begins.set_value();
      silence_ends.get_future().wait();
      return absl::NotFoundError(name);
    }
    resolves.push_back(on_unavailable);
    if (answers.empty()) return answer;
    const auto first = answers.front();
    answers.erase(answers.begin());
    return first;
  }
  absl::Status Release(const Caller& caller, const Digest&) override {
    releases.push_back(caller.authorization);
    return absl::OkStatus();
  }
  int64_t hold_millis() const override { return 0; }
};

class ModelTableTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<ServedModel>> Load(const std::string& name, int64_t context = 0) {
    return table_.Load(caller_, name, context, [] { return absl::OkStatus(); });
  }
  // "models/tiny", and from then on the source is UNAVAILABLE.
  std::shared_ptr<ServedModel> LoadTinyAndGoAway() {
    const auto store = OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
    EXPECT_THAT(store, IsOk());
    const auto digest = ImportTinyModel(**store, 1);
    EXPECT_THAT(digest, IsOk());
    source_.answer = ResolvedModel{"models/tiny", *digest, folder_.path()};
    auto loaded = Load("tiny", 64);
    EXPECT_THAT(loaded, IsOk());
    source_.answer = absl::UnavailableError("gwq-jobs is away");
    source_.resolves.clear();
    return loaded.value_or(nullptr);
  }

  FakeSource source_;
  Caller caller_{.principal = "alice", .authorization = "Bearer accepted"};

 private:
  const TempFolder folder_;
  const Log log_{"test", LogLevel::kError};
  Metrics metrics_;
  std::unique_ptr<Backend> backend_ = *CreateCpuBackend({.threads = 1, .isa = {}});
  Holds holds_{source_, log_};
  ModelLoader loader_{*backend_, metrics_, SystemClock(), LoadOptions()};

 protected:
  ModelTable table_{source_, holds_, loader_};
};

TEST_F(ModelTableTest, WhatIsLoadedIsAnsweredWithoutWaitingForASourceThatIsAway) {
  const auto loaded = LoadTinyAndGoAway();
  ASSERT_NE(loaded, nullptr);
  for (const char* const name : {"tiny", "models/tiny"}) {
    const auto again = Load(name);
    ASSERT_THAT(again, IsOk()) << name;
    EXPECT_EQ(*again, loaded);
  }
  EXPECT_THAT(Load("tiny", 64), IsOk());
  EXPECT_EQ(source_.resolves, std::vector<OnUnavailable>(3, OnUnavailable::kFail));
  EXPECT_THAT(Load("tiny", 128), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST_F(ModelTableTest, WhatIsLoadedIsAnsweredWhileAnotherLoadRuns) {
  const auto loaded = LoadTinyAndGoAway();
  ASSERT_NE(loaded, nullptr);
  source_.answer = ResolvedModel{"models/tiny", *Digest::Parse(loaded->digest()), ""};
  auto other = std::async(std::launch::async, [this] { return Load("silent"); });
  source_.silence_begins.get_future().wait();
  auto again = std::async(std::launch::async, [this] { return table_.Loaded(caller_, "tiny", 0); });
  EXPECT_EQ(again.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  source_.silence_ends.set_value();
  const auto answered = again.get();
  ASSERT_THAT(answered, IsOk());
  EXPECT_EQ(*answered, loaded);
  EXPECT_THAT(other.get(), HasCode(absl::StatusCode::kNotFound));
}

TEST_F(ModelTableTest, WhatTheCallerHasNotLoadedWaitsForTheSourceAndIsUnavailable) {
  ASSERT_NE(LoadTinyAndGoAway(), nullptr);
  EXPECT_EQ(*table_.Loaded(caller_, "artifacts/tiny", 0), nullptr);
  EXPECT_THAT(Load("artifacts/tiny"), HasCode(absl::StatusCode::kUnavailable));
  caller_.principal = "bob";
  EXPECT_THAT(Load("tiny"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(source_.resolves, std::vector<OnUnavailable>(2, OnUnavailable::kWait));
}

TEST_F(ModelTableTest, ASourceThatIsBusyOrStopsIsAway) {
  const auto loaded = LoadTinyAndGoAway();
  ASSERT_NE(loaded, nullptr);
  for (const absl::Status& away : {absl::ResourceExhaustedError("busy"), absl::CancelledError("stopping")}) {
    source_.answer = away;
    const auto again = Load("tiny");
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(*again, loaded);
  }
}

TEST_F(ModelTableTest, ABareNameThatNowMeansAnotherLoadedModelIsThatOne) {
  const auto loaded = LoadTinyAndGoAway();
  ASSERT_NE(loaded, nullptr);
  const ResolvedModel model{"models/tiny", *Digest::Parse(loaded->digest()), ""};
  // It meant an artifact while it was looked up, and means the model again afterwards.
  source_.answers = {ResolvedModel{"artifacts/tiny", Sha256Of("other"), ""}, model};
  const auto again = Load("tiny");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, loaded);
}

TEST_F(ModelTableTest, WhatTheSourceAnswersIsNotMaskedByWhatIsLoaded) {
  ASSERT_NE(LoadTinyAndGoAway(), nullptr);
  for (const absl::Status& refusal : {absl::PermissionDeniedError("no"), absl::NotFoundError("gone"),
                                      absl::UnauthenticatedError("who?"), absl::InternalError("damaged")}) {
    source_.answer = refusal;
    EXPECT_EQ(Load("tiny").status(), refusal);
  }
}

TEST_F(ModelTableTest, AHoldStaysWithTheTokenThatTheSourceAccepted) {
  ASSERT_NE(LoadTinyAndGoAway(), nullptr);
  caller_.authorization = "Bearer never-seen-there";
  EXPECT_THAT(Load("tiny"), IsOk());
  EXPECT_THAT(table_.Unload("alice", "tiny", std::chrono::steady_clock::now()), IsOk());
  EXPECT_EQ(source_.releases, std::vector<std::string>{"Bearer accepted"});
}

}  // namespace
}  // namespace gwq::testing
