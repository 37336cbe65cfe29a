#include "core/jobs/sqlite_store.h"

#include <gmock/gmock.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "core/base/status.h"
#include "core/jobs/kinds/specs.h"
#include "tests/core/jobs/job_store_conformance.h"

namespace gwq {
namespace {

SqliteStoreOptions SuiteOptions(const std::string& path) {
  SqliteStoreOptions options;
  options.path = path;
  options.lease_ttl_millis = kSuiteLeaseMillis;
  options.max_queued_jobs = kSuiteMaxQueued;
  options.max_open_uploads = kSuiteMaxUploads;
  options.kept_pass_bytes = kSuitePassBytes;
  options.kept_pass_principal_bytes = kSuitePassPrincipalBytes;
  return options;
}

StoreUnderTest OpenAt(const std::string& path, const Clock& clock) {
  auto store = SqliteStore::Open(SuiteOptions(path), clock);
  EXPECT_TRUE(store.ok()) << store.status();
  if (!store.ok()) return {};
  std::shared_ptr<SqliteStore> shared = *std::move(store);
  return {shared, shared.get(), shared.get(), shared.get()};
}

const auto kStores = testing::Values(
    JobStoreCase{"file",
                 [](const std::string& folder, const Clock& clock) { return OpenAt(folder + "/jobs.sqlite", clock); }},
    JobStoreCase{"memory", [](const std::string&, const Clock& clock) { return OpenAt(":memory:", clock); }, false});

INSTANTIATE_TEST_SUITE_P(Sqlite, JobStoreConformance, kStores, [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Sqlite, PassStoreConformance, kStores, [](const auto& info) { return info.param.name; });

class SqliteStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "gwq-sqlite-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/jobs.sqlite"; }
  std::string folder_;
  FakeClock clock_;
};

TEST_F(SqliteStoreTest, ANewerSchemaAndAFileThatIsNoDatabaseAreRefused) {
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &raw), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw, "PRAGMA user_version = 99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(raw);
  EXPECT_EQ(SqliteStore::Open(SuiteOptions(path()), clock_).status().code(), absl::StatusCode::kFailedPrecondition);
  std::ofstream(folder_ + "/text") << "this is no database, however long one looks at it, and it is long enough";
  EXPECT_EQ(SqliteStore::Open(SuiteOptions(folder_ + "/text"), clock_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteStoreTest, ItsFilesAreNotForOthersToRead) {
  const mode_t before = umask(022);
  const auto store = SqliteStore::Open(SuiteOptions(path()), clock_);
  umask(before);
  ASSERT_TRUE(store.ok()) << store.status();
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    names.insert(entry.path().filename());
    EXPECT_EQ(static_cast<unsigned>(entry.status().permissions()), 0640u) << entry.path();
  }
  EXPECT_TRUE(names.contains("jobs.sqlite") && names.contains("jobs.sqlite-wal"));
}

TEST_F(SqliteStoreTest, AnOlderSchemaIsBroughtUpToDateWithItsJobs) {
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &raw), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw, kSchemas[0], nullptr, nullptr, nullptr), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw,
                         "INSERT INTO jobs (id, principal, kind, spec_json, request_id, memory_bytes, state, "
                         "max_attempts, created) VALUES ('old', 'alice', 'import', '{}', 'key', 1, 0, 3, 7)",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(raw);
  for (int opened = 0; opened < 2; ++opened) {
    auto store = SqliteStore::Open(SuiteOptions(path()), clock_);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->Get("alice", "old")->created_wall_millis, 7);
    // Its request is known by the spec alone.
    EXPECT_EQ(*(*store)->FindByRequest("alice", "key", "a request"), std::nullopt);
    Job again;
    again.principal = "alice";
    again.kind = "import";
    again.spec_json = "{}";
    again.request_id = "key";
    again.request_sha256 = "a request";
    EXPECT_EQ((*store)->Enqueue(again)->id, "old");
    again.spec_json = "{\"other\":1}";
    EXPECT_EQ((*store)->Enqueue(again).status().code(), absl::StatusCode::kAlreadyExists);
  }
}

TEST_F(SqliteStoreTest, ArtifactsOfSchema5AreSummedUpByTheirReports) {
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &raw), SQLITE_OK);
  for (int version = 0; version < 5; ++version) {
    ASSERT_EQ(sqlite3_exec(raw, kSchemas[version], nullptr, nullptr, nullptr), SQLITE_OK);
  }
  const auto insert = [&](const std::string& kind, const std::string& name, const std::string& report) {
    const std::string sql = "INSERT INTO entries VALUES ('alice', '" + kind + "', '" + name + "', '" +
                            Sha256Of(name).Hex() + "', 1, 'Llama', '', '" + report + "', '', 'j', 5)";
    EXPECT_EQ(sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
  };
  insert("artifact", "made", R"({"total_bytes":7,"recipe":{"method":"gptq"}})");
  insert("artifact", "bare", "");
  insert("evaluation", "made", R"({"total_bytes":7})");
  sqlite3_close(raw);
  const auto store = SqliteStore::Open(SuiteOptions(path()), clock_);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto artifacts = (*store)->ListEntries("alice", "artifact", 10, "");
  ASSERT_TRUE(artifacts.ok() && artifacts->entries.size() == 2) << artifacts.status();
  EXPECT_EQ(artifacts->entries[0].summary_json, "") << "it has no report";
  EXPECT_NE(artifacts->entries[1].summary_json.find(R"("method":"gptq")"), std::string::npos);
  EXPECT_EQ((*store)->Find("alice", "evaluation", "made")->summary_json, "");
}

TEST_F(SqliteStoreTest, TheInputsOfLiveJobsOfSchema3AreRootsAtOnce) {
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &raw), SQLITE_OK);
  for (int version = 0; version < 3; ++version) {
    ASSERT_EQ(sqlite3_exec(raw, kSchemas[version], nullptr, nullptr, nullptr), SQLITE_OK);
  }
  const auto insert = [&](const std::string& id, const std::string& kind, const std::string& spec, JobState state) {
    const std::string sql =
        "INSERT INTO jobs (id, principal, kind, spec_json, request_id, memory_bytes, state, max_attempts, created) "
        "VALUES ('" +
        id + "', 'alice', '" + kind + "', '" + spec + "', '', 1, " + std::to_string(static_cast<int>(state)) +
        ", 3, 7)";
    ASSERT_EQ(sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sql;
  };
  const auto import_of = [](const std::string& name) { return ImportJob{"u", "m", Sha256Of(name)}.Json(); };
  insert("queued", "import", import_of("queued"), JobState::kQueued);
  insert("running", "import", import_of("running"), JobState::kRunning);
  insert("ended", "import", import_of("ended"), JobState::kFailed);
  insert("unknown", "train", "{}", JobState::kQueued);
  sqlite3_close(raw);
  for (int opened = 0; opened < 2; ++opened) {
    const auto store = SqliteStore::Open(SuiteOptions(path()), clock_);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_THAT((*store)->Roots()->manifests, testing::UnorderedElementsAre(Sha256Of("queued"), Sha256Of("running")));
    EXPECT_EQ((*store)->Get("alice", "running")->checkpoint, std::nullopt);
    EXPECT_EQ((*store)->Get("alice", "running")->texts, std::nullopt);
  }
}

TEST_F(SqliteStoreTest, ThreadsThatAcquireTogetherGetDifferentJobsAndTokens) {
  SqliteStoreOptions options = SuiteOptions(path());
  options.max_queued_jobs = 1000;
  auto store = *SqliteStore::Open(options, clock_);
  for (int i = 0; i < 40; ++i) {
    Job job;
    job.principal = "alice";
    job.kind = "import";
    job.spec_json = "{}";
    ASSERT_TRUE(store->Enqueue(job).ok());
  }
  Mutex mutex;
  std::set<std::string> ids;
  std::set<uint64_t> tokens;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (auto lease = store->Acquire({"w", "cpu:0", 1, {}}); lease.ok();
           lease = store->Acquire({"w", "cpu:0", 1, {}})) {
        EXPECT_TRUE(store->Renew(lease->job.id, lease->fencing_token, {"p", 1, 1}, {"line"}).ok());
        EXPECT_TRUE(store->Commit(lease->job.id, lease->fencing_token, {}).ok());
        MutexLock lock(mutex);
        ids.insert(lease->job.id);
        tokens.insert(lease->fencing_token);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), 40u);
  EXPECT_EQ(tokens.size(), 40u);
}

// A story with every verb that writes. `acknowledged` gets a line for each call that returned OK.
void LiveThrough(SqliteStore& store, std::ofstream& acknowledged) {
  const auto note = [&](const std::string& line) { acknowledged << line << std::endl; };
  Upload upload;
  upload.principal = "alice";
  upload.name = "m";
  upload.request_id = "upload";
  upload.total_bytes = 1;
  upload.expires_wall_millis = INT64_MAX;
  const auto made = store.CreateUpload(upload);
  if (!made.ok()) return;
  note("upload");
  if (!store.AddUploadPage("alice", made->id, 0, "page").ok()) return;
  note("page");
  Job job;
  job.principal = "alice";
  job.kind = "import";
  job.spec_json = "{}";
  job.request_id = "job";
  const auto queued = store.Enqueue(job);
  if (!queued.ok()) return;
  note("job");
  if (!store.SetUploadCommitted("alice", made->id, queued->id).ok()) return;
  note("committed-upload");
  const auto lease = store.Acquire({"w", "cpu:0", 1, {}});
  if (!lease.ok()) return;
  note("lease " + std::to_string(lease->fencing_token));
  if (!store.Renew(queued->id, lease->fencing_token, {"p", 1, 2}, {"line"}).ok()) return;
  note("renewed");
  if (!store.SaveCheckpoint(queued->id, lease->fencing_token, Sha256Of("one"), std::nullopt).ok()) return;
  note("checkpoint-one");
  if (!store.SaveCheckpoint(queued->id, lease->fencing_token, Sha256Of("two"), Sha256Of("one")).ok()) return;
  note("checkpoint-two");
  if (!store.Commit(queued->id, lease->fencing_token, PublicationOf("model", "m", Sha256Of("m"))).ok()) return;
  note("published");
  if (!store.KeepPass({"alice", {Sha256Of("pass"), "cpu", Sha256Of("m")}, Sha256Of("r"), 10}).ok()) return;
  note("pass");
  if (!store.Hold("alice", Sha256Of("m"), "server", 1000).ok()) return;
  note("held");
  if (!store.ReleaseHold("alice", Sha256Of("m"), "server").ok()) return;
  note("released");
  if (!store.Delete("alice", "model", "m").ok()) return;
  note("deleted");
  job.principal = "bob";
  const auto second = store.Enqueue(job);
  if (!second.ok()) return;
  note("second");
  if (!store.Cancel("bob", second->id).ok()) return;
  note("cancelled");
  if (!store.PurgeEnded(INT64_MAX, {}, 10).ok()) return;  // alice's is named by her upload
  note("removed");
}

std::set<std::string> Lines(const std::string& path) {
  std::set<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.insert(line.substr(0, line.find(' ')));
  return lines;
}

// What was acknowledged is there, and what is there is whole.
void CheckAfterCrash(SqliteStore& store, const std::set<std::string>& acknowledged) {
  const auto has = [&](const char* line) { return acknowledged.contains(line); };
  const auto jobs = store.List("alice", 10, "")->jobs;
  EXPECT_LE(jobs.size(), 1u) << "a job was doubled";
  if (has("job")) {
    ASSERT_EQ(jobs.size(), 1u) << "a job was lost";
  }
  const auto model = store.Find("alice", "model", "m");
  if (!jobs.empty()) {
    const Job& job = jobs[0];
    if (has("lease")) {
      EXPECT_NE(job.state, JobState::kQueued);
    }
    if (has("published")) {
      EXPECT_EQ(job.state, JobState::kSucceeded);
    }
    // The model and the job's end are one transaction, whatever the moment of death.
    if (!has("released")) {
      EXPECT_EQ(model.ok(), job.state == JobState::kSucceeded);
    }
    if (job.state == JobState::kSucceeded) {
      EXPECT_EQ(job.checkpoint, std::nullopt);
    } else if (has("checkpoint-two")) {
      EXPECT_EQ(job.checkpoint, Sha256Of("two"));
    } else if (has("checkpoint-one")) {
      EXPECT_TRUE(job.checkpoint == Sha256Of("one") || job.checkpoint == Sha256Of("two"));
    }
    if (has("renewed")) {
      EXPECT_EQ(store.Logs("alice", job.id, 0, 10)->size(), 1u);
    }
  } else {
    EXPECT_FALSE(model.ok());
  }
  const auto pass = *store.FindPass("alice", {Sha256Of("pass"), "cpu", {}});
  if (has("deleted")) {
    EXPECT_FALSE(model.ok());
    EXPECT_FALSE(pass.has_value());
  } else if (has("pass") && model.ok()) {
    ASSERT_TRUE(pass.has_value());
    EXPECT_EQ(pass->record, Sha256Of("r"));
  }
  EXPECT_TRUE(model.ok() || !pass.has_value()) << "a pass outlived its model";
  const auto second = store.List("bob", 10, "")->jobs;
  if (has("second") && !has("cancelled")) {
    EXPECT_EQ(second.size(), 1u);
  }
  if (has("removed")) {
    EXPECT_TRUE(second.empty());
  }
  Upload upload;
  upload.principal = "alice";
  upload.name = "m";
  upload.request_id = "upload";
  upload.total_bytes = 1;
  upload.expires_wall_millis = INT64_MAX;
  const Upload same = *store.CreateUpload(upload);
  if (has("page")) {
    EXPECT_EQ(store.UploadPages("alice", same.id)->size(), 1u);
  }
  if (has("committed-upload")) {
    EXPECT_EQ(same.commit_job, jobs[0].id);
  }
}

TEST_F(SqliteStoreTest, KilledBeforeOrAfterEachCommitNothingIsLostDoubledOrHalfVisible) {
  int steps = 0;
  for (bool lived = false; !lived; ++steps) {
    ASSERT_LT(steps, 100);
    const std::string file = folder_ + "/" + std::to_string(steps);
    const pid_t child = fork();
    if (child == 0) {
      auto store = SqliteStore::Open(SuiteOptions(file), SystemClock());
      if (!store.ok()) _exit(2);
      int left = steps;
      (*store)->SetStepHook([&](std::string_view) {
        if (left-- == 0) kill(getpid(), SIGKILL);
      });
      std::ofstream acknowledged(file + ".acknowledged");
      LiveThrough(**store, acknowledged);
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    lived = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    ASSERT_TRUE(lived || WIFSIGNALED(status));
    auto store = SqliteStore::Open(SuiteOptions(file), clock_);
    ASSERT_TRUE(store.ok()) << store.status();
    SCOPED_TRACE(testing::Message() << "killed at step " << steps);
    CheckAfterCrash(**store, Lines(file + ".acknowledged"));
  }
  EXPECT_GE(steps, 26) << "the story has thirteen transactions, each with a step before and after";
}

}  // namespace
}  // namespace gwq
